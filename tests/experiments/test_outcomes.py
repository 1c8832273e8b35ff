"""Outcomes as clients send them: what is accepted, corrected, repeated, waiting, refused."""

from __future__ import annotations

from dataclasses import astuple
from datetime import UTC, datetime
from typing import Any

import pytest

from palio.errors import InvalidOutcome, TooLarge
from palio.experiments.events import LONGEST_ID, Outcome, OutcomeDraft
from palio.storage.store import SqlStore
from palio.testing.records import prediction
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
    receipt: tuple[int, ...] = astuple(wired.outcomes.record(drafts))
    return receipt


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
