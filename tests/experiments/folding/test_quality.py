"""Quality folded from the log equals what the labels in force say, whatever order they came in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, brier_score_loss, confusion_matrix

from palio.errors import InvalidInput
from palio.experiments.events import Event, Fallback
from palio.experiments.folding.quality import QUALITY, fold_quality
from palio.registry.quality import DAY_S, QualityCounts, QualitySums
from palio.stats.one_look.proportions import wilson
from palio.testing.memory import MemoryStore
from palio.testing.records import outcome, prediction
from palio.testing.wired import Wired

DAY = datetime(2026, 1, 1, tzinfo=UTC)


def append(store: Any, *events: Event) -> None:
    with store.write() as unit:
        unit.log.append(events)


def fold(store: Any) -> dict[tuple[str, int, str], QualityCounts]:
    fold_quality(store, now=DAY)
    with store.read() as unit:
        found: list[QualitySums] = list(unit.quality_sums.find())
    start = int(DAY.timestamp())
    return {(one.version, (one.cohort - start) // DAY_S, one.segment): one.counts for one in found}


def answer(name: str, share: float, **fields: Any) -> Event:
    """Return a prediction of the class 1 with a probability."""
    value = int(share >= 0.5)
    return prediction(name, values=[value], probabilities=[[1 - share, share]], **fields)


def label(name: str, value: Any, revision: int = 1) -> Event:
    return outcome(f"{name}/label", request_id=name, value=value, revision=revision)


def test_figures_are_those_of_scikit_learn(wired: Wired) -> None:
    rng = np.random.default_rng(11)
    shares, truths = rng.uniform(size=400), rng.integers(0, 2, size=400)
    wired.serve("1", "2")
    names = {"model": "credit", "version": "1"}
    append(
        wired.store, *(answer(f"r{k}", share, **names) for k, share in enumerate(shares.tolist()))
    )
    append(wired.store, *(label(f"r{k}", int(truth)) for k, truth in enumerate(truths[:300])))
    fold(wired.store)
    found = wired.versions.quality("credit@champion").overall
    said, known, truth = (shares >= 0.5).astype(int), shares[:300], truths[:300]
    assert (found.rows, found.labelled) == (400, 300)
    assert found.accuracy is not None
    assert found.accuracy.value == pytest.approx(accuracy_score(truth, said[:300]))
    assert found.brier == pytest.approx(brier_score_loss(truth, known))
    true_negative, false_positive, false_negative, true_positive = confusion_matrix(
        truth, said[:300]
    ).ravel()
    for rate, part, rest in (
        (found.false_positive_rate, false_positive, true_negative),
        (found.false_negative_rate, false_negative, true_positive),
        (found.positive, said.sum(), 400 - said.sum()),
    ):
        assert rate is not None
        assert rate.value == pytest.approx(part / (part + rest))
        assert (rate.lower, rate.upper) == wilson(int(part), int(part + rest))
    bins = np.minimum((known * 10).astype(int), 9)
    assert [one.n for one in found.bins] == np.bincount(bins, minlength=10).tolist()
    gaps = [abs(known[bins == k].mean() - truth[bins == k].mean()) for k in range(10)]
    error = float(np.average(gaps, weights=np.bincount(bins, minlength=10)))
    assert found.calibration_error == pytest.approx(error)


def test_cohorts_are_by_the_day_of_the_prediction(wired: Wired) -> None:
    wired.serve("1", "2")
    names = {"model": "credit", "version": "1"}
    for day in range(10):
        at = DAY + timedelta(days=day, hours=23)
        append(wired.store, answer(f"r{day}", 0.9, at=at, segments=("young",), **names))
        append(wired.store, label(f"r{day}", int(day < 5)))
    fold(wired.store)
    by_day = wired.versions.quality("credit:1")
    assert [one.start for one in by_day.cohorts] == [DAY + timedelta(days=k) for k in range(10)]
    rates = [one.figures.accuracy for one in by_day.cohorts]
    assert [rate.value for rate in rates if rate] == [1.0] * 5 + [0.0] * 5
    assert by_day.segments["young"] == by_day.overall
    two = wired.versions.quality("credit:1", cohort_s=2 * DAY_S)
    assert sum(one.figures.labelled for one in two.cohorts) == 10
    assert len(two.cohorts) in (5, 6)
    for wrong in (0, 3_600, DAY_S + 1, 3_661 * DAY_S):
        with pytest.raises(InvalidInput, match="whole number of days"):
            wired.versions.quality("credit:1", cohort_s=wrong)


def test_a_champion_that_stands_in_is_judged() -> None:
    store = MemoryStore()
    champion = Fallback(
        model="credit-risk", version="v0", values=[1], classes=(0, 1), latency_ms=9
    )
    append(store, prediction("r", values=[], error="it broke", fallback=champion), label("r", 1))
    assert fold(store) == {
        ("v0", 0, ""): QualityCounts(
            rows=1, two=1, positive=1, labelled=1, correct=1, true_positives=1
        )
    }


def test_numbers_are_measured_by_their_errors() -> None:
    store = MemoryStore()
    append(store, prediction("r", values=[2.0, 5.0], classes=(), probabilities=None))
    append(store, outcome("r/label", request_id="r", value=[3.0, 1.0]))
    [counts] = fold(store).values()
    assert (counts.rows, counts.measured, counts.squared, counts.absolute) == (2, 2, 17.0, 5.0)


def test_failures_other_outcomes_and_misfits_judge_nothing() -> None:
    store = MemoryStore()
    append(
        store,
        prediction("failed", values=[], error="ValueError: no"),
        label("failed", 1),
        answer("a", 0.9),
        outcome("a/revenue", name="revenue", request_id="a", value=3.0),
        outcome("u/label", unit="a", value=1),
        label("a", [1, 1]),
        answer("b", 0.9),
        label("b", 7),
    )
    [counts] = fold(store).values()
    assert counts == QualityCounts(rows=2, two=2, positive=2)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["p", "l", "fold"]), st.integers(0, 5), st.floats(0, 1), st.booleans()
    ),
    max_size=40,
)


@settings(deadline=None)
@given(EVENTS)
def test_folded_in_any_pieces_equals_folded_at_once(
    steps: list[tuple[str, int, float, bool]],
) -> None:
    """Labels come before predictions, twice, and corrected; the fold stops anywhere."""
    piecewise, at_once = MemoryStore(), MemoryStore()
    served: set[int] = set()
    revisions: dict[int, int] = {}
    for kind, number, share, truth in steps:
        name = f"r{number}"
        if kind == "fold":
            fold(piecewise)
            continue
        if kind == "p" and number in served:
            continue
        if kind == "p":
            served.add(number)
            event = answer(name, share, segments=("s",) if truth else ())
        else:
            revisions[number] = revisions.get(number, 0) + 1
            event = label(name, int(truth), revisions[number])
        append(piecewise, event)
        append(at_once, event)
    left, right = fold(piecewise), fold(at_once)
    for key in left.keys() | right.keys():
        one, other = (found.get(key, QualityCounts()) for found in (left, right))
        assert one.brier == pytest.approx(other.brier, abs=1e-9)
        for name in ("rows", "positive", "labelled", "correct", "false_positives", "held", "hits"):
            assert getattr(one, name) == getattr(other, name)


def test_of_processes_that_fold_at_once_one_counts(wired: Wired) -> None:
    append(wired.store, answer("r", 0.9), label("r", 1))
    inner, folded = wired.store, []

    class Slow:
        read = staticmethod(inner.read)

        def write(self) -> Any:
            if not folded:
                folded.append(fold_quality(inner, now=DAY))
            return inner.write()

    assert fold_quality(Slow(), now=DAY) == 0
    assert folded == [2]
    assert fold(inner)["v1", 0, ""].labelled == 1
    with inner.read() as unit:
        mark = unit.marks.get(QUALITY)
    assert mark is not None
    assert mark.value == "2"


def test_who_is_erased_is_taken_off(wired: Wired) -> None:
    for name in ("ann", "bob"):
        append(wired.store, answer(f"r-{name}", 0.9, unit=name), label(f"r-{name}", 1))
    assert fold(wired.store)["v1", 0, ""].labelled == 2
    wired.units.erase(["ann"], "asked for it")
    left = fold(wired.store)["v1", 0, ""]
    assert (left.rows, left.labelled, left.true_positives) == (1, 1, 1)
    wired.units.erase(["bob"], "asked for it")
    assert fold(wired.store)["v1", 0, ""].rows == 0


def test_who_is_erased_before_the_fold_was_never_there(wired: Wired) -> None:
    append(wired.store, answer("r", 0.9, unit="ann"), label("r", 1))
    wired.units.erase(["ann"], "asked for it")
    assert fold(wired.store) == {}
