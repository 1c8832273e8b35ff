"""What differs is told, what nothing needs is removed, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import palio
from palio.access.audit import Change
from palio.access.domain import Role
from palio.errors import Conflict, InvalidInput, NotFound
from palio.registry.artifacts import Fate, Found
from palio.registry.domain import VersionDraft
from palio.registry.ports import Difference, Leftover
from palio.testing.wired import Wired

LONG_AGO = datetime(2025, 12, 31, tzinfo=UTC)  # a day before the fake clock
STAGED = Leftover(".staging-0123456789abcdef", None, 7, LONG_AGO)


@pytest.fixture
def kept(wired: Wired, tmp_path: Path) -> Wired:
    """A store with m:v1 and m:v2, files and all, written a day ago."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a.bin").write_bytes(b"bytes")
    for version in ("v1", "v2"):
        draft = VersionDraft(version=version, flavor="plain")
        wired.versions.register("m", draft, tmp_path / "model")
    wired.files.changed_at = LONG_AGO
    return wired


def fates(found: list[Found]) -> dict[str, Fate]:
    return {one.place: one.fate for one in found}


def gc(wired: Wired, **options: object) -> list[Found]:
    return list(wired.artifacts.gc(**options))  # type: ignore[arg-type]


def forget(wired: Wired, version: str) -> None:
    """Take a record away, as an older backup of that table would."""
    with wired.store.write() as unit:
        rows = unit.versions._rows  # type: ignore[attr-defined]
        rows.pop(("m", version))


def test_what_holds_has_no_differences(kept: Wired) -> None:
    found = kept.acting("bob", Role.VIEWER).artifacts.verify("m:v1")
    manifest = kept.versions.get("m:v1").manifest
    assert (found.version, found.files, list(found.differences)) == (
        "m:v1",
        len(manifest.files),
        [],
    )
    assert found.size_bytes == sum(file.size_bytes for file in manifest.files)


def test_what_differs_is_told_and_not_raised(kept: Wired) -> None:
    kept.files.kept["m:v1"]["a.bin"] = b"other"
    assert list(kept.artifacts.verify("models:/m/v1").differences) == [
        Difference("a.bin", "its bytes differ")
    ]
    assert list(kept.artifacts.verify("m:v2").differences) == []


def test_a_deleted_version_is_compared_and_a_purged_one_is_not(kept: Wired) -> None:
    kept.versions.delete("m:v2", "of no use")
    assert list(kept.artifacts.verify("m:v2").differences) == []
    kept.versions.purge("m:v2")
    with pytest.raises(Conflict, match="were purged at"):
        kept.artifacts.verify("m:v2")
    with pytest.raises(NotFound):
        kept.artifacts.verify("m:v3")


def test_nothing_is_left_behind_at_first(kept: Wired) -> None:
    assert gc(kept, dry_run=False) == []


def test_a_dry_run_is_the_default_and_changes_nothing(kept: Wired) -> None:
    kept.files.staged = [STAGED]
    before = kept.audit.verify()
    for _ in range(2):
        (found,) = gc(kept)
        assert (found.place, found.size_bytes, found.fate) == (STAGED.place, 7, Fate.REMOVABLE)
        assert found.age_s == timedelta(days=1).total_seconds()
        assert "did not finish" in found.why
    assert kept.files.staged == [STAGED]
    assert kept.audit.verify() == before


def test_removing_is_audited_and_twice_changes_nothing_more(kept: Wired) -> None:
    kept.files.staged = [STAGED]
    assert fates(gc(kept, dry_run=False)) == {STAGED.place: Fate.REMOVED}
    entry = kept.audit.list()[-1]
    assert (entry.actor, entry.action, entry.subject) == ("ann", "artifacts.gc", STAGED.place)
    assert entry.before == {"place": STAGED.place, "size_bytes": 7}
    after = kept.audit.verify()
    assert gc(kept, dry_run=False) == []
    assert kept.audit.verify() == after


def test_what_is_young_stays(kept: Wired) -> None:
    kept.files.staged = [replace(STAGED, changed_at=kept.clock() - timedelta(seconds=3599))]
    (found,) = gc(kept, dry_run=False)
    assert found.fate is Fate.KEPT
    assert "younger than 3600 s" in found.why
    kept.clock.advance(1)
    assert fates(gc(kept, dry_run=False)) == {STAGED.place: Fate.REMOVED}


def test_what_is_written_in_the_future_stays(kept: Wired) -> None:
    kept.files.staged = [replace(STAGED, changed_at=datetime.max.replace(tzinfo=UTC))]
    (found,) = gc(kept, dry_run=False, older_than_s=0.0)
    assert (found.fate, found.age_s) == (Fate.KEPT, 0.0)


@pytest.mark.parametrize("older_than_s", [-1.0, float("nan"), float("inf")])
def test_an_age_is_a_number_of_seconds(kept: Wired, older_than_s: float) -> None:
    with pytest.raises(InvalidInput, match="give seconds, 0 or more"):
        gc(kept, older_than_s=older_than_s)


def test_files_that_no_version_has_go(kept: Wired) -> None:
    kept.files.kept["m:never"] = kept.files.kept["other:v1"] = {"a": b"left"}
    places = {"m/never": Fate.REMOVED, "other/v1": Fate.REMOVED}
    assert fates(gc(kept, dry_run=False)) == places
    assert sorted(kept.files.kept) == ["m:v1", "m:v2"]
    assert [entry.subject for entry in kept.audit.list(model="m", action="artifacts")] == [
        "m:never"
    ]


def test_a_deleted_version_keeps_its_files(kept: Wired) -> None:
    kept.versions.delete("m:v1", "of no use")
    kept.models.delete("m", "of no use")
    assert gc(kept, dry_run=False) == []
    assert sorted(kept.files.kept) == ["m:v1", "m:v2"]


def test_files_of_a_purged_version_go_if_they_are_still_there(kept: Wired) -> None:
    kept.versions.delete("m:v1", "of no use")
    left = kept.files.kept["m:v1"]
    kept.versions.purge("m:v1")
    kept.files.kept["m:v1"] = left  # as if the process had ended between
    (found,) = gc(kept, dry_run=False)
    assert (found.fate, found.why) == (Fate.REMOVED, "the version was purged")
    assert sorted(kept.files.kept) == ["m:v2"]


def test_what_the_audit_log_tells_of_stays(kept: Wired) -> None:
    forget(kept, "v2")
    (found,) = gc(kept, dry_run=False)
    assert (found.place, found.fate) == ("m/v2", Fate.KEPT)
    assert "the audit log tells of its registration" in found.why
    assert "newer backup" in found.why
    assert sorted(kept.files.kept) == ["m:v1", "m:v2"]


def test_the_audit_log_is_read_to_its_end(kept: Wired) -> None:
    with kept.store.write() as unit:
        for number in range(1_100):
            unit.audit.append(
                Change(
                    at=kept.clock(),
                    actor="ann",
                    action="version.register",
                    subject=f"m:x{number}",
                )
            )
    kept.files.kept["m:x1099"] = {"a": b"left"}
    (found,) = gc(kept, dry_run=False)
    assert found.fate is Fate.KEPT


def test_what_an_alias_has_pointed_at_stays(kept: Wired) -> None:
    kept.models.set_alias("m", "next", "v2")
    kept.models.set_alias("m", "next", "v1")
    with kept.store.write() as unit:
        unit.audit._entries.clear()  # type: ignore[attr-defined]
    forget(kept, "v2")
    (found,) = gc(kept, dry_run=False)
    assert found.fate is Fate.KEPT
    assert "an alias has pointed at this version" in found.why


def test_what_is_in_use_stays(wired: Wired) -> None:
    wired.serve("v1", "v2")
    wired.endpoints.override("credit", "v2")
    with wired.store.write() as unit:
        unit.audit._entries.clear()  # type: ignore[attr-defined]
        unit.versions._rows.pop(("credit", "v2"))  # type: ignore[attr-defined]
    wired.files.changed_at = LONG_AGO
    (found,) = gc(wired, dry_run=False)
    assert found.fate is Fate.KEPT
    assert "endpoint credit uses this version" in found.why


_REGISTERING = """
import sys, time
from pathlib import Path
import palio
from palio.artifacts import files
from palio.artifacts.staging import copied
from palio.registry.domain import VersionDraft

def slowly(source, copy, name):
    written = copied(source, copy, name)
    print("half", flush=True)
    sys.stdin.readline()
    return written

files.copied = slowly
with palio.connect(sys.argv[1]) as opened:
    opened.versions.register("m", VersionDraft(version="v1", flavor="plain"), Path(sys.argv[2]))
"""


def test_a_registration_under_way_elsewhere_is_not_hit(tmp_path: Path) -> None:
    store, source = str(tmp_path / "palio.db"), tmp_path / "source"
    source.mkdir()
    (source / "a.bin").write_bytes(b"bytes")
    with palio.connect(store) as opened:
        command = [sys.executable, "-c", _REGISTERING, store, str(source)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=os.environ) as other:
            assert other.stdin is not None
            assert other.stdout is not None
            assert other.stdout.readline() == b"half\n"
            (found,) = opened.artifacts.gc(dry_run=False)
            assert found.fate is Fate.KEPT
            assert found.place.startswith(".staging-")
            other.communicate(b"go\n")
        assert other.returncode == 0
        assert list(opened.artifacts.gc(dry_run=False)) == []
        assert list(opened.artifacts.verify("m:v1").differences) == []


def test_a_registration_whose_files_were_taken_is_refused_whole(tmp_path: Path) -> None:
    store, source = str(tmp_path / "palio.db"), tmp_path / "source"
    source.mkdir()
    for name in ("a.bin", "b.bin"):
        (source / name).write_bytes(b"bytes")
    with palio.connect(store) as opened:
        command = [sys.executable, "-c", _REGISTERING, store, str(source)]
        pipe = subprocess.PIPE
        with subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, env=os.environ
        ) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == b"half\n"
            (found,) = opened.artifacts.gc(dry_run=False, older_than_s=0.0)
            assert found.fate is Fate.REMOVED
            _, said = other.communicate(b"go\ngo\n")
        assert other.returncode != 0
        assert b"StoreUnavailable" in said
        assert list(opened.models.list()) == []
        assert list(opened.artifacts.gc(older_than_s=0.0)) == []


def test_an_interrupted_registration_is_collected(tmp_path: Path) -> None:
    store, source = str(tmp_path / "palio.db"), tmp_path / "source"
    source.mkdir()
    (source / "a.bin").write_bytes(b"bytes")
    with palio.connect(store) as opened:
        command = [sys.executable, "-c", _REGISTERING, store, str(source)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=os.environ) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == b"half\n"
            other.kill()
        assert list(opened.models.list()) == []
        (found,) = opened.artifacts.gc(older_than_s=0.0)
        assert found.fate is Fate.REMOVABLE
        (found,) = opened.artifacts.gc(dry_run=False, older_than_s=0.0)
        assert found.fate is Fate.REMOVED
        assert list(opened.artifacts.gc(dry_run=False, older_than_s=0.0)) == []
