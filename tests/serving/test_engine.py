"""The engine: routes and models in memory, swapped whole, asked in batches."""

from __future__ import annotations

from typing import Any

import pytest
from tests.experiments.bandit_cases import bandit

from palio.delivery.domain import PredictRequest
from palio.errors import (
    CorruptArtifact,
    InvalidInput,
    InvalidRows,
    NotFound,
    PredictionFailed,
    StoreUnavailable,
)
from palio.experiments.designs.design import Variant
from palio.serving.engine import Engine, told
from palio.serving.jobs import Job
from palio.testing.records import outcome, prediction

from .conftest import House, ask


def job(engine: Engine, request: PredictRequest) -> Job:
    chosen = engine.choose(request)
    return engine.admit(request, chosen, engine.loaded(chosen[2]) or engine.load(chosen[2]))


def test_each_job_is_answered_its_own_rows(house: House) -> None:
    house.engine.refresh()
    requests = [ask(1, 2, request_id="a"), ask(10, request_id="b"), ask(5, 6, 7, request_id="c")]
    jobs = [job(house.engine, request) for request in requests]
    given = house.engine.answer(jobs)
    assert [one.request_id for one in given] == ["a", "b", "c"]
    assert [one.values for one in given] == [[2, 3], [11], [6, 7, 8]]
    (table,) = house.loader.models["v1"].tables
    assert table == [[1], [2], [10], [5], [6], [7]]  # one call for all


def test_versions_are_asked_apart_and_answers_keep_their_order(house: House) -> None:
    house.engine.refresh()
    names = ["v1", "v2", "v1", "v3", "v2"]
    jobs = [job(house.engine, ask(at, version=name)) for at, name in enumerate(names)]
    given = house.engine.answer(jobs)
    assert [one.version for one in given] == names
    assert [one.values for one in given] == [[1], [3], [3], [6], [6]]
    assert [len(house.loader.models[name].tables) for name in ("v1", "v2", "v3")] == [1, 1, 1]


def test_one_bad_job_fails_alone(house: House) -> None:
    house.engine.refresh()

    def answering(table: Any) -> list[float]:
        if any(row[0] < 0 for row in table):
            raise ValueError("negative\nand more")
        return [row[0] for row in table]

    house.loader.models["v1"].answering = answering
    jobs = [job(house.engine, ask(number)) for number in (1, -1, 2)]
    good, bad, other = house.engine.answer(jobs)
    assert (good.values, other.values) == ([1], [2])
    assert (good.error, other.error) == (None, None)
    assert (bad.values, bad.error) == ([], "ValueError: negative")
    with pytest.raises(PredictionFailed, match="m:v1 failed: ValueError: negative"):
        told(jobs[1], bad)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_model_that_answers_too_few_or_too_many_has_failed(house: House, count: int) -> None:
    house.engine.refresh()
    house.loader.models["v1"].answering = lambda _: [1.0] * count
    (given,) = house.engine.answer([job(house.engine, ask(1, 2))])
    assert given.error == f"ValueError: the model gave {count} answers to 2 rows"


@pytest.mark.parametrize("said", ["", "half \ud800", "x" * 1_000, "a\nb"])
def test_whatever_a_model_says_can_be_kept(house: House, said: str) -> None:
    house.engine.refresh()

    def answering(_: Any) -> list[float]:
        raise RuntimeError(said)

    house.loader.models["v1"].answering = answering
    given = house.engine.answer([job(house.engine, ask(1))])
    house.engine.record(given)
    (kept,) = house.recorded()
    assert kept.error is not None
    assert kept.error.startswith("RuntimeError: ")
    assert len(kept.error) <= 310


def test_a_model_that_answers_no_number_has_failed(house: House) -> None:
    house.engine.refresh()
    house.loader.models["v1"].answering = lambda _: [float("nan")]
    (given,) = house.engine.answer([job(house.engine, ask(1))])
    assert given.error == "ValueError: the model answered nan, which is no number"


def test_a_refresh_that_nothing_asks_for_costs_nothing(house: House) -> None:
    house.engine.refresh()
    snapshot, reads = house.engine.snapshot, house.store.reads
    for _ in range(3):
        house.engine.refresh(ask_store=False)
    assert house.store.reads == reads
    house.engine.refresh()
    assert house.store.reads == reads + 1
    assert house.engine.snapshot is snapshot  # nothing has changed
    assert house.loader.loaded == ["v1"]


def test_own_changes_are_seen_without_being_told(house: House) -> None:
    house.engine.refresh()
    house.versions.promote("m:v2")
    house.engine.refresh(ask_store=False)
    assert house.engine.snapshot.table.route("e").champion == "v2"


def test_a_bandits_weights_are_noticed_when_the_store_is_asked(house: House) -> None:
    """They are no audit entry, so that this process's own are not counted as changes of state;
    servers ask the store every half second."""
    variants = (Variant("control", "v1", 0.5), Variant("challenger", "v2", 0.5))
    design = bandit("x", endpoint="e", variants=variants, policy={"refresh_rewards": 1})
    house.experiments.draft(design)
    house.experiments.start("x")
    house.engine.refresh()
    [before] = house.engine.snapshot.table.route("e").experiments
    variant = before.assign("r") or ""
    with house.store.write() as unit:
        given = prediction("r", experiment="x", variant=variant, epoch=1)
        unit.log.append([given, outcome("o", request_id="r", name="reward")])
    made = house.experiments.refresh("x")
    house.engine.refresh(ask_store=False)
    assert house.engine.snapshot.table.route("e").experiments == (before,)
    house.engine.refresh()
    [after] = house.engine.snapshot.table.route("e").experiments
    assert after.policy_version == made.policy_version == 1


def test_the_snapshot_is_swapped_whole(house: House) -> None:
    house.engine.refresh()
    before = house.engine.snapshot
    in_flight = job(house.engine, ask(1))
    house.versions.promote("m:v2")
    house.engine.refresh()
    after = house.engine.snapshot
    assert before.table.route("e").champion == "v1"
    assert set(before.models) == {("m", "v1")}
    assert after.table.revision > before.table.revision
    assert set(after.models) == {("m", "v2")}
    (given,) = house.engine.answer([in_flight])  # under the snapshot it was admitted under
    assert (given.version, given.values) == ("v1", [2])


def test_what_stays_in_use_is_not_loaded_again(house: House) -> None:
    house.engine.refresh()
    house.start_experiment()
    house.engine.refresh()
    house.endpoints.create("second", "m")
    house.engine.refresh()
    assert house.loader.loaded == ["v1", "v2"]


def test_what_was_left_is_there_for_a_way_back(house: House) -> None:
    house.engine.refresh()
    for _ in range(3):
        house.versions.promote("m:v2")
        house.engine.refresh()
        assert set(house.engine.snapshot.models) == {("m", "v2")}
        house.models.rollback("m")
        house.engine.refresh()
        assert set(house.engine.snapshot.models) == {("m", "v1")}
    assert house.loader.loaded == ["v1", "v2"]
    house.versions.delete("m:v2")
    house.engine.refresh()
    house.versions.restore("m:v2")
    house.versions.promote("m:v2")
    house.engine.refresh()
    assert house.loader.loaded == ["v1", "v2", "v2"]  # nothing outlives its deletion


def test_the_order_of_choice(house: House) -> None:
    def chosen(**fields: Any) -> tuple[str, str | None]:
        house.engine.refresh()
        choice = house.engine.choose(ask(1, unit="u", **fields))[2]
        return choice.version, choice.experiment

    assert chosen() == ("v1", None)
    house.start_experiment()
    assert chosen()[1] == "x"
    assert chosen(version="v3") == ("v3", None)
    house.endpoints.override("e", "v3")
    assert chosen() == ("v3", None)
    assert chosen(version="v2") == ("v2", None)
    house.endpoints.clear("e")
    assert chosen() == ("v1", None)  # the override has paused the experiment


def test_ids_are_made_when_none_are_given(house: House) -> None:
    house.engine.refresh()
    request_id, unit, _ = house.engine.choose(ask(1))
    assert unit == request_id
    assert request_id.startswith("req_")
    assert house.engine.choose(ask(1, request_id="r"))[:2] == ("r", "r")
    assert house.engine.choose(ask(1, request_id="r", unit="u"))[:2] == ("r", "u")


@pytest.mark.parametrize("value", ["", "x" * 257, "a\0b", "\ud800", "\udfff" * 3])
@pytest.mark.parametrize("name", ["unit", "request_id"])
def test_ids_that_cannot_be_kept(house: House, name: str, value: str) -> None:
    house.engine.refresh()
    with pytest.raises(InvalidInput) as caught:
        house.engine.choose(ask(1, **{name: value}))
    assert caught.value.details["field"] == name


def test_a_version_by_name_is_loaded_once(house: House) -> None:
    house.engine.refresh()
    for _ in range(3):
        job(house.engine, ask(1, version="v3"))
    assert house.loader.loaded == ["v1", "v3"]
    with pytest.raises(NotFound, match="m has no version 'v9'"):
        job(house.engine, ask(1, version="v9"))


def test_a_version_by_name_is_gone_when_it_is_deleted(house: House) -> None:
    house.engine.refresh()
    job(house.engine, ask(1, version="v3"))
    house.versions.delete("m:v3")
    house.engine.refresh()
    with pytest.raises(NotFound, match=r"m:v3 was deleted at .*; `palio models restore m:v3`"):
        job(house.engine, ask(1, version="v3"))
    house.versions.restore("m:v3")
    house.engine.refresh()
    job(house.engine, ask(1, version="v3"))
    assert house.loader.loaded == ["v1", "v3", "v3"]


def test_only_the_last_versions_by_name_stay(house: House, tmp_path: Any) -> None:
    from palio.registry.domain import VersionDraft  # noqa: PLC0415

    house.engine.refresh()
    signature = house.engine.snapshot.models["m", "v1"].signature
    for number in range(10, 20):
        draft = VersionDraft(version=f"v{number}", flavor="fake", signature=signature)
        house.versions.register("m", draft, tmp_path)
        job(house.engine, ask(1, version=f"v{number}"))
    job(house.engine, ask(1, version="v19"))
    assert house.loader.loaded.count("v19") == 1
    job(house.engine, ask(1, version="v10"))
    assert house.loader.loaded.count("v10") == 2


def test_a_version_that_cannot_be_loaded_fails_alone(house: House) -> None:
    house.loader.failures["v2"] = CorruptArtifact("not what was registered", file="model")
    house.start_experiment()
    house.engine.refresh()
    jobs = [job(house.engine, ask(1, unit=f"u{number}")) for number in range(20)]
    given = house.engine.answer(jobs)
    assert {one.version for one in given if one.error is None} == {"v1"}
    failed = [(its, one) for its, one in zip(jobs, given, strict=True) if one.error is not None]
    assert {one.variant for _, one in failed} == {"challenger"}
    for _ in range(2):  # and whoever is told has an error of his own
        with pytest.raises(CorruptArtifact, match="not what was registered") as caught:
            told(*failed[0])
        assert caught.value is not house.loader.failures["v2"]
        assert caught.value.details == {"file": "model"}


def test_a_broken_version_is_tried_again_when_the_state_changes(house: House) -> None:
    house.loader.failures["v1"] = CorruptArtifact("broken")
    house.engine.refresh()
    house.engine.refresh()
    assert house.loader.loaded == ["v1"]
    del house.loader.failures["v1"]
    house.endpoints.create("second", "m")
    house.engine.refresh()
    assert house.loader.loaded == ["v1", "v1"]
    (given,) = house.engine.answer([job(house.engine, ask(1))])
    assert given.error is None


def test_files_that_could_not_be_reached_are_asked_for_until_they_can(house: House) -> None:
    house.loader.failures["v1"] = StoreUnavailable("bucket away")
    house.engine.refresh()
    house.engine.refresh()
    assert house.loader.loaded == ["v1", "v1"]
    del house.loader.failures["v1"]
    house.engine.refresh()
    house.engine.refresh()
    assert house.loader.loaded == ["v1", "v1", "v1"]


def test_rows_are_checked_before_anything_is_asked(house: House) -> None:
    house.engine.refresh()
    with pytest.raises(InvalidRows):
        job(house.engine, PredictRequest(endpoint="e", rows=[["a"]]))
    assert house.loader.models["v1"].tables == []
    with pytest.raises(NotFound, match="no endpoint is named 'nothing'"):
        house.engine.choose(PredictRequest(endpoint="nothing", rows=[[1]]))
