"""Outcomes as clients send them: what is accepted, corrected, repeated, waiting, refused."""

from __future__ import annotations

from dataclasses import astuple, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from palio.errors import InvalidOutcome, NotFound, TooLarge
from palio.experiments.designs.design import Metrics
from palio.experiments.designs.metrics import Direction, Metric
from palio.experiments.events import LONGEST_ID, Outcome, OutcomeDraft
from palio.experiments.judging.analysis import ReportedFigures
from palio.storage.store import SqlStore
from palio.testing.records import design, prediction
from palio.testing.steps import in_threads
from palio.testing.wired import Wired

LABEL = OutcomeDraft(request_id="r", value=1)


@pytest.fixture
def served(wired: Wired) -> Wired:
    """A classifier's request ``r`` of one row, ``r2`` of two, a regression's, and a failure."""
    with wired.store.write() as unit:
        unit.log.append(
            [
                prediction("r"),
                prediction("r2", values=[0, 1], probabilities=[[1.0, 0.0], [0.0, 1.0]]),
                prediction("number", values=[1.5], probabilities=None, classes=()),
                prediction("failed", values=[], probabilities=None, error="boom"),
            ]
        )
    return wired


def record(wired: Wired, *drafts: OutcomeDraft) -> tuple[int, ...]:
    """Return accepted, corrected, repeated, unknown."""
    return astuple(wired.outcomes.record(drafts))[:4]


def kept(wired: Wired) -> list[Outcome]:
    with wired.store.read() as unit:
        events = [entry.event for entry in unit.log.after(0, limit=1_000)]
    return [event for event in events if isinstance(event, Outcome)]


def test_a_label_is_kept(served: Wired) -> None:
    assert record(served, LABEL) == (1, 0, 0, 0)
    [one] = kept(served)
    assert (one.outcome_id, one.revision, one.name, one.value) == ("r/label", 1, "label", 1)
    assert (one.request_id, one.unit, one.at) == ("r", None, served.clock.now)


def test_a_repeat_changes_nothing(served: Wired) -> None:
    assert record(served, LABEL, LABEL) == (1, 0, 1, 0)
    assert record(served, LABEL) == (0, 0, 1, 0)
    assert len(kept(served)) == 1


def test_a_correction_is_a_revision(served: Wired) -> None:
    other = OutcomeDraft(request_id="r", value=0)
    assert record(served, LABEL, other) == (2, 1, 0, 0)
    assert record(served, LABEL) == (1, 1, 0, 0)
    assert [(one.revision, one.value) for one in kept(served)] == [(1, 1), (2, 0), (3, 1)]


def test_an_outcome_may_wait_for_its_prediction(served: Wired) -> None:
    assert record(served, OutcomeDraft(request_id="later", value=1), LABEL) == (2, 0, 0, 1)


def test_an_outcome_of_a_unit_is_never_unknown(served: Wired) -> None:
    drafts = [OutcomeDraft(unit="u", name="revenue", value=2.5) for _ in range(2)]
    assert record(served, *drafts) == (2, 0, 0, 0)  # two sales, without an id to tell them apart
    assert len({one.outcome_id for one in kept(served)}) == 2


def test_an_outcome_id_makes_repeats_harmless(served: Wired) -> None:
    sale = OutcomeDraft(unit="u", name="revenue", value=2.5, outcome_id="sale-1")
    refund = OutcomeDraft(unit="u", name="revenue", value=0.0, outcome_id="sale-1")
    assert record(served, sale, sale, refund) == (2, 1, 1, 0)


def test_times_are_kept(served: Wired) -> None:
    at = datetime(2020, 2, 29, 12, 0, 0, 1, tzinfo=UTC)
    record(served, OutcomeDraft(request_id="r", value=1, at=at))
    assert kept(served)[0].at == at


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.str_("good"), "good"),
        (np.bool_(True), True),
        (np.array([1, 0]), [1, 0]),
        ([np.int64(1), 0], [1, 0]),
    ],
)
def test_values_of_numpy_are_kept_as_python_has_them(
    served: Wired, value: Any, plain: object
) -> None:
    draft = OutcomeDraft(request_id="later", value=value)
    assert (type(draft.value), draft.value) == (type(plain), plain)
    assert record(served, draft)[0] == 1
    assert kept(served)[0].value == plain


@pytest.mark.parametrize(
    "draft",
    [
        OutcomeDraft(request_id="r", value=True),
        OutcomeDraft(request_id="r", value=[1]),
        OutcomeDraft(request_id="r2", value=[1, 0]),
        OutcomeDraft(request_id="number", value=-2.5),
        OutcomeDraft(request_id="number", value=1e60),
        OutcomeDraft(request_id="failed", value=1),
        OutcomeDraft(request_id="later", value="any class"),
        OutcomeDraft(request_id="r", name="stars", value=5),
        OutcomeDraft(request_id="é" * LONGEST_ID, value=1),
        OutcomeDraft(unit="u", value=1),
    ],
)
def test_what_is_taken(served: Wired, draft: OutcomeDraft) -> None:
    assert record(served, draft)[0] == 1


@pytest.mark.parametrize(
    ("draft", "field", "message"),
    [
        (OutcomeDraft(value=1), "request_id", "give request_id or unit, not both"),
        (OutcomeDraft(value=1, request_id="r", unit="u"), "request_id", "not both"),
        (OutcomeDraft(value=1, request_id=""), "request_id", "request_id is empty"),
        (OutcomeDraft(value=1, unit=""), "unit", "unit is empty"),
        (OutcomeDraft(value=1, unit="u", outcome_id=""), "outcome_id", "outcome_id is empty"),
        (OutcomeDraft(value=1, unit="u", name=""), "name", "name is empty"),
        (
            OutcomeDraft(value=1, unit="u" * 257),
            "unit",
            "unit has 257 characters, 256 are allowed",
        ),
        (OutcomeDraft(value=1, unit="u\0"), "unit", "unit has a character no store can keep"),
        (OutcomeDraft(value=1, unit="\ud800"), "unit", "unit has a character no store can keep"),
        (OutcomeDraft(request_id="r", value=float("nan")), "value", "must be a finite number"),
        (OutcomeDraft(request_id="r", value=float("-inf")), "value", "must be a finite number"),
        (OutcomeDraft(request_id="r", value=[0, float("inf")]), "value", "finite"),
        (OutcomeDraft(request_id="r", value=1.01e60), "value", "of at most 1e+60"),
        (OutcomeDraft(request_id="r", value=10**400), "value", "of at most 1e+60"),
        (OutcomeDraft(request_id="r", value=[]), "value", "the list of values is empty"),
        (OutcomeDraft(request_id="r", value=None), "value", "got NoneType"),  # type: ignore[arg-type]
        (OutcomeDraft(request_id="r", value={"a": 1}), "value", "got dict"),  # type: ignore[arg-type]
        (OutcomeDraft(request_id="r", value=[[1]]), "value", "got list"),  # type: ignore[list-item]
        (OutcomeDraft(request_id="r", name="stars", value="5"), "value", "stars must be a number"),
        (OutcomeDraft(request_id="r", value=2), "value", "2 is none of the classes 0, 1 of"),
        (OutcomeDraft(request_id="r", value="yes"), "value", "'yes' is none of the classes"),
        (OutcomeDraft(request_id="r", value=[0, 1]), "value", "had 1 rows, 2 labels were sent"),
        (OutcomeDraft(request_id="r2", value=1), "value", "had 2 rows, 1 labels were sent"),
        (OutcomeDraft(request_id="number", value="1"), "value", "regression must be a number"),
        (
            OutcomeDraft(request_id="r", value=1, at=datetime(2026, 1, 1)),  # noqa: DTZ001
            "at",
            "the time has no zone",
        ),
    ],
)
def test_one_that_cannot_be_kept_refuses_all(
    served: Wired, draft: OutcomeDraft, field: str, message: str
) -> None:
    with pytest.raises(InvalidOutcome, match=r"^outcome 1: ") as caught:
        record(served, LABEL, draft, LABEL)
    assert message in str(caught.value)
    assert (caught.value.details["outcome"], caught.value.details["field"]) == (1, field)
    assert kept(served) == []


@pytest.mark.parametrize(
    "other",
    [
        OutcomeDraft(request_id="r2", value=[1, 0], outcome_id="one"),
        OutcomeDraft(unit="r", value=1, outcome_id="one"),
        OutcomeDraft(request_id="r", name="stars", value=1, outcome_id="one"),
    ],
)
def test_an_outcome_id_stands_for_one_thing(served: Wired, other: OutcomeDraft) -> None:
    record(served, OutcomeDraft(request_id="r", value=1, outcome_id="one"))
    with pytest.raises(InvalidOutcome, match="'one' is taken by label of r"):
        record(served, LABEL, other)
    assert len(kept(served)) == 1


def test_no_outcome_and_too_many(served: Wired) -> None:
    with pytest.raises(InvalidOutcome, match="no outcome was sent"):
        record(served)
    with pytest.raises(TooLarge, match="10001 outcomes were sent at once; send at most 10000"):
        record(served, *[LABEL] * 10_001)
    assert kept(served) == []


def test_what_is_sent_at_once_is_kept_once(sql_store: SqlStore) -> None:
    """Deliveries that cross each other are repeats, not errors."""
    wired = Wired(sql_store)
    receipts: list[Any] = []
    in_threads([lambda _: receipts.append(record(wired, LABEL))] * 8)
    assert sorted(receipts) == [(0, 0, 1, 0)] * 7 + [(1, 0, 0, 1)]
    assert len(kept(wired)) == 1


LIMITED = Metrics(
    "brier",
    ("score", "spent"),
    declared=(
        Metric("score", Direction.HIGHER, limits=(0, 10)),
        Metric("spent", Direction.HIGHER, limits=(0, 10), winsorise=True),
    ),
)


@pytest.fixture
def running(wired: Wired) -> Wired:
    """An experiment with limits, and a request of each variant."""
    wired.serve("1", "2")
    wired.run(design(metrics=LIMITED))
    with wired.store.write() as unit:
        for name, variant in (("a", "control"), ("b", "challenger")):
            one = prediction(
                name, unit=f"u-{name}", experiment="exp", epoch=1, variant=variant,
                at=wired.clock.now,
            )  # fmt: skip
            unit.log.append([one])
        unit.log.append([prediction("elsewhere")])
    return wired


def told(variant: str, value: Any, name: str = "score", **fields: Any) -> OutcomeDraft:
    return OutcomeDraft(experiment="exp", variant=variant, value=value, name=name, **fields)


@pytest.mark.parametrize("subject", [{"request_id": "a"}, {"request_id": "later"}, {"unit": "u"}])
@pytest.mark.parametrize("value", [-0.1, 10.5, [1, 11]])
def test_values_outside_the_limits_are_refused(
    running: Wired, subject: dict[str, Any], value: Any
) -> None:
    with pytest.raises(InvalidOutcome, match=r"outcome 0: score must be in its limits \[0, 10\]"):
        record(running, OutcomeDraft(name="score", value=value, **subject))
    assert record(running, OutcomeDraft(name="score", value=10, **subject))[0] == 1
    assert record(running, OutcomeDraft(name="spent", value=value, **subject))[0] == 1


def test_limits_hold_in_their_experiment_only(running: Wired) -> None:
    assert record(running, OutcomeDraft(request_id="elsewhere", name="score", value=99))[0] == 1


def test_what_is_beyond_a_limit_counts_as_the_limit(running: Wired) -> None:
    record(running, *(OutcomeDraft(request_id=n, name="spent", value=25) for n in ("a", "b")))
    arms = running.experiments.analyze("exp").arms
    assert [arm.metrics["spent"].mean for arm in arms] == [10, 10]


def test_what_was_kept_before_the_limits_never_counts(wired: Wired) -> None:
    """Nobody could refuse it: no experiment was running that declares the limits."""
    assert record(wired, OutcomeDraft(request_id="a", name="score", value=99)) == (1, 0, 0, 1)
    wired.serve("1", "2")
    wired.run(design(metrics=LIMITED))
    with wired.store.write() as unit:
        unit.log.append([prediction("a", experiment="exp", epoch=1, variant="control")])
    arm = wired.experiments.analyze("exp").arms[0]
    assert (arm.outcomes, arm.metrics["score"].n) == (1, 0)
    assert wired.experiments.verify("exp").differences == ()


def test_all_revisions_are_told(served: Wired) -> None:
    first = served.clock.now
    record(served, LABEL)
    served.clock.now += timedelta(hours=1)
    record(served, OutcomeDraft(request_id="r", value=0))
    found = served.outcomes.history("r/label")
    assert [(one.revision, one.value, one.at) for one in found] == [
        (1, 1, first),
        (2, 0, first + timedelta(hours=1)),
    ]
    with pytest.raises(NotFound, match="no outcome has the id 'nothing'"):
        served.outcomes.history("nothing")


def test_after_the_end_outcomes_are_kept_and_called_late(running: Wired) -> None:
    running.experiments.stop("exp", "enough")
    before = running.experiments.record("exp")
    drafts = [OutcomeDraft(request_id="a", value=1), OutcomeDraft(request_id="elsewhere", value=1)]
    receipt = running.outcomes.record([*drafts, told("control", 3)])
    assert (receipt.accepted, receipt.late) == (3, 2)
    assert running.experiments.record("exp") == before
    assert running.experiments.analyze("exp") == before.report


def test_what_is_told_of_a_variant_is_kept_apart(running: Wired) -> None:
    without = running.experiments.analyze("exp")
    drafts = [
        told("control", 4, outcome_id="x"),
        told("control", [6, 8]),
        told("challenger", True),
    ]
    assert record(running, *drafts) == (3, 0, 0, 0)
    assert record(running, told("control", 1, outcome_id="x")) == (1, 1, 0, 0)
    report = running.experiments.analyze("exp")
    assert [arm.reported for arm in report.arms] == [
        {"score": ReportedFigures(3, 5.0)},  # of 1, 6 and 8
        {"score": ReportedFigures(1, 1.0)},
    ]
    assert [replace(arm, reported={}) for arm in report.arms] == list(without.arms)
    assert report.decision == without.decision
    assert running.experiments.verify("exp").differences == ()


@pytest.mark.parametrize(
    ("draft", "field", "message"),
    [
        (told("other", 1), "variant", "exp has no variant 'other'; it has control, challenger"),
        (told("control", "yes", "label"), "value", "what a variant did as a whole is a number"),
        (told("control", 11), "value", "score must be in its limits"),
        (told("control", 1, unit="u"), "request_id", "give request_id or unit, not both"),
        (
            OutcomeDraft(experiment="nothing", variant="control", value=1, name="x"),
            "experiment",
            "the experiment 'nothing' is not known",
        ),
        (
            OutcomeDraft(experiment="draft", variant="control", value=1, name="x"),
            "experiment",
            "the experiment 'draft' has not been started",
        ),
        (OutcomeDraft(experiment="exp", value=1), "variant", "give experiment and variant"),
        (OutcomeDraft(variant="control", value=1), "experiment", "give experiment and variant"),
    ],
)
def test_what_cannot_be_told_of_a_variant(
    running: Wired, draft: OutcomeDraft, field: str, message: str
) -> None:
    running.experiments.draft(design("draft"))
    with pytest.raises(InvalidOutcome) as caught:
        record(running, draft)
    assert message in str(caught.value)
    assert caught.value.details["field"] == field


def test_sums_that_were_tampered_with_are_found(running: Wired) -> None:
    record(running, told("control", 4))
    running.experiments.analyze("exp")
    with running.store.write() as unit:
        [row] = unit.reported_sums.find(experiment="exp")
        unit.reported_sums.put_many([replace(row, total=5.0)])
        [count] = unit.variant_counts.find(experiment="exp", variant="control")
        unit.variant_counts.put_many([replace(count, overdue=1)])
    assert running.experiments.verify("exp").differences == (
        "epoch 1, control, overdue: folded (1,), recomputed None",
        "reported, control, score: folded (1, 5.0), recomputed (1, 4.0)",
    )


def test_outcomes_after_their_window_do_not_count(wired: Wired) -> None:
    """By the time of the prediction, or of the unit's first one; a correction is as old."""
    wired.serve("1", "2")
    visits = Metric("visits", Direction.HIGHER, window_s=60)
    wired.run(design(metrics=Metrics("visits", declared=(visits,))))
    start = wired.clock.now
    served = [
        prediction(name, unit="u", experiment="exp", epoch=1, variant="control", at=start + at)
        for name, at in (("a", timedelta(0)), ("b", timedelta(seconds=90)))
    ]
    with wired.store.write() as unit:
        unit.log.append(served)

    def visit(seconds: int, value: float, **subject: Any) -> OutcomeDraft:
        at = start + timedelta(seconds=seconds)
        return OutcomeDraft(name="visits", value=value, at=at, **subject)

    record(wired, visit(60, 1, request_id="a"), visit(150, 2, request_id="b"))
    record(wired, visit(60, 3, unit="u", outcome_id="x"), visit(61, 50, unit="u"))
    arm = wired.experiments.analyze("exp").arms[0]
    assert (arm.metrics["visits"].mean, arm.outcomes, arm.overdue) == (2.0, 4, 1)  # of 1, 2, 3
    record(wired, visit(999, 6, unit="u", outcome_id="x"))
    arm = wired.experiments.analyze("exp").arms[0]
    assert (arm.metrics["visits"].mean, arm.outcomes, arm.overdue) == (3.0, 4, 1)  # of 1, 2, 6
    assert wired.experiments.verify("exp").differences == ()


def test_databases_fold_and_verify_alike(sql_store: SqlStore) -> None:
    """Windows, limits and what is told of variants, on SQLite and PostgreSQL."""
    wired = Wired(sql_store)
    wired.serve("1", "2")
    spent = Metric("spent", Direction.HIGHER, limits=(0, 10), winsorise=True, window_s=60)
    wired.run(design(metrics=Metrics("spent", declared=(spent,))))
    start = wired.clock.now
    one = prediction("a", unit="u", experiment="exp", epoch=1, variant="control", at=start)
    with wired.store.write() as unit:
        unit.log.append([one])
    for seconds in (10, 70):
        at = start + timedelta(seconds=seconds)
        record(wired, OutcomeDraft(unit="u", name="spent", value=25, at=at))
    record(wired, told("control", 4, "spent", outcome_id="x"))
    wired.experiments.analyze("exp")
    record(wired, told("control", 2, "spent", outcome_id="x"), told("control", 40, "spent"))
    arm = wired.experiments.analyze("exp").arms[0]
    assert (arm.metrics["spent"].n, arm.metrics["spent"].mean) == (1, 10)
    assert (arm.outcomes, arm.overdue) == (2, 1)
    assert arm.reported == {"spent": ReportedFigures(2, 6.0)}  # of 2, and of 40 at most 10
    verified = wired.experiments.verify("exp")
    assert (verified.differences, verified.compared) == ((), 3)
