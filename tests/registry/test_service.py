"""Verbs on models: registering, moving, aliases."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from palio.errors import (
    AlreadyExists,
    Conflict,
    IllegalTransition,
    InvalidInput,
    NotFound,
    PalioError,
)
from palio.registry.domain import MoveKind, VersionDraft
from palio.storage.store import SqlStore
from palio.testing.wired import Wired


@pytest.fixture
def three(wired: Wired) -> Wired:
    """A model with three versions, none of them champion."""
    wired.models.create("m")
    wired.register("m:1", "m:2", "m:3")
    return wired


def state(wired: Wired) -> tuple[Any, ...]:
    """Return all that a refused verb must not touch."""
    versions = {version.version: version.stage for version in wired.versions.list("m")}
    return versions, list(wired.models.history("m")), wired.models.aliases("m"), heads(wired)


def heads(wired: Wired) -> int:
    with wired.store.read() as unit:
        return unit.audit.head()


def refused(wired: Wired, kind: type[PalioError], match: str, verb: Any, *args: Any) -> PalioError:
    """Call a verb that must raise and leave everything as it was."""
    before = state(wired)
    with pytest.raises(kind, match=match) as caught:
        verb(*args)
    assert state(wired) == before
    return caught.value


# -- models and versions


def test_a_model_is_created_and_found(wired: Wired) -> None:
    made = wired.models.create("credit-risk", "who pays", "strict")
    assert wired.models.get("credit-risk") == made
    assert (made.description, made.lifecycle, made.created_by) == ("who pays", "strict", "ann")
    assert made.created_at == wired.clock.now
    assert [model.name for model in wired.models.list()] == ["credit-risk"]


def test_a_model_exists_once(three: Wired) -> None:
    refused(three, AlreadyExists, "take another name", three.models.create, "m")


def test_unknown_models_and_versions(three: Wired) -> None:
    models, versions = three.models, three.versions
    for call in (models.get, versions.list, models.aliases, models.history, models.lifecycle):
        refused(three, NotFound, "no model is named 'x'", call, "x")
    refused(three, NotFound, "no model is named 'x'", versions.get, "x:1")
    refused(three, NotFound, "m has no version '9'", versions.get, "m:9")
    refused(three, NotFound, "m has no alias 'champion'", versions.get, "m@champion")
    refused(three, NotFound, "no model is named 'x'", models.rollback, "x")


def test_versions_are_numbered(three: Wired) -> None:
    assert [version.ordinal for version in three.versions.list("m")] == [1, 2, 3]
    assert three.versions.get("models:/m/2").ordinal == 2


def test_a_version_never_changes(three: Wired) -> None:
    refused(three, AlreadyExists, "versions never change", three.register, "m:1")


def test_registering_makes_the_model(wired: Wired) -> None:
    wired.register("fresh:1")
    assert wired.models.get("fresh").lifecycle == "standard"


def test_registering_keeps_the_files(wired: Wired, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "model.bin").write_bytes(b"bytes")
    draft = VersionDraft(version="1", flavor="x", metrics={"auc": 0.9}, tags={"k": "v"})
    made = wired.versions.register("m", draft, tmp_path)
    assert wired.files.read("m", "1", made.manifest, below="a/") == {"a/model.bin": b"bytes"}
    found = wired.versions.get("m:1")
    assert found == made
    assert (found.metrics, found.tags, found.stage) == ({"auc": 0.9}, {"k": "v"}, "development")


def test_refused_files_are_not_published(wired: Wired, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"one")
    first = wired.versions.register("m", VersionDraft(version="1", flavor="x"), tmp_path)
    (tmp_path / "model.bin").write_bytes(b"two")
    with pytest.raises(AlreadyExists):
        wired.versions.register("m", VersionDraft(version="1", flavor="x"), tmp_path)
    assert wired.files.read("m", "1", first.manifest)["model.bin"] == b"one"


@pytest.mark.parametrize("name", ["", "../x", "a/b"])
def test_names_are_checked(wired: Wired, name: str) -> None:
    with pytest.raises(InvalidInput, match="is no name"):
        wired.models.create(name)
    with pytest.raises(InvalidInput, match="is no name"):
        VersionDraft(version=name, flavor="x")


# -- stages


def test_a_version_moves_along_its_lifecycle(three: Wired) -> None:
    moved = three.versions.move("m:1", "staging", "tests passed")
    assert three.versions.get("m:1") == moved
    assert moved.stage == "staging"
    last = three.audit.list()[-1]
    assert (last.action, last.before, last.after) == (
        "version.move",
        {"stage": "development"},
        {"stage": "staging"},
    )
    assert last.reason == "tests passed"


def test_no_way_back_and_the_message_lists_what_is(three: Wired) -> None:
    three.versions.move("m:1", "failed")
    error = refused(
        three,
        IllegalTransition,
        "allowed from failed: archived",
        three.versions.move,
        "m:1",
        "testing",
    )
    assert error.details["allowed"] == ["archived"]
    three.versions.move("m:1", "archived")
    refused(three, IllegalTransition, "it is an end", three.versions.move, "m:1", "failed")


def test_an_unknown_stage(three: Wired) -> None:
    refused(three, InvalidInput, "is no stage of the lifecycle", three.versions.move, "m:1", "x")
    three.versions.promote("m:1")
    refused(
        three,
        InvalidInput,
        "it has development, validation",
        three.versions.promote,
        "m:2",
        None,
        "x",
    )


def test_production_is_entered_by_promote_only(three: Wired) -> None:
    refused(three, Conflict, "use promote", three.versions.move, "m:1", "production")


def test_a_champion_leaves_production_with_nobody_to_follow(three: Wired) -> None:
    three.versions.promote("m:1")
    moved = three.versions.move("m:1", "deprecated", "it is of no use")
    assert (moved.stage, three.versions.get("m:1").stage) == ("deprecated", "deprecated")
    assert three.models.aliases("m") == {}
    last = three.audit.list()[-1]
    assert (last.action, last.subject, last.reason) == ("version.move", "m:1", "it is of no use")
    assert last.before == {"stage": "production", "champion": "1"}
    assert last.after == {"stage": "deprecated", "champion": None}
    assert three.versions.promote("m:1").stage == "production"


def test_a_champion_that_an_endpoint_names_stays_in_production(three: Wired) -> None:
    three.versions.promote("m:1")
    three.endpoints.create("e", "m")
    three.endpoints.load("e", "1")
    refused(three, Conflict, "names it: endpoint e", three.versions.move, "m:1", "deprecated")
    refused(three, IllegalTransition, "cannot go from", three.versions.move, "m:1", "archived")


# -- promote and rollback


def test_promote_crowns_and_retires(three: Wired) -> None:
    three.versions.promote("m:1")
    three.clock.advance(60)
    promoted = three.versions.promote("m:2", reason="better")
    assert (promoted.stage, promoted.approved_by) == ("production", "ann")
    assert three.versions.get("m@champion") == promoted
    assert three.versions.get("m:1").stage == "deprecated"
    [first, second] = three.models.history("m")
    assert (second.version, second.previous, second.kind) == ("2", "1", MoveKind.SET)
    assert (second.at - first.at).total_seconds() == 60
    last = three.audit.list()[-1]
    assert (last.action, last.subject, last.reason) == ("version.promote", "m:2", "better")
    assert last.before == {"champion": "1", "stage": "development"}
    assert last.after == {"champion": "2", "stage": "production", "approved_by": "ann"}


def test_promote_by_alias(three: Wired) -> None:
    three.models.set_alias("m", "next", "3")
    assert three.versions.promote("m@next").version == "3"
    assert three.audit.list()[-1].subject == "m:3"


def test_the_champion_is_not_promoted_again(three: Wired) -> None:
    three.versions.promote("m:1")
    refused(three, Conflict, "champion already", three.versions.promote, "m:1")
    refused(three, Conflict, "champion already", three.versions.promote, "m:1", "1")


def test_the_former_champion_goes_where_it_is_told(wired: Wired) -> None:
    wired.models.create("m")
    wired.register("m:1", "m:2")
    wired.versions.promote("m:1")
    refused(
        wired,
        IllegalTransition,
        "allowed from production: deprecated",
        wired.versions.promote,
        "m:2",
        None,
        "archived",
    )
    wired.versions.promote("m:2", former_to="deprecated")
    assert wired.versions.get("m:1").stage == "deprecated"


def test_strict_skips_nothing(wired: Wired) -> None:
    wired.models.create("m", lifecycle="strict")
    wired.register("m:1")
    refused(
        wired,
        IllegalTransition,
        "allowed from development: validation, failed",
        wired.versions.promote,
        "m:1",
    )


@pytest.mark.parametrize("expected", ["2", ""])
def test_a_promotion_on_a_wrong_belief_changes_nothing(three: Wired, expected: str) -> None:
    three.versions.promote("m:1")
    error = refused(
        three,
        Conflict,
        f"points at 1, not at {expected or 'nothing'}",
        three.versions.promote,
        "m:3",
        expected,
    )
    assert (error.details["expected"], error.details["actual"]) == (expected, "1")


def test_a_promotion_on_a_right_belief(three: Wired) -> None:
    refused(three, Conflict, "points at nothing, not at 9", three.versions.promote, "m:1", "9")
    three.versions.promote("m:1", expected="")
    assert three.versions.promote("m:2", expected="1").version == "2"


def test_rollback_goes_one_step_back_each_time(three: Wired) -> None:
    for version in "123":
        three.versions.promote(f"m:{version}")
    assert three.models.rollback("m", "broken").version == "2"
    assert three.models.rollback("m").version == "1"
    refused(three, Conflict, "no champion before this one", three.models.rollback, "m")
    assert three.versions.promote("m:3").version == "3"
    assert three.models.rollback("m").version == "1"
    entry = three.audit.list()[-1]
    assert (entry.action, entry.subject) == ("version.rollback", "m:1")
    assert [move.kind for move in three.models.history("m")][3:] == [
        MoveKind.ROLLBACK,
        MoveKind.ROLLBACK,
        MoveKind.SET,
        MoveKind.ROLLBACK,
    ]


def test_rollback_needs_two(three: Wired) -> None:
    refused(three, Conflict, "promote a version instead", three.models.rollback, "m")
    three.versions.promote("m:1")
    refused(three, Conflict, "promote a version instead", three.models.rollback, "m")


def test_rollback_to_what_cannot_serve_again(three: Wired) -> None:
    three.versions.promote("m:1")
    three.versions.promote("m:2")
    three.versions.move("m:1", "archived")
    refused(three, IllegalTransition, "it is an end", three.models.rollback, "m")


# -- aliases


def test_the_champion_is_no_common_alias(three: Wired) -> None:
    refused(
        three, Conflict, "use promote or rollback", three.models.set_alias, "m", "champion", "1"
    )


def test_an_alias_moves_by_compare_and_set(three: Wired) -> None:
    models = three.models
    first = models.set_alias("m", "next", "1", expected="")
    assert (first.seq, first.previous) == (1, None)
    refused(
        three,
        Conflict,
        "points at 1, not at nothing",
        partial(models.set_alias, expected=""),
        "m",
        "next",
        "2",
    )
    refused(
        three,
        Conflict,
        "points at 1, not at 3",
        partial(models.set_alias, expected="3"),
        "m",
        "next",
        "2",
    )
    assert models.set_alias("m", "next", "2", expected="1").previous == "1"
    assert models.set_alias("m", "next", "3").previous == "2"
    assert models.aliases("m") == {"next": "3"}
    assert [move.version for move in models.history("m", "next")] == ["1", "2", "3"]
    last = three.audit.list()[-1]
    assert (last.action, last.subject, last.before, last.after) == (
        "alias.set",
        "m@next",
        {"version": "2"},
        {"version": "3"},
    )


def test_an_alias_needs_a_version_and_a_name(three: Wired) -> None:
    refused(three, NotFound, "no version '9'", three.models.set_alias, "m", "next", "9")
    refused(three, InvalidInput, "is no name", three.models.set_alias, "m", "a b", "1")


def test_every_verb_leaves_one_entry(three: Wired) -> None:
    before = heads(three)
    three.versions.promote("m:1")
    three.versions.promote("m:2")
    three.models.rollback("m")
    three.versions.move("m:3", "testing")
    three.models.set_alias("m", "next", "3")
    assert heads(three) == before + 5
    assert three.audit.verify().broken is None


def test_first_versions_of_one_new_model_at_once_are_all_kept(sql_store: SqlStore) -> None:
    together = Wired(sql_store)
    barrier = threading.Barrier(6)

    def register(number: int) -> str:
        barrier.wait()
        return together.register(f"new:{number}")[0].version

    with ThreadPoolExecutor(6) as pool:
        kept = set(pool.map(register, range(6)))
    assert {one.version for one in together.versions.list("new")} == kept
    assert sorted(one.ordinal for one in together.versions.list("new")) == [1, 2, 3, 4, 5, 6]
    assert together.audit.verify().broken is None
