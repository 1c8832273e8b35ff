"""Features that move are seen to move; those that do not are not; nothing is counted twice."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from palio.delivery.features import FeatureTally, FeatureWatch
from palio.errors import InvalidInput
from palio.registry.drift import VersionDrift, profile_of
from palio.registry.signature import Feature, FeatureType
from palio.testing.wired import Wired

AGE = Feature("age", FeatureType.NUMBER, nullable=True)
TOWN = Feature("town", FeatureType.STRING, nullable=True)
TOWNS = ["Bern", "Chur", "Genf"]


class Process:
    """One that serves version 1."""

    def __init__(self, wired: Wired, name: str) -> None:
        self.tally = FeatureTally()
        self.watch = FeatureWatch(wired.store, self.tally, wired.clock, name)

    def ask(self, rows: list[list[Any]]) -> None:
        for start in range(0, len(rows), 100):
            self.tally.add(("credit", "1"), (AGE, TOWN), rows[start : start + 100])
            self.watch.step()


@pytest.fixture
def serving(wired: Wired) -> Wired:
    wired.serve("1", "2")
    return wired


def rows(n: int, *, seed: int, older: float = 0.0, missing: float = 0.02) -> list[list[Any]]:
    rng = np.random.default_rng(seed)
    ages = rng.normal(40 + older, 10, n)
    return [
        [None if rng.uniform() < missing else float(age), str(rng.choice(TOWNS))] for age in ages
    ]


def drift(wired: Wired, days: int = 7) -> VersionDrift:
    return wired.versions.drift("credit:1", days)


def test_the_first_thousand_rows_are_the_reference(serving: Wired) -> None:
    process = Process(serving, "p")
    process.ask(rows(900, seed=1))
    assert (drift(serving).reference_at, drift(serving).features) == (None, {})
    process.ask(rows(1_100, seed=2))
    found = drift(serving)
    assert (found.reference_rows, found.rows) == (1_000, 1_000)
    age, town = found.features["age"], found.features["town"]
    assert len(age.before) == 11
    assert sum(age.before.values()) == pytest.approx(1)
    assert set(town.before) == {*TOWNS, "other", "missing"}
    for one in (age, town):  # nothing has moved: as large as chance makes it, three times at most
        assert one.index < 3 * one.by_chance


def test_what_has_moved_is_seen(serving: Wired) -> None:
    process = Process(serving, "p")
    process.ask(rows(1_000, seed=1))
    process.ask(rows(1_000, seed=2, older=8))
    moved = drift(serving)
    assert moved.features["age"].index > 0.2
    assert moved.features["town"].index < 0.05
    process.ask(rows(4_000, seed=3, missing=0.5))
    assert drift(serving).features["age"].now["missing"] > 0.3


def test_days_that_are_over_are_left_out(serving: Wired) -> None:
    process = Process(serving, "p")
    process.ask(rows(1_500, seed=1, older=8))
    for _ in range(6):
        serving.clock.advance(86_400)
        process.ask(rows(10, seed=2))
    assert drift(serving).rows == 560
    assert drift(serving, days=2).rows == 20
    serving.clock.advance(86_400)
    assert drift(serving).rows == 60
    for days in (0, 91):
        with pytest.raises(InvalidInput, match="take 1 to 90"):
            drift(serving, days)


def test_processes_count_by_one_reference(serving: Wired) -> None:
    first, second = Process(serving, "p"), Process(serving, "q")
    second.ask(rows(400, seed=3))  # too few to know what is usual
    first.ask(rows(1_200, seed=1))
    second.ask(rows(300, seed=2))
    found = drift(serving)
    assert (found.reference_rows, found.rows) == (1_000, 900)


def test_steps_that_fail_or_come_twice_count_once(serving: Wired) -> None:
    process = Process(serving, "p")
    process.ask(rows(1_200, seed=1))
    inner = process.watch._store

    class Broken:
        read = staticmethod(inner.read)

        @contextmanager
        def write(self) -> Any:
            with inner.write() as unit:
                yield unit
            raise OSError("kept, and nobody is told")

    process.watch._store = Broken()  # type: ignore[assignment]
    process.tally.add(("credit", "1"), (AGE, TOWN), rows(50, seed=2))
    with pytest.raises(OSError, match="kept"):
        process.watch.step()
    process.watch._store = inner
    process.watch.step()
    process.watch.step()
    assert drift(serving).rows == 250


def test_more_rows_than_can_be_counted_are_stood_for(serving: Wired) -> None:
    process = Process(serving, "p")
    process.ask(rows(1_000, seed=1))
    process.tally.add(("credit", "1"), (AGE, TOWN), rows(5_000, seed=2))
    process.watch.step()
    assert drift(serving).rows == 2_000


def test_counting_waits_for_nobody(serving: Wired) -> None:
    process = Process(serving, "p")
    process.ask(rows(1_000, seed=1))
    inside, go = threading.Event(), threading.Event()
    inner = process.watch._store

    class Slow:
        read = staticmethod(inner.read)

        @contextmanager
        def write(self) -> Any:
            inside.set()
            assert go.wait(10)
            with inner.write() as unit:
                yield unit

    process.watch._store = Slow()  # type: ignore[assignment]
    process.tally.add(("credit", "1"), (AGE, TOWN), rows(10, seed=2))
    thread = threading.Thread(target=process.watch.step)
    thread.start()
    assert inside.wait(10)
    process.tally.add(("credit", "1"), (AGE, TOWN), rows(10, seed=3))
    go.set()
    thread.join(10)


@pytest.mark.parametrize(
    ("feature", "cells"),
    [
        (AGE, []),
        (AGE, [None, None]),
        (AGE, [7.0] * 9),
        (AGE, [float("nan"), float("inf"), 1.0]),
        (TOWN, []),
        (TOWN, [str(n) for n in range(100)]),
        (Feature("pro", FeatureType.BOOLEAN), [True, False, True]),
    ],
)
def test_any_cells_have_bins(feature: Feature, cells: list[Any]) -> None:
    profile = profile_of(feature, cells)
    assert len(profile.bins) == len(set(profile.bins)) == len(profile.counts) <= 22
    assert sum(profile.counts) == len(cells)
    assert sum(profile.counted([*cells, None, 3.0])) == len(cells) + 2
