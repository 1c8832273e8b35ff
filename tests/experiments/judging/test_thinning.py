"""Looks that are kept: the interval over time is drawn from few, and nothing shown is lost."""

from __future__ import annotations

from dataclasses import replace
from math import log

import pytest

from palio.experiments.designs.design import Metrics, Stopping
from palio.experiments.events import OutcomeDraft
from palio.experiments.judging.analysis import DecisionKind, Look
from palio.experiments.judging.thinning import superfluous
from palio.testing.memory import MemoryStore
from palio.testing.records import RECORDS, design
from palio.testing.wired import Wired

LOOK: Look = RECORDS["looks"][0]


def look(watermark: int, units: int, decision: DecisionKind = DecisionKind.KEEP_RUNNING) -> Look:
    return replace(LOOK, watermark=watermark, units=units, known={}, decision=decision)


def test_one_between_two_that_say_the_same_is_not_needed() -> None:
    first, last = look(1, 10_000), look(2, 10_001)
    assert superfluous([first, last], [look(3, 10_002)]) == [last]


@pytest.mark.parametrize(
    ("earlier", "now"),
    [
        ([], look(3, 10_000)),
        ([look(1, 10_000)], look(3, 10_000)),
        ([look(1, 10_000), look(2, 10_001)], look(3, 10_021)),  # grown by more than 1 in 500
        ([look(1, 10_000), look(2, 10_001)], look(2, 10_001)),  # nothing has arrived since
        ([look(1, 10_000), look(2, 10_001)], look(3, 10_002, DecisionKind.SHIP)),
        ([look(1, 10_000), look(2, 10_001, DecisionKind.SHIP)], look(3, 10_002)),
    ],
)
def test_what_shows_something_is_kept(earlier: list[Look], now: Look) -> None:
    assert superfluous(earlier, [now]) == []


def test_looks_grow_with_the_logarithm_of_the_traffic() -> None:
    kept: list[Look] = []
    for number in range(20_000):
        now = look(number + 1, 1_000 + number)
        gone = superfluous(kept[-2:], [now])
        kept = [one for one in kept if one not in gone] + [now]
    assert kept[0].units == 1_000
    assert kept[-1].units == 20_999
    # each second one that is kept is more than a 500th further on; at the start every unit is
    assert len(kept) <= 2 * log(21) / log(1.002) + 500


def test_the_smallest_p_value_outlives_its_look() -> None:
    wired = Wired(MemoryStore())
    wired.serve("1", "2")
    wired.run(design(metrics=Metrics("gain:higher"), stopping=Stopping(horizon=None)))
    units = [f"u{number}" for number in range(4_000)]
    given = {one.unit: one for one in wired.experiments.assign_many("exp", units, record=True)}
    smallest = 1.0
    for number, unit in enumerate(units):
        value = float(number % 7) + (given[unit].variant == "challenger") * (number < 2_000)
        wired.outcomes.record([OutcomeDraft(unit=unit, name="gain", value=value)])
        if number > 1_900 and number % 5 == 0:
            smallest = min(smallest, wired.experiments.analyze("exp").goal("challenger").p_value)
    assert wired.experiments.analyze("exp").goal("challenger").p_value <= smallest
    assert len(wired.experiments.looks("exp")) < 420
