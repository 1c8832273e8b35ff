"""How `make` finds its Python: the newest that can make an environment, else advice that helps."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "create-venv.sh"


class Machine:
    """A directory with a space in its name, and a PATH on which only fake Pythons are found."""

    def __init__(self, home: Path) -> None:
        self.home = home / "a clone"
        self.path = home / "bin"
        self.home.mkdir()
        self.path.mkdir()

    def install(self, name: str, version: str, *, complete: bool = True) -> Path:
        """Put a fake Python on the PATH, which notes its arguments when it makes a venv."""
        new_enough = tuple(map(int, version.split("."))) >= (3, 11)
        fake = self.path / name
        fake.write_text(
            "#!/bin/sh\n"
            'case "$*" in\n'
            f"  *'version_info <'*) exit {0 if new_enough else 1} ;;\n"
            f"  *ensurepip*) exit {0 if complete else 1} ;;\n"
            f"  *print*) echo {version} ;;\n"
            '  *) echo "$0 $*" >made ;;\n'
            "esac\n"
        )
        fake.chmod(0o755)
        return fake

    def create(self, python: str = "") -> tuple[int, str]:
        """Run the script; return its exit code and what it said."""
        finished = subprocess.run(
            ["/bin/sh", str(SCRIPT)],
            cwd=self.home,
            env={"PATH": str(self.path), "PYTHON": python},
            capture_output=True,
            text=True,
            check=False,
        )
        return finished.returncode, finished.stderr

    @property
    def made(self) -> str:
        """What the Python that was chosen was asked to do."""
        return (self.home / "made").read_text()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_newest_python_is_taken(machine: Machine) -> None:
    machine.install("python3", "3.10")
    machine.install("python3.11", "3.11")
    newer = machine.install("python3.13", "3.13")
    assert machine.create()[0] == 0
    assert machine.made == f"{newer} -m venv --clear .venv\n"


def test_a_python_without_venv_is_passed_over(machine: Machine) -> None:
    machine.install("python3.13", "3.13", complete=False)
    machine.install("python3.12", "3.12")
    assert machine.create()[0] == 0
    assert "python3.12 -m venv" in machine.made


def test_the_one_that_is_asked_for_is_taken(machine: Machine) -> None:
    machine.install("python3.13", "3.13")
    asked = machine.install("my python", "3.11")
    assert machine.create(str(asked))[0] == 0
    assert "my python -m venv" in machine.made


def test_no_python_at_all(machine: Machine) -> None:
    code, said = machine.create()
    assert code == 1
    assert "No Python 3.11 or newer found." in said
    assert "apt install python3 python3-venv" in said


def test_only_an_old_python(machine: Machine) -> None:
    machine.install("python3", "3.9")
    code, said = machine.create()
    assert code == 1
    assert "No Python 3.11 or newer found." in said


def test_the_one_that_is_asked_for_is_too_old(machine: Machine) -> None:
    machine.install("python3.13", "3.13")
    old = machine.install("old", "3.9")
    code, said = machine.create(str(old))
    assert code == 1
    assert f"at PYTHON={old}" in said


def test_venv_is_missing(machine: Machine) -> None:
    machine.install("python3", "3.12", complete=False)
    code, said = machine.create()
    assert code == 1
    assert "apt install python3.12-venv" in said


def test_a_working_environment_is_kept(machine: Machine) -> None:
    environment = machine.home / ".venv" / "bin"
    environment.mkdir(parents=True)
    launcher = environment / "python"
    launcher.write_text(f'#!/bin/sh\nexec "{os.fspath(sys.executable)}" "$@"\n')
    launcher.chmod(0o755)
    assert machine.create()[0] == 0
    assert launcher.exists()
