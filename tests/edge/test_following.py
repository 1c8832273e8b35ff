"""Files that follow the audit log: from a cursor, once each, made anew where they are gone."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from palio.access.audit import AuditEntry
from palio.edge.following import Follower, written
from palio.testing.wired import Wired


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


def test_threads_write_one_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: written(path, b"%d" % number), range(400)))
    assert path.read_bytes().isdigit()
    assert [one.name for one in tmp_path.iterdir()] == ["b.json"]
