"""Deleting, restoring and purging: what is refused, what is found, what stays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from palio.access.domain import Role
from palio.errors import (
    AlreadyExists,
    Conflict,
    CorruptArtifact,
    IllegalTransition,
    NotFound,
    PalioError,
    StoreUnavailable,
)
from palio.experiments.designs.design import ExperimentDraft, Metrics, Variant
from palio.registry.domain import MoveKind, VersionDraft
from palio.registry.lifecycle import Lifecycle
from palio.storage.store import SqlStore
from palio.testing.steps import in_threads
from palio.testing.wired import Wired

DESIGN = ExperimentDraft(
    key="ab",
    endpoint="credit",
    variants=(Variant("control", "1", 0.5), Variant("challenger", "2", 0.5)),
    metrics=Metrics(goal="brier"),
)


@pytest.fixture
def served(wired: Wired) -> Wired:
    """``credit`` with the versions 1, 2 and 3; 1 is champion behind an endpoint."""
    wired.serve("1", "2", "3")
    return wired


@pytest.fixture
def filed(wired: Wired, tmp_path: Path) -> Wired:
    """``m:1``, with a file."""
    (tmp_path / "model.bin").write_bytes(b"bytes")
    wired.versions.register("m", VersionDraft(version="1", flavor="x"), tmp_path)
    return wired


def entries(wired: Wired) -> list[tuple[str, str]]:
    return [(entry.action, entry.subject) for entry in wired.audit.list(limit=1_000)]


def refused(wired: Wired, kind: type[PalioError], match: str, verb: Any, *args: Any) -> PalioError:
    """Call a verb that must raise and leave no trace."""
    before = entries(wired)
    with pytest.raises(kind, match=match) as caught:
        verb(*args)
    assert entries(wired) == before
    return caught.value


# -- versions


def test_a_deleted_version_is_hidden_and_comes_back_as_it_was(served: Wired) -> None:
    served.versions.move("credit:3", "testing")
    before = served.versions.get("credit:3")
    served.clock.advance(60)
    deleted = served.versions.delete("credit:3", reason="wrong year")
    assert deleted.deleted_at == served.clock.now
    assert [one.version for one in served.versions.list("credit")] == ["1", "2"]
    everything = served.versions.list("credit", deleted=True)
    assert [one.version for one in everything] == ["1", "2", "3"]
    assert served.versions.get("credit:3", deleted=True) == deleted == everything[-1]
    assert served.versions.restore("credit:3", reason="it was not") == before
    assert served.versions.get("credit:3") == before
    last = served.audit.list(limit=1_000)[-2:]
    assert [(e.action, e.subject, e.reason) for e in last] == [
        ("version.delete", "credit:3", "wrong year"),
        ("version.restore", "credit:3", "it was not"),
    ]
    assert (last[0].before, last[1].after) == ({"deleted_at": None}, {"deleted_at": None})


REFUSING: list[Callable[[Wired], Any]] = [
    lambda w: w.versions.get("credit:2"),
    lambda w: w.versions.get("models:/credit/2"),
    lambda w: w.versions.promote("credit:2"),
    lambda w: w.versions.move("credit:2", "testing"),
    lambda w: w.models.set_alias("credit", "next", "2"),
    lambda w: w.versions.requirements("credit:2"),
    lambda w: w.versions.compare(["credit:1", "credit:2"]),
    lambda w: w.versions.delete("credit:2"),
    lambda w: w.versions.edit("credit:2", description="x"),
    lambda w: [*w.versions.fetch("credit:2", "model.bin")],
    lambda w: w.endpoints.override("credit", "2"),
    lambda w: w.experiments.draft(DESIGN),
]


@pytest.mark.parametrize("verb", REFUSING)
def test_no_verb_takes_a_deleted_version(served: Wired, verb: Callable[[Wired], Any]) -> None:
    served.versions.delete("credit:2")
    gone = r"credit:2 was deleted at 2026-01-01T00:00:00\+00:00; `palio models restore credit:2` "
    refused(served, NotFound, gone, verb, served)


def test_nothing_is_deleted_while_something_points_at_it(served: Wired) -> None:
    models, versions = served.models, served.versions
    refused(served, Conflict, "uses it: alias credit@champion; point", versions.delete, "credit:1")
    models.set_alias("credit", "next", "2")
    models.set_alias("credit", "shadow", "2")
    served.endpoints.override("credit", "2")
    served.experiments.draft(DESIGN)
    told = refused(served, Conflict, "credit:2 cannot be deleted", versions.delete, "credit:2")
    assert told.details["uses"] == [
        {"kind": "alias", "name": "credit@next"},
        {"kind": "alias", "name": "credit@shadow"},
        {"kind": "endpoint", "name": "credit"},
        {"kind": "experiment", "name": "ab"},
    ]
    models.clear_alias("credit", "next")
    models.set_alias("credit", "shadow", "3")
    served.endpoints.clear("credit")
    refused(served, Conflict, "uses it: experiment ab; ", versions.delete, "credit:2")
    served.experiments.stop("ab", "enough")
    assert versions.delete("credit:2").deleted_at is not None


def test_an_experiment_holds_its_variants_and_its_champion_until_it_ends(served: Wired) -> None:
    served.versions.promote("credit:3")
    served.run(DESIGN)  # 1 and 2 are variants, 3 is the champion it started with
    served.versions.promote("credit:1")
    for state in ("running", "paused"):
        assert served.experiments.get("ab").state == state
        for version in ("2", "3"):
            refused(served, Conflict, "experiment ab", served.versions.delete, f"credit:{version}")
        if state == "running":
            served.experiments.pause("ab")
    served.experiments.complete("ab")
    for version in ("2", "3"):
        served.versions.delete(f"credit:{version}")


def test_an_alias_names_what_keeps_its_version(served: Wired) -> None:
    served.models.set_alias("credit", "next", "2")
    refused(served, Conflict, "alias credit@next", served.versions.delete, "credit@next")


def test_rollback_does_not_crown_what_was_deleted(served: Wired) -> None:
    served.versions.promote("credit:2")
    served.versions.delete("credit:1")
    match = (
        "the champion before this one, credit:1, was deleted at .*; `palio models restore "
        "credit:1` brings it back, or promote a version"
    )
    refused(served, Conflict, match, served.models.rollback, "credit")
    served.versions.restore("credit:1")
    assert served.models.rollback("credit").version == "1"


def test_rollback_says_when_a_restore_does_not_help(served: Wired) -> None:
    served.versions.promote("credit:2")
    served.versions.delete("credit:1")
    served.versions.purge("credit:1")
    match = "its files were purged at .*; use another version, or promote a version"
    refused(served, Conflict, match, served.models.rollback, "credit")


def test_what_is_not_deleted_is_neither_restored_nor_purged(served: Wired) -> None:
    versions = served.versions
    refused(served, Conflict, "credit:1 is not deleted; nothing", versions.restore, "credit:1")
    match = "only what is deleted can be purged; `palio models delete credit:2` first"
    refused(served, Conflict, match, versions.purge, "credit:2")
    for verb in (versions.delete, versions.restore, versions.purge):
        refused(served, NotFound, "credit has no version '9'", verb, "credit:9")
        refused(served, NotFound, "no model is named 'x'", verb, "x:1")


# -- purging


def test_a_purge_takes_the_files_and_leaves_the_record(filed: Wired) -> None:
    version = filed.versions.get("m:1")
    filed.versions.delete("m:1")
    assert filed.files.read("m", "1", version.manifest)["model.bin"] == b"bytes"
    filed.clock.advance(60)
    purged = filed.versions.purge("m:1", reason="request 4711")
    with pytest.raises(CorruptArtifact):
        filed.files.read("m", "1", version.manifest)
    assert purged == filed.versions.get("m:1", deleted=True)
    assert (purged.purged_at, purged.manifest) == (filed.clock.now, version.manifest)
    last = filed.audit.list(limit=1_000)[-1]
    assert (last.action, last.subject, last.reason) == ("version.purge", "m:1", "request 4711")
    assert list(last.after or {}) == ["purged_at"]
    match = "m:1 cannot be restored: its files were purged at .*; use another version"
    refused(filed, Conflict, match, filed.versions.restore, "m:1")
    refused(filed, NotFound, "files were purged at", filed.versions.promote, "m:1")


def test_a_purge_is_for_admins(filed: Wired) -> None:
    filed.versions.delete("m:1")
    operator = filed.acting("bob", Role.OPERATOR)
    refused(filed, PalioError, "needs admin", operator.versions.purge, "m:1")


def test_an_interrupted_purge_is_finished_by_the_next(
    filed: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StoreUnavailable("power cut")

    filed.versions.delete("m:1")
    with monkeypatch.context() as patched:
        patched.setattr(filed.files, "remove", fail)
        with pytest.raises(StoreUnavailable):
            filed.versions.purge("m:1")
    marked = filed.versions.get("m:1", deleted=True)
    assert marked.purged_at is not None
    assert filed.files.read("m", "1", marked.manifest)
    before = entries(filed)
    assert before[-1] == ("version.purge", "m:1")
    filed.clock.advance(60)
    assert filed.versions.purge("m:1") == marked
    assert entries(filed) == before
    with pytest.raises(CorruptArtifact):
        filed.files.read("m", "1", marked.manifest)


def test_an_interrupted_purge_is_finished_by_gc(
    filed: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    filed.versions.delete("m:1")
    with monkeypatch.context() as patched:
        patched.setattr(filed.files, "remove", lambda *_: None)
        filed.versions.purge("m:1")
    assert "m:1" in filed.files.kept
    filed.clock.advance(7_200)
    [found] = filed.artifacts.gc(dry_run=False)
    assert found.why == "the version was purged"
    assert "m:1" not in filed.files.kept


@pytest.mark.parametrize("purged", [False, True])
def test_a_name_never_means_other_bytes(filed: Wired, tmp_path: Path, *, purged: bool) -> None:
    filed.versions.delete("m:1")
    if purged:
        filed.versions.purge("m:1")
    draft = VersionDraft(version="1", flavor="x")
    match = "m:1 was deleted, and its name never means other bytes; register under another"
    refused(filed, AlreadyExists, match, filed.versions.register, "m", draft, tmp_path)
    again = filed.versions.register("m", VersionDraft(version="2", flavor="x"), tmp_path)
    assert again.ordinal == 2


# -- models


def test_a_deleted_model_leaves_production_and_comes_back_without_champion(wired: Wired) -> None:
    wired.register("m:1", "m:2", "other:1")
    wired.versions.promote("m:1")
    wired.versions.promote("m:2")
    wired.clock.advance(60)
    deleted = wired.models.delete("m", reason="no use")
    assert deleted.deleted_at == wired.clock.now
    assert [model.name for model in wired.models.list()] == ["other"]
    assert [model.name for model in wired.models.list(deleted=True)] == ["m", "other"]
    assert wired.models.get("m", deleted=True) == deleted
    last = wired.audit.list(limit=1_000)[-1]
    assert (last.action, last.subject, last.reason) == ("model.delete", "m", "no use")
    assert (last.before or {})["champion"] == "2"
    assert wired.models.history("m")[-1].kind is MoveKind.CLEARED
    assert wired.models.restore("m").deleted_at is None
    assert wired.models.aliases("m") == {}
    assert {one.version: one.stage for one in wired.versions.list("m")} == {
        "1": "deprecated",
        "2": "deprecated",
    }
    refused(wired, Conflict, "no champion before this one", wired.models.rollback, "m")
    wired.versions.promote("m:2")
    assert entries(wired)[-2:] == [("model.restore", "m"), ("version.promote", "m:2")]


HIDDEN: list[Callable[[Wired], Any]] = [
    lambda w: w.models.get("m"),
    lambda w: w.versions.list("m"),
    lambda w: w.versions.get("m:1"),
    lambda w: w.models.aliases("m"),
    lambda w: w.models.lifecycle("m"),
    lambda w: w.versions.promote("m:1"),
    lambda w: w.versions.move("m:1", "testing"),
    lambda w: w.models.rollback("m"),
    lambda w: w.models.set_alias("m", "next", "1"),
    lambda w: w.models.clear_alias("m", "next"),
    lambda w: w.models.adopt("m", "strict"),
    lambda w: w.versions.delete("m:1"),
    lambda w: w.versions.restore("m:1"),
    lambda w: w.models.delete("m"),
    lambda w: w.models.edit("m", description="x"),
    lambda w: w.register("m:1"),
    lambda w: w.register("m:9"),
    lambda w: w.endpoints.create("e", "m"),
]


@pytest.mark.parametrize("verb", HIDDEN)
def test_no_verb_takes_a_deleted_model(wired: Wired, verb: Callable[[Wired], Any]) -> None:
    wired.register("m:1")
    wired.models.delete("m")
    match = r"the model 'm' was deleted at 2026-.*; `palio models restore m` brings it back"
    refused(wired, NotFound, match, verb, wired)


def test_the_name_of_a_deleted_model_stays_taken(wired: Wired) -> None:
    wired.register("m:1")
    wired.models.delete("m")
    match = "the model 'm' was deleted, and keeps its name; `palio models restore m` brings"
    refused(wired, AlreadyExists, match, wired.models.create, "m")


def test_what_happened_to_a_deleted_model_is_still_known(wired: Wired) -> None:
    wired.register("m:1")
    wired.versions.promote("m:1")
    then = wired.clock.now
    wired.clock.advance(60)
    wired.models.delete("m")
    assert wired.models.at("m", then).version == "1"
    assert wired.models.at("m", wired.clock.now).version is None
    assert [move.version for move in wired.models.history("m")] == ["1", None]
    assert wired.versions.get("m:1", deleted=True).stage == "deprecated"
    assert [one.version for one in wired.versions.list("m", deleted=True)] == ["1"]


def test_a_version_of_a_deleted_model_can_be_purged(filed: Wired) -> None:
    manifest = filed.versions.get("m:1").manifest
    filed.models.delete("m")
    purged = filed.versions.purge("m:1")
    assert purged.deleted_at == purged.purged_at == filed.clock.now
    with pytest.raises(CorruptArtifact):
        filed.files.read("m", "1", manifest)
    filed.models.restore("m")
    refused(filed, NotFound, "m:1 was deleted at", filed.versions.promote, "m:1")


def test_a_model_in_use_is_not_deleted(served: Wired) -> None:
    served.models.set_alias("credit", "next", "2")
    served.experiments.draft(DESIGN)
    delete = served.models.delete
    told = refused(served, Conflict, "the model 'credit' cannot be deleted", delete, "credit")
    assert told.details["uses"] == [
        {"kind": "alias", "name": "credit@next"},
        {"kind": "endpoint", "name": "credit"},
        {"kind": "experiment", "name": "ab"},
    ]
    match = "the model 'credit' is not deleted; nothing to restore"
    refused(served, Conflict, match, served.models.restore, "credit")


def test_a_champion_that_cannot_retire_stays(wired: Wired) -> None:
    # declared today it would be refused: production must lead to where champions retire to
    stuck = Lifecycle(
        name="stuck", initial="a", production="b", retired="c",
        transitions={"a": ("b",), "b": (), "c": ()},
    )  # fmt: skip
    with wired.store.write() as unit:
        unit.lifecycles.add(stuck)
    wired.models.create("m", lifecycle="stuck")
    wired.register("m:1")
    wired.versions.promote("m:1")
    refused(wired, IllegalTransition, "m:1 cannot go from b to c", wired.models.delete, "m")
    assert wired.versions.get("m@champion").version == "1"


# -- on databases


def test_the_whole_way_on_databases(sql_store: SqlStore) -> None:
    wired = Wired(sql_store)
    wired.serve("1", "2")
    wired.versions.delete("credit:2")
    assert [one.version for one in wired.versions.list("credit")] == ["1"]
    wired.versions.purge("credit:2")
    tombstone = wired.versions.get("credit:2", deleted=True)
    assert tombstone.purged_at == wired.clock.now
    wired.register("spare:1")
    wired.versions.promote("spare:1")
    wired.models.delete("spare")
    assert [model.name for model in wired.models.list()] == ["credit"]
    assert wired.models.restore("spare").deleted_at is None
    assert wired.models.aliases("spare") == {}
    assert wired.audit.verify().broken is None


USERS: list[Callable[[Wired, str], Any]] = [
    lambda w, v: w.endpoints.override("credit", v),
    lambda w, v: w.models.set_alias("credit", "next", v),
    lambda w, v: w.versions.promote(f"credit:{v}"),
    lambda w, v: w.experiments.draft(
        replace(DESIGN, key=f"ab{v}", variants=(Variant("a", "0", 0.5), Variant("b", v, 0.5)))
    ),
]


def tried(jobs: Sequence[Callable[[], Any]], done: list[object], place: int) -> None:
    """Do a job, unless it is refused."""
    with suppress(Conflict, NotFound):
        done.append(jobs[place]())


@pytest.mark.parametrize("use", USERS, ids=["override", "alias", "promote", "draft"])
def test_of_a_use_and_a_deletion_at_once_one_is_refused(
    sql_store: SqlStore, use: Callable[[Wired, str], Any]
) -> None:
    wired = Wired(sql_store)
    versions = [str(number) for number in range(1, 9)]
    wired.serve("0", *versions)
    for version in versions:
        done: list[object] = []
        jobs = (partial(use, wired, version), partial(wired.versions.delete, f"credit:{version}"))
        in_threads([partial(tried, jobs, done)] * 2)
        assert len(done) == 1
    assert wired.audit.verify().broken is None
