"""Ensembles as versions: registered, held to what they are made of, and in the way of deletion."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from palio.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from palio.registry.domain import Version, VersionDraft
from palio.registry.ensembles.members import ensembles_with, signature_over
from palio.registry.ensembles.spec import Ensemble, read_spec
from palio.registry.signature import Feature, FeatureType, Signature, Task
from palio.storage.store import SqlStore
from palio.testing.steps import in_threads
from palio.testing.wired import Wired

AGE = Feature("age", FeatureType.NUMBER)
BINARY = Signature((AGE,), Task.CLASSIFICATION, (0, 1))


def draft(version: str = "e1", **fields: Any) -> VersionDraft:
    return VersionDraft(**{"version": version, "flavor": ""} | fields)


def ensemble(*members: str, **fields: Any) -> Ensemble:
    return Ensemble(**{"members": members, "combine": "soft_vote"} | fields)


@pytest.fixture
def house(wired: Wired) -> Wired:
    """credit:1, credit:2 and fraud:1, which go together."""
    wired.register("credit:1", "credit:2", "fraud:1")
    return wired


def combined(house: Wired, *members: str, model: str = "credit", version: str = "e1") -> Version:
    return house.versions.combine(model, draft(version), ensemble(*members))


def test_an_ensemble_is_a_version_like_any_other(house: Wired) -> None:
    spec = ensemble("credit:1", "fraud:1", on_member_error="skip")
    made = house.versions.combine(
        "credit", draft(metrics={"auc": 0.9}, training={"seed": 1}, parent="credit:2"), spec
    )
    assert (made.reference, made.flavor, made.stage) == ("credit:e1", "ensemble", "development")
    assert (made.signature, made.type, made.parent) == (BINARY, "classification", "credit:2")
    assert made.training == {"seed": 1, "ensemble": spec.document()}
    assert made == house.versions.get("credit:e1")
    content = b"".join(house.versions.fetch("credit:e1", "ensemble.json"))
    assert read_spec(content) == spec
    assert {file.path for file in made.manifest.files} == {
        *("ensemble.json", "features.json", "metadata.json", "metrics.json")
    }
    house.versions.promote("credit:e1")
    assert house.models.aliases("credit") == {"champion": "e1"}
    assert [one.version for one in house.versions.search("flavor = 'ensemble'").versions] == ["e1"]
    assert "credit:1" in house.versions.card("credit:e1")
    assert [one.action for one in house.audit.list(limit=100)].count("version.register") == 4


def test_it_may_be_of_a_model_of_its_own(house: Wired) -> None:
    assert combined(house, "credit:1", "fraud:1", model="both").reference == "both:e1"
    with pytest.raises(AlreadyExists, match="both:e1 exists"):
        combined(house, "credit:1", "credit:2", model="both")


def test_a_feature_may_be_missing_where_every_member_lets_it(wired: Wired) -> None:
    def of(*nullable: bool) -> Signature:
        features = zip(("a", "b"), nullable, strict=True)
        listed = tuple(Feature(name, FeatureType.NUMBER, may) for name, may in features)
        return Signature(listed, Task.REGRESSION)

    wired.register("m:1", signature=of(True, True))
    wired.register("m:2", signature=of(False, True))
    members = [wired.versions.get("m:1"), wired.versions.get("m:2")]
    assert signature_over(members) == of(False, True)


def test_classes_stand_in_the_order_of_the_first(wired: Wired) -> None:
    wired.register("m:1", signature=replace(BINARY, classes=("no", "yes", "so")))
    wired.register("m:2", signature=replace(BINARY, classes=("so", "no", "yes")))
    made = wired.versions.combine("m", draft(), ensemble("m:2", "m:1"))
    assert made.signature is not None
    assert made.signature.classes == ("so", "no", "yes")


@pytest.mark.parametrize(
    ("signature", "told"),
    [
        (replace(BINARY, features=(Feature("pay", FeatureType.NUMBER),)), "takes other rows"),
        (replace(BINARY, features=(Feature("age", FeatureType.STRING),)), "takes other rows"),
        (replace(BINARY, features=(AGE, Feature("pay", FeatureType.NUMBER))), "takes other rows"),
        (replace(BINARY, classes=(0, 1, 2)), "knows other classes"),
        (replace(BINARY, classes=(False, True)), "knows other classes"),
        (Signature((AGE,), Task.REGRESSION), "takes other rows"),
        (replace(BINARY, classes=()), "names no classes"),
        (None, "has no signature and answers nobody"),
    ],
)
def test_members_must_go_together(house: Wired, signature: Signature | None, told: str) -> None:
    house.register("odd:1", signature=signature)
    with pytest.raises(InvalidInput, match=f"odd:1.*{told}|{told}.*odd:1") as caught:
        combined(house, "credit:1", "odd:1")
    assert caught.value.details["value"] == "odd:1"
    with pytest.raises(NotFound):
        house.versions.get("credit:e1")


def test_votes_over_numbers_are_refused(wired: Wired) -> None:
    wired.register("m:1", "m:2", signature=Signature((AGE,), Task.REGRESSION))
    with pytest.raises(InvalidInput, match="is for classes, and the members answer numbers"):
        combined(wired, "m:1", "m:2")


def test_there_are_no_ensembles_of_ensembles(house: Wired) -> None:
    combined(house, "credit:1", "fraud:1")
    with pytest.raises(InvalidInput, match=r"credit:e1 is an ensemble.*: credit:1, fraud:1"):
        combined(house, "credit:e1", "credit:2", version="e2")


def test_members_must_exist(house: Wired) -> None:
    with pytest.raises(NotFound, match="credit has no version '9'"):
        combined(house, "credit:1", "credit:9")
    with pytest.raises(NotFound, match="credit has no version 'e1'"):  # nor can it ask itself
        combined(house, "credit:1", "credit:e1")


@pytest.mark.parametrize("fields", [{"flavor": "sklearn"}, {"signature": BINARY}])
def test_what_follows_from_members_is_not_said(house: Wired, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="follows from its members; leave it out"):
        house.versions.combine("credit", draft(**fields), ensemble("credit:1", "credit:2"))


def test_files_are_no_ensemble(house: Wired, tmp_path: Path) -> None:
    (tmp_path / "ensemble.json").write_bytes(ensemble("credit:1", "credit:2").written())
    with pytest.raises(InvalidInput, match="palio models combine"):
        house.versions.register("credit", draft(flavor="ensemble"), tmp_path)


def test_a_member_that_goes_meanwhile_is_noticed(house: Wired) -> None:
    """Between the look at its members and the write, one is deleted."""
    versions = house.versions

    class Late:
        """The artifact store: while files are staged, somebody deletes a member."""

        def stage(self, *args: Any) -> Any:
            versions.delete("fraud:1")
            return house.files.stage(*args)

    late: Any = Late()
    with pytest.raises(NotFound, match="fraud:1 was deleted"):
        replace(versions, artifacts=late).combine(
            "credit", draft(), ensemble("credit:1", "fraud:1")
        )
    with pytest.raises(NotFound):
        versions.get("credit:e1")


# -- deleting


def test_a_member_cannot_be_deleted_while_it_is_asked(house: Wired) -> None:
    combined(house, "credit:1", "fraud:1")
    combined(house, "credit:1", "credit:2", model="both")
    with pytest.raises(Conflict) as caught:
        house.versions.delete("credit:1")
    assert caught.value.details["uses"] == [
        {"kind": "ensemble", "name": "credit:e1"},
        {"kind": "ensemble", "name": "both:e1"},
    ]
    house.versions.delete("both:e1")
    house.versions.delete("credit:e1")
    house.versions.delete("credit:1")


def test_a_model_cannot_be_deleted_while_another_models_ensemble_asks_it(house: Wired) -> None:
    combined(house, "credit:1", "fraud:1")
    with pytest.raises(Conflict, match="ensemble credit:e1"):
        house.models.delete("fraud")
    house.models.delete("credit")  # its own ensemble goes with it
    house.versions.delete("fraud:1")  # which asks nobody now
    house.models.delete("fraud")


def test_an_ensemble_comes_back_with_all_its_members_only(house: Wired) -> None:
    combined(house, "credit:1", "fraud:1")
    house.versions.delete("credit:e1")
    house.versions.delete("fraud:1")
    with pytest.raises(Conflict, match=r"for it asks fraud:1: fraud:1 was deleted") as caught:
        house.versions.restore("credit:e1")
    assert caught.value.details["member"] == "fraud:1"
    house.versions.restore("fraud:1")
    assert house.versions.restore("credit:e1").deleted_at is None


def test_a_model_comes_back_with_all_members_of_its_ensembles_only(house: Wired) -> None:
    combined(house, "credit:1", "fraud:1")
    house.models.delete("credit")
    house.versions.delete("fraud:1")
    with pytest.raises(Conflict, match="for it asks fraud:1"):
        house.models.restore("credit")
    house.versions.restore("fraud:1")
    house.models.restore("credit")
    house.models.delete("credit")
    house.versions.purge("credit:1")  # a version of a deleted model
    with pytest.raises(Conflict, match="for it asks credit:1"):
        house.models.restore("credit")


def test_other_versions_that_say_ensemble_are_in_nobodys_way(house: Wired) -> None:
    said = msgspec.to_builtins(ensemble("credit:1", "credit:2"))
    told = VersionDraft(version="3", flavor="x", training={"ensemble": said})
    house.versions.register("credit", told, Path("/nonexistent"))
    with house.store.read() as unit:
        assert ensembles_with(unit, "credit", "1") == []
    house.versions.delete("credit:1")


@pytest.mark.parametrize("own", ["a", "credit", "z"])  # before, of and behind the member's model
@pytest.mark.parametrize("way", ["combine", "restore"])
def test_of_an_ensemble_and_a_deletion_at_once_one_is_refused(
    sql_store: SqlStore, way: str, own: str
) -> None:
    house = Wired(sql_store)
    numbers = [str(number) for number in range(1, 7)]
    house.register(f"{own}:0", "credit:zero", *(f"credit:{number}" for number in numbers))
    for number in numbers:
        member, ensemble = f"credit:{number}", f"e{number}"
        jobs = [
            lambda member=member, ensemble=ensemble: combined(
                house, member, "credit:zero", model=own, version=ensemble
            ),
            lambda member=member: house.versions.delete(member),
        ]
        if way == "restore":
            jobs[0]()
            house.versions.delete(f"{own}:{ensemble}")
            jobs[0] = lambda ensemble=ensemble: house.versions.restore(f"{own}:{ensemble}")
        done: list[Version] = []

        def tried(place: int, jobs: Any = jobs, done: list[Version] = done) -> None:
            with suppress(Conflict, NotFound):
                done.append(jobs[place]())

        in_threads([tried] * 2)
        assert len(done) == 1
    assert house.audit.verify().broken is None
