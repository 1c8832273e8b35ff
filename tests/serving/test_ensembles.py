"""Ensembles in memory: members that fail, that cannot be loaded, that are not what they were."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from palio.errors import (
    CorruptArtifact,
    InvalidInput,
    PredictionFailed,
    StoreUnavailable,
    UntrustedArtifact,
)
from palio.registry.domain import Version, VersionDraft
from palio.registry.ensembles.spec import Ensemble
from palio.registry.signature import Feature, FeatureType, Predictions, Signature, Task
from palio.serving.ensembles import EnsembleLoader, EnsemblePredictor, Member, Skip
from palio.testing.wired import Wired

X = (Feature("x", FeatureType.NUMBER),)
NUMBERS = Signature(X, Task.REGRESSION)
ABC = Signature(X, Task.CLASSIFICATION, ("a", "b", "c"))
Table = list[list[Any]]


@dataclass
class Model:
    """A model that does as it is told, and keeps how many rows it was asked about."""

    answer: Callable[[Table], Predictions]
    asked: list[int] = field(default_factory=list)

    def predict(self, table: Table) -> Predictions:
        self.asked.append(len(table))
        return self.answer(table)


def plus(number: float) -> Model:
    return Model(lambda table: Predictions([row[0] + number for row in table]))


def odd_fails(table: Table) -> Predictions:
    if any(row[0] % 2 for row in table):
        raise ValueError("odd\nand more")
    return Predictions([100.0 for _ in table])


def boom(_: Table) -> Predictions:
    raise RuntimeError("boom")


def not_a_number(table: Table) -> Predictions:
    return Predictions([math.nan for _ in table])


def infinite(table: Table) -> Predictions:
    made = Predictions([0.0 for _ in table])
    made.values[:] = [math.inf for _ in table]  # round the record's own check
    return made


def too_many(table: Table) -> Predictions:
    return Predictions([0.0] * (len(table) + 1))


def too_few(_: Table) -> Predictions:
    return Predictions([])


BROKEN = [boom, not_a_number, infinite, too_many, too_few]


def asking(
    *models: Model,
    log: list[str] | None = None,
    skip: Skip = lambda _, __, ___: None,
    signature: Signature = NUMBERS,
    **fields: Any,
) -> EnsemblePredictor:
    names = tuple(f"m:{at}" for at in range(len(models)))
    spec = Ensemble(**{"members": names, "combine": "mean"} | fields)
    members = [Member(name, signature, model) for name, model in zip(names, models, strict=True)]
    tell = (lambda _: None) if log is None else log.append
    return EnsemblePredictor("m:e", spec, members, signature, log=tell, skip=skip)


def test_members_are_asked_once_about_all_rows() -> None:
    models = [plus(1), plus(2), plus(6)]
    made = asking(*models).predict([[0.0], [10.0]])
    assert made == Predictions([3.0, 13.0])  # 9 / 3, 39 / 3
    assert [model.asked for model in models] == [[2], [2], [2]]


@pytest.mark.parametrize("broken", BROKEN)
def test_a_member_that_fails_fails_the_ensemble(broken: Any) -> None:
    with pytest.raises(PredictionFailed, match="2 of 2 members must answer, and m:1 failed: "):
        asking(plus(1), Model(broken)).predict([[0.0], [1.0]])


@pytest.mark.parametrize("broken", BROKEN)
def test_the_others_answer_for_it_where_it_is_skipped(broken: Any) -> None:
    log: list[str] = []
    made = asking(plus(1), Model(broken), plus(3), log=log, on_member_error="skip")
    for _ in range(3):
        assert made.predict([[0.0], [1.0]]) == Predictions([2.0, 3.0])
    (line,) = log  # once
    assert line.startswith("m:e answers without m:1, which failed: ")


def test_weights_of_the_others_stay_in_proportion() -> None:
    made = asking(
        plus(1),
        Model(boom),
        plus(4),
        combine="weighted_mean",
        weights=(0.2, 0.7, 0.1),
        on_member_error="skip",
    )
    (value,) = made.predict([[0.0]]).values
    assert value == pytest.approx((0.2 * 1 + 0.1 * 4) / 0.3, rel=1e-15)


def test_an_answer_does_not_depend_on_what_came_with_it() -> None:
    def new() -> EnsemblePredictor:
        return asking(plus(0), Model(odd_fails), on_member_error="skip")

    together = new().predict([[2.0], [3.0], [4.0]])
    assert together.values == [51.0, 3.0, 52.0]  # (2 + 100) / 2; 3 alone; (4 + 100) / 2
    alone = [new().predict([[row]]).values[0] for row in (2.0, 3.0, 4.0)]
    assert together.values == alone


def test_a_member_that_takes_single_rows_only_has_not_failed() -> None:
    def single(table: Table) -> Predictions:
        (row,) = table
        return Predictions([row[0]])

    log: list[str] = []
    made = asking(plus(2), Model(single), log=log, on_member_error="skip", min_members=2)
    assert made.predict([[0.0], [4.0]]).values == [1.0, 5.0]
    assert log == []


@pytest.mark.parametrize(("least", "enough"), [(1, True), (2, True), (3, False)])
def test_enough_must_be_left(least: int, *, enough: bool) -> None:
    models = [plus(1), Model(boom), plus(3)]
    made = asking(*models, on_member_error="skip", min_members=least)
    if enough:
        assert made.predict([[0.0]]).values == [2.0]
        return
    with pytest.raises(PredictionFailed) as caught:
        made.predict([[0.0]])
    assert caught.value.message == (
        "3 of 3 members must answer, and m:1 failed: RuntimeError: boom"
    )
    assert caught.value.details == {"members": ["m:1"]}


def test_rows_that_are_answered_without_a_member_are_counted() -> None:
    told: list[tuple[str, str, int]] = []

    def skip(*one: Any) -> None:
        told.append(one)

    models = [plus(1), Model(odd_fails), Model(boom)]
    made = asking(*models, skip=skip, on_member_error="skip")
    made.predict([[1.0], [2.0], [3.0]])
    assert told == [("m:e", "m:1", 2), ("m:e", "m:2", 3)]
    told.clear()
    with pytest.raises(PredictionFailed):  # an error of the ensemble, and of nobody else
        asking(*models, skip=skip, on_member_error="skip", min_members=2).predict([[1.0]])
    asking(plus(1), plus(2), skip=skip, on_member_error="skip").predict([[1.0]])
    assert told == []


def test_one_row_with_too_few_fails_what_was_asked_together() -> None:
    made = asking(plus(1), Model(odd_fails), on_member_error="skip", min_members=2)
    with pytest.raises(PredictionFailed, match=r"m:1 failed: ValueError: odd$"):
        made.predict([[2.0], [3.0]])


def test_all_may_not_fail() -> None:
    made = asking(Model(boom), Model(boom), on_member_error="skip")
    with pytest.raises(PredictionFailed, match=r"1 of 2 members must answer, and m:0 .*; m:1 "):
        made.predict([[0.0]])


def test_a_classifier_without_probabilities_has_failed_a_soft_vote() -> None:
    sure = Model(lambda table: Predictions(["b"] * len(table), [[0.1, 0.8, 0.1]] * len(table)))
    plain = Model(lambda table: Predictions(["a"] * len(table)))
    votes = {"signature": ABC, "on_member_error": "skip"}
    made = asking(plain, sure, combine="soft_vote", **votes).predict([[0.0], [1.0]])
    assert made == Predictions(["b", "b"], [[0.1, 0.8, 0.1]] * 2)
    made = asking(plain, sure, combine="hard_vote", **votes).predict([[0.0]])
    assert made == Predictions(["a"])  # a tie


# -- loading


@dataclass
class Inner:
    """A loader that gives each version a model, or an error."""

    given: dict[str, Model | Exception]
    loaded: list[str] = field(default_factory=list)

    def load(self, version: Version) -> Model:
        self.loaded.append(version.reference)
        given = self.given[version.reference]
        if isinstance(given, Exception):
            raise given
        return given


@dataclass
class House:
    """m:1 to m:3, and the ensemble m:e of them."""

    wired: Wired
    inner: Inner
    attested: Callable[[Version], None] = lambda _: None
    log: list[str] = field(default_factory=list)

    def combine(self, **fields: Any) -> Version:
        spec = Ensemble(**{"members": ("m:1", "m:2", "m:3"), "combine": "mean"} | fields)
        return self.wired.versions.combine("m", VersionDraft(version="e", flavor=""), spec)

    def load(self, version: Version) -> Any:
        loader = EnsembleLoader(
            self.inner,
            self.wired.files,
            self.wired.versions.get,
            attested=self.attested,
            log=self.log.append,
        )
        return loader.load(version)


@pytest.fixture
def house(wired: Wired) -> House:
    wired.register("m:1", "m:2", "m:3", signature=NUMBERS)
    return House(wired, Inner({"m:1": plus(1), "m:2": plus(2), "m:3": plus(6)}))


def test_other_versions_go_to_the_loader_inside(house: House) -> None:
    assert house.load(house.wired.versions.get("m:2")) is house.inner.given["m:2"]


def test_members_are_loaded_as_any_version(house: House) -> None:
    made = house.load(house.combine())
    assert made.predict([[0.0]]).values == [3.0]
    assert house.inner.loaded == ["m:1", "m:2", "m:3"]


def test_a_member_that_cannot_be_loaded_fails_the_ensemble(house: House) -> None:
    house.inner.given["m:2"] = UntrustedArtifact("m:2 runs code", setting="PALIO_ALLOW_PICKLE")
    with pytest.raises(UntrustedArtifact) as caught:
        house.load(house.combine())
    assert caught.value.message == (
        "m:e needs 3 of 3 members, and could not load m:2: m:2 runs code"
    )
    assert caught.value.details == {"setting": "PALIO_ALLOW_PICKLE"}


def test_whatever_a_member_raises_is_told(house: House) -> None:
    house.inner.given["m:2"] = KeyError("what\never")
    with pytest.raises(PredictionFailed, match="could not load m:2: KeyError: ") as caught:
        house.load(house.combine())
    assert caught.value.details == {"members": ["m:2"]}


def test_it_is_skipped_while_enough_are_left(house: House) -> None:
    house.inner.given["m:2"] = CorruptArtifact("m:2 differs", file="model")
    made = house.load(house.combine(on_member_error="skip", min_members=2))
    assert made.predict([[0.0], [1.0]]).values == [3.5, 4.5]  # (1 + 6) / 2
    (line,) = house.log  # at loading, and not again
    assert line.startswith("m:e is loaded without m:2: m:2 differs; ")


def test_and_not_when_too_few_are(house: House) -> None:
    for name in ("m:1", "m:2"):
        house.inner.given[name] = CorruptArtifact(f"{name} differs", file="model")
    told = "m:e needs 2 of 3 members, and could not load m:1: m:1 differs; m:2: m:2 differs"
    with pytest.raises(CorruptArtifact, match=told):
        house.load(house.combine(on_member_error="skip", min_members=2))


def test_files_that_cannot_be_reached_say_nothing_of_a_member(house: House) -> None:
    house.inner.given["m:2"] = StoreUnavailable("no route")  # the engine tries again
    with pytest.raises(StoreUnavailable, match="no route"):
        house.load(house.combine(on_member_error="skip"))


def test_the_spec_is_compared_before_it_is_read(house: House) -> None:
    made = house.combine()
    house.wired.files.kept["m:e"]["ensemble.json"] = Ensemble(
        members=("m:1", "m:2"), combine=made.training["ensemble"]["combine"]
    ).written()
    with pytest.raises(CorruptArtifact, match=r"m:e: ensemble\.json"):
        house.load(made)
    assert house.inner.loaded == []


def test_an_ensemble_is_held_to_its_signature_too(house: House) -> None:
    def refuse(version: Version) -> None:
        raise UntrustedArtifact(f"{version.reference} is not signed")

    house.attested = refuse
    with pytest.raises(UntrustedArtifact, match="m:e is not signed"):
        house.load(house.combine())
    assert house.inner.loaded == []


def test_a_member_that_is_another_now_is_noticed(house: House) -> None:
    """A database that somebody edited: records of versions never change."""
    made = house.combine()
    member = house.wired.versions.get("m:2")
    features = (Feature("y", FeatureType.NUMBER),)
    with house.wired.store.write() as unit:
        unit.versions.put_many([replace(member, signature=Signature(features, Task.REGRESSION))])
    with pytest.raises(CorruptArtifact, match="m:2 is not what m:e was made of"):
        house.load(made)
    with house.wired.store.write() as unit:
        unit.versions.put_many([replace(member, flavor="ensemble")])
    with pytest.raises(InvalidInput, match="m:2 is an ensemble"):
        house.load(made)


def test_what_claims_to_be_an_ensemble_and_is_none(house: House) -> None:
    odd = replace(house.wired.versions.get("m:1"), flavor="ensemble")
    with pytest.raises(InvalidInput, match="is no ensemble that `palio models combine` made"):
        house.load(odd)
