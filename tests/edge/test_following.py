"""Files that follow the audit log: from a cursor, once each, made anew where they are gone."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
from tests.e2e.servers import PATIENCE_S, environment

from palio.access.audit import AuditEntry
from palio.edge.following import Follower, alone, written
from palio.errors import StoreUnavailable
from palio.testing.wired import Wired

HOLDING = """
import sys
from pathlib import Path
from palio.edge.following import alone
with alone(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_each_entry_comes_once(wired: Wired, tmp_path: Path) -> None:
    seen: list[str] = []

    def project(entries: Sequence[AuditEntry]) -> None:
        seen.extend(entry.subject for entry in entries)

    follower = Follower(wired.audit, tmp_path / "tree", project)
    follower.step()
    assert seen == []
    for number in range(3):
        wired.models.create(f"m{number}")
    follower.step()
    follower.step()
    wired.models.create("late")
    Follower(wired.audit, tmp_path / "tree", project).step()  # another process goes on
    assert seen == ["m0", "m1", "m2", "late"]
    shutil.rmtree(tmp_path / "tree")
    follower.step()
    assert seen[4:] == ["m0", "m1", "m2", "late"]


def test_what_fails_is_followed_again(wired: Wired, tmp_path: Path) -> None:
    wired.models.create("m")
    calls: list[int] = []

    def project(entries: Sequence[AuditEntry]) -> None:
        calls.append(len(entries))
        if len(calls) == 1:
            raise OSError("the disk is full")

    follower = Follower(wired.audit, tmp_path, project)
    for _ in range(2):
        try:
            follower.step()
        except OSError:
            continue
    assert calls == [1, 1]


def test_a_cursor_that_cannot_be_read_begins_anew(wired: Wired, tmp_path: Path) -> None:
    wired.models.create("m")
    written(tmp_path / ".palio-cursor", b"garbage")
    seen: list[int] = []
    Follower(wired.audit, tmp_path, lambda found: seen.append(len(found))).step()
    assert seen == [1]


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = written(tmp_path / "a" / "b.json", b"1")
    written(path, b"22")
    assert path.read_bytes() == b"22"
    assert [one.name for one in path.parent.iterdir()] == ["b.json"]


class Names:
    """Writes the models' names in a file; holds still between reading and writing if told to."""

    def __init__(self, wired: Wired, folder: Path) -> None:
        self.wired, self.file = wired, folder / "names"
        self.has_read, self.going = Event(), Event()
        self.going.set()

    def project(self, _: Sequence[AuditEntry]) -> None:
        names = [one.name for one in self.wired.models.list()]
        self.has_read.set()
        self.going.wait(PATIENCE_S)
        written(self.file, " ".join(names).encode())


def test_who_has_read_earlier_writes_nothing_older(wired: Wired, tmp_path: Path) -> None:
    slow, quick = Names(wired, tmp_path), Names(wired, tmp_path)
    wired.models.create("first")
    slow.going.clear()
    behind = Thread(target=Follower(wired.audit, tmp_path, slow.project).step)
    behind.start()
    assert slow.has_read.wait(PATIENCE_S)
    wired.models.create("second")
    ahead = Thread(target=Follower(wired.audit, tmp_path, quick.project).step)
    ahead.start()
    ahead.join(0.3)  # long enough to write, were it let
    assert not quick.has_read.is_set()
    slow.going.set()
    for one in (behind, ahead):
        one.join(PATIENCE_S)
    assert (tmp_path / "names").read_text() == "first second"
    last = wired.audit.list(limit=1_000)[-1].seq
    assert (tmp_path / ".palio-cursor").read_text() == str(last)


def test_what_another_has_followed_is_not_followed_again(wired: Wired, tmp_path: Path) -> None:
    wired.models.create("m")
    seen: list[str] = []

    def project(entries: Sequence[AuditEntry]) -> None:
        seen.extend(one.subject for one in entries)

    with alone(tmp_path):
        both = [Thread(target=Follower(wired.audit, tmp_path, project).step) for _ in range(2)]
        for one in both:
            one.start()
        both[0].join(0.2)
        assert seen == []
    for one in both:
        one.join(PATIENCE_S)
    assert seen == ["m"]


@contextmanager
def held_by_another(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Hold a tree from another process."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", HOLDING, str(folder)]
    with subprocess.Popen(command, env=environment(), stdin=pipe, stdout=pipe, text=True) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "held\n"
            yield other
        finally:
            other.kill()


def test_a_tree_that_is_held_for_long_is_told(tmp_path: Path) -> None:
    with (
        held_by_another(tmp_path),
        pytest.raises(StoreUnavailable, match=r"has been written by another process for 0\.05 s"),
        alone(tmp_path, wait_s=0.05),
    ):
        raise AssertionError


def test_who_is_killed_holds_nothing(wired: Wired, tmp_path: Path) -> None:
    wired.models.create("m")
    names = Names(wired, tmp_path)
    with held_by_another(tmp_path) as other:
        waiting = Thread(target=Follower(wired.audit, tmp_path, names.project).step)
        waiting.start()
        waiting.join(0.2)
        assert not names.has_read.is_set()
        other.kill()
        waiting.join(PATIENCE_S)
    assert names.file.read_text() == "m"


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_where_there_are_no_locks_files_are_written_all_the_same(
    wired: Wired, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "no locks here")

    monkeypatch.setattr("fcntl.flock", refuse)
    wired.models.create("m")
    names = Names(wired, tmp_path)
    Follower(wired.audit, tmp_path, names.project).step()
    assert names.file.read_text() == "m"
