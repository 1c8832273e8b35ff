"""``palio models``: deleting and purging, clearing aliases, days, and other lifecycles."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import servers

import palio

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(params=["file", "server"])
def store(request: pytest.FixtureRequest, home: str) -> Iterator[str]:
    """A store as a file, then the address of a server on it."""
    if request.param == "file":
        yield home
        return
    with servers.serving(home) as address:
        yield address


@pytest.fixture
def say(cli: Cli, store: str) -> Callable[..., str]:
    """Run a command that must succeed, and return what it says."""

    def call(*arguments: object) -> str:
        code, out, err = cli("--store", store, *arguments)
        assert (code, err) == (0, "")
        return out

    return call


@pytest.fixture
def refused(cli: Cli, store: str) -> Callable[..., tuple[int, str]]:
    """Run a command that must not succeed; return its exit code and what it complains of."""

    def call(*arguments: object) -> tuple[int, str]:
        code, out, err = cli("--store", store, *arguments)
        assert out == ""
        return code, err

    return call


def test_a_version_goes_and_comes_back(
    say: Callable[..., str], refused: Callable[..., tuple[int, str]]
) -> None:
    said = say("models", "delete", "credit:v2", "--reason", "wrong year")
    assert said == "credit:v2 is deleted; `palio models restore credit:v2` brings it back\n"
    assert "v2" not in say("models", "versions", "credit")
    listed = say("models", "versions", "credit", "--deleted")
    assert re.search(r"^2 +v2 .* UTC", listed, re.MULTILINE)
    assert listed.splitlines()[0].split()[-2:] == ["deleted", "purged"]
    assert re.search(r"deleted +2\d{3}-", say("models", "show", "credit:v2"))
    code, err = refused("models", "promote", "credit:v2")
    assert code == 3
    assert err.startswith("error: credit:v2 was deleted at ")
    assert err.endswith("; `palio models restore credit:v2` brings it back\n")
    code, err = refused("predict", "credit", "[[1,2,3]]", "--version", "v2")
    assert (code, "credit:v2 was deleted at" in err) == (3, True)
    assert say("models", "restore", "credit:v2") == "credit:v2 is back\n"
    assert "v2" in say("models", "versions", "credit")
    code, err = refused("models", "delete", "credit:v1")
    assert (code, "while something uses it: alias credit@champion" in err) == (4, True)


def test_a_purge_asks_and_a_pipe_must_say_yes(
    say: Callable[..., str], refused: Callable[..., tuple[int, str]], home: str
) -> None:
    found = list(Path(home).parent.rglob("credit/v2"))
    say("models", "delete", "credit:v2")
    code, err = refused("models", "purge", "credit:v2")
    assert (code, "repeat it with --yes" in err) == (2, True)
    assert list(Path(home).parent.rglob("credit/v2")) == found != []
    said = say("models", "purge", "credit:v2", "--yes", "--reason", "request 4711")
    assert said == "the files of credit:v2 are gone; its record stays\n"
    assert list(Path(home).parent.rglob("credit/v2")) == []
    assert re.search(r"purged +2\d{3}-", say("models", "show", "credit:v2"))
    assert say("models", "purge", "credit:v2", "--yes") == said  # nothing is left to finish
    code, err = refused("models", "restore", "credit:v2")
    assert (code, "its files were purged at" in err) == (4, True)
    assert "request 4711" in say("audit", "list", "--action", "version.purge")


@pytest.mark.parametrize(("answer", "purged"), [("n", False), ("y", True)])
def test_a_person_is_asked(home: str, answer: str, *, purged: bool) -> None:
    with palio.connect(home) as opened:
        opened.versions.delete("credit:v2")
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "palio", "--store", home, "models", "purge", "credit:v2"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=servers.environment(),
        text=True,
    ) as asking:
        os.write(ours, f"{answer}\n".encode())
        out, err = asking.communicate(timeout=servers.PATIENCE_S)
    os.close(ours)
    os.close(theirs)
    assert "Take the files of credit:v2 away for good?" in err
    assert ("are gone" in out) is purged
    assert asking.returncode == (0 if purged else 130)
    with palio.connect(home) as opened:
        found = opened.versions.get("credit:v2", deleted=True)
        assert (found.purged_at is not None) is purged


def test_a_model_goes_and_comes_back(
    say: Callable[..., str], refused: Callable[..., tuple[int, str]]
) -> None:
    code, err = refused("models", "delete", "credit")
    assert (code, "endpoint credit" in err) == (4, True)
    say("models", "create", "spare")
    assert say("models", "delete", "spare").startswith("spare is deleted; ")
    assert "spare" not in say("models", "list")
    assert re.search(r"spare .* UTC *$", say("models", "list", "--deleted"), re.MULTILINE)
    code, err = refused("models", "create", "spare")
    assert (code, "was deleted, and keeps its name" in err) == (4, True)
    assert say("models", "restore", "spare") == "spare is back\n"
    assert "spare" in say("models", "list")


def test_aliases_and_days(
    say: Callable[..., str], refused: Callable[..., tuple[int, str]], told: Callable[..., Any],
    store: str,
) -> None:  # fmt: skip
    shown = say("models", "at", "credit", "2100-01-01T12:00")
    assert re.search("version +v1", shown)
    found = told("--store", store, "models", "at", "credit", "2100-01-01T12:00Z")
    assert (found["alias"], found["version"], found["kind"]) == ("champion", "v1", "set")
    code, err = refused("models", "at", "credit", "2000-01-01")
    assert code == 3
    assert "pointed nowhere at 2000-01-01T00:00:00+00:00: it first moved at 2" in err
    code, err = refused("models", "at", "credit", "noon")
    assert (code, "is no day or moment" in err) == (2, True)
    say("models", "alias", "credit", "next", "v2")
    said = say("models", "clear-alias", "credit", "next", "--expected", "v2", "--reason", "over")
    assert said == "credit@next points nowhere; it pointed at v2\n"
    shown = say("models", "at", "credit", "2100-01-01", "--alias", "next")
    assert re.search("version +nothing", shown)
    assert re.search("why +over", shown)
    assert re.search(r"cleared +v2 +\S+ +over", say("models", "history", "credit", "next"))
    code, err = refused("models", "clear-alias", "credit", "champion")
    assert (code, "promote another version" in err) == (4, True)


OWN = """\
name: own
initial: new
production: live
retired: old
transitions: {new: [live], live: [old], old: [live]}
"""


def test_lifecycles_have_revisions(
    say: Callable[..., str], refused: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(OWN)
    assert say("lifecycles", "declare", file) == "lifecycle own is declared\n"
    say("models", "create", "spare", "--lifecycle", "own")
    assert say("lifecycles", "declare", file) == "lifecycle own is declared\n"
    file.write_text(OWN + "requires: {live: [{metric: auc, at_least: 0.5}]}\n")
    said = say("lifecycles", "declare", file)
    assert said.startswith("lifecycle own is declared, revision 2; `palio models adopt MODEL`")
    assert re.search("own +declared +2 ", say("lifecycles", "list"))
    assert say("lifecycles", "show", "own").startswith("own, revision 2\n")
    assert "requires" not in say("lifecycles", "show", "own", "--revision", "1")
    code, err = refused("lifecycles", "show", "own", "--revision", "3")
    assert (code, "has no revision 3; its newest is 2" in err) == (3, True)
    assert say("models", "adopt", "spare") == "spare follows revision 2 of own\n"
    code, err = refused("models", "adopt", "spare", "own", "--revision", "2")
    assert (code, "nothing to do" in err) == (4, True)
    assert say("models", "adopt", "spare", "strict") == "spare follows revision 1 of strict\n"
