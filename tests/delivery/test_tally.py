"""What a process answers is counted, and published: nothing lost, nothing twice."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from palio.delivery.tally import Publisher, Tally
from palio.delivery.traffic import ProcessUse, TrafficSums, alive
from palio.errors import StoreUnavailable
from palio.experiments.events import Fallback, Prediction
from palio.testing.fakes import FakeClock
from palio.testing.memory import MemoryStore
from palio.testing.records import prediction


class LyingStore(MemoryStore):
    """Keeps a unit and says it has not, or does not keep it, when told to."""

    lie: str | None = None

    @contextmanager
    def write(self) -> Any:
        with super().write() as unit:
            yield unit
            if self.lie == "undone":
                raise StoreUnavailable("nothing was kept")
        if self.lie == "kept":
            raise StoreUnavailable("the connection is gone")


class House:
    def __init__(self, process: str = "p", server: str = "s", store: Any = None) -> None:
        self.store = store or LyingStore()
        self.clock = FakeClock()
        self.tally = Tally()
        self.names = (process, server)
        self.publisher = Publisher(self.store, self.tally, self.clock, self.use)

    def use(self) -> ProcessUse:
        process, server = self.names
        return ProcessUse(
            process=process, server=server, at=self.clock(), rss_bytes=1, cpu_share=0.5
        )

    def answer(self, *values: Any, **fields: Any) -> None:
        made = prediction("r", at=self.clock(), values=list(values), **fields)
        self.tally.add([made])

    def per_second(self) -> dict[int, TrafficSums]:
        with self.store.read() as unit:
            start = int(FakeClock().now.timestamp())
            return {one.second - start: one.sums for one in unit.traffic.find()}

    def totals(self) -> TrafficSums:
        with self.store.read() as unit:
            found = TrafficSums()
            for one in unit.traffic_totals.find():
                found = found.merge(one.sums)
            return found


def test_answers_are_counted_by_class_error_and_second() -> None:
    house = House()
    house.answer(1, 0, 1)
    house.answer(1, latency_ms=4.0)
    house.answer(error="ValueError: no", latency_ms=0.5)
    house.clock.advance(1)
    house.answer(2.5, classes=(), probabilities=None)
    house.publisher.step()
    first, second = (house.per_second()[at] for at in (0, 1))
    assert (first.requests, first.rows, first.errors, first.latency_ms) == (3, 4, 1, 6.0)
    assert first.outcomes == {"1": 3, "0": 1}
    assert first.failures == {"ValueError": 1}
    assert first.histogram.quantile(1.0) == pytest.approx(4.0, rel=0.01)
    assert (second.requests, second.outcomes) == (1, {"value": 1})
    assert house.totals() == first.merge(second)


def test_who_stands_in_is_asked_too() -> None:
    house = House()
    champion = Fallback(
        model="credit-risk", version="v0", values=[1], classes=(0, 1), latency_ms=9.0
    )
    house.answer(error="ValueError: no", fallback=champion)
    house.publisher.step()
    with house.store.read() as unit:
        found = {one.version: one.sums for one in unit.traffic.find()}
    assert (found["v1"].errors, found["v1"].rows) == (1, 0)
    assert (found["v0"].errors, found["v0"].outcomes) == (0, {"1": 1})


def test_what_an_ensemble_skipped_is_counted_with_its_answers() -> None:
    house = House()
    house.tally.skip("credit-risk:v1", "m:1", 2)
    house.answer(1, version="v0")
    house.publisher.step()
    assert house.totals().skipped == {}  # it has not answered yet
    house.answer(1, version="v1")
    house.answer(1, version="v1", endpoint="other")
    house.publisher.step()
    house.clock.advance(1)
    house.tally.skip("credit-risk:v1", "m:1", 3)
    house.tally.skip("credit-risk:v1", "m:2", 1)
    house.answer(1, version="v1")
    for _ in range(2):
        house.publisher.step()
        assert house.totals().skipped == {"m:1": 5, "m:2": 1}


def test_a_class_beyond_the_fiftieth_is_other() -> None:
    house = House()
    house.answer(*range(80), classes=tuple(range(80)))
    house.publisher.step()
    assert len(house.totals().outcomes) == 50
    assert house.totals().outcomes["other"] == 31


def test_a_clock_set_back_opens_no_second_again() -> None:
    house = House()
    house.clock.advance(10)
    house.answer(1)
    house.publisher.step()
    house.clock.advance(-9)
    house.answer(1)
    house.publisher.step()
    assert house.totals().requests == 2
    assert {at: one.requests for at, one in house.per_second().items()} == {10: 2}


def test_processes_are_summed_and_kept_when_they_are_gone() -> None:
    one = House("p1", "s")
    other = House("p2", "s", one.store)
    one.answer(1)
    one.publisher.release()
    for _ in range(200):  # the second one goes on for a quarter of an hour and more
        other.clock.advance(10)
        other.answer(0)
        other.publisher.step()
    assert other.totals().outcomes == {"1": 1, "0": 200}
    assert min(other.per_second()) > 1_000
    with other.store.read() as unit:
        assert [use.process for use in unit.process_uses.find()] == ["p2"]


def test_totals_of_a_server_that_is_gone_are_removed() -> None:
    gone, here = House("p1", "s1"), House("p2", "s2")
    here = House("p2", "s2", gone.store)
    gone.answer(1)
    gone.publisher.release()
    here.clock.advance(16 * 60)
    here.answer(1)
    here.publisher.step()
    with here.store.read() as unit:
        assert [one.server for one in unit.traffic_totals.find()] == ["s2"]


def test_an_idle_process_says_now_and_then_that_it_is_there() -> None:
    house = House()
    for _ in range(11):
        house.publisher.step()
        house.clock.advance(1)
    with house.store.read() as unit:
        [use] = unit.process_uses.find()
    assert (house.clock() - use.at).total_seconds() == 1.0  # said at 0, 5 and 10 of 11


def test_a_process_that_ends_is_waited_for_by_nobody() -> None:
    house = House()
    house.answer(1)
    house.publisher.step()
    with house.store.read() as unit:
        assert alive(unit.process_uses.find(), house.clock())
    house.publisher.release()
    with house.store.read() as unit:
        assert not alive(unit.process_uses.find(), house.clock())
    assert house.totals().requests == 1


def test_who_has_answered_nothing_flushes_nothing() -> None:
    house = House()
    house.store.lie = "undone"  # any write would raise
    house.publisher.flush()
    house.publisher.release()


def test_counting_waits_for_no_store() -> None:
    """The store holds a publication up; answers are counted all the while."""
    house, inside, go = House(), threading.Event(), threading.Event()
    inner = house.store.write

    @contextmanager
    def slow() -> Any:
        with inner() as unit:
            inside.set()
            assert go.wait(10)
            yield unit

    house.answer(1)
    house.store.write = slow
    thread = threading.Thread(target=house.publisher.step)
    thread.start()
    assert inside.wait(10)
    house.answer(1)  # would wait for ever if the lock were held
    go.set()
    thread.join(10)
    house.publisher.step()
    assert house.totals().requests == 2


def test_a_request_is_counted_within_microseconds() -> None:
    """Far above what it takes, 1 or 2 on an idle machine; a lock over I/O would take 1,000."""
    tally, batch = Tally(), [prediction("r")] * 64
    took = []
    for _ in range(200):
        began = time.perf_counter()
        tally.add(batch)
        took.append((time.perf_counter() - began) / len(batch))
    assert min(took) < 20e-6


class Publishing(RuleBasedStateMachine):
    """However time passes and writes fail, what is published in the end is what was answered."""

    def __init__(self) -> None:
        super().__init__()
        self.house = House()
        self.answered = 0

    @rule(times=st.integers(1, 3))
    def answer(self, times: int) -> None:
        one: Prediction = replace(prediction("r"), at=self.house.clock())
        self.house.tally.add([one] * times)
        self.answered += times

    @rule(seconds=st.sampled_from([0.3, 1.0, 7.0]))
    def wait(self, seconds: float) -> None:
        self.house.clock.advance(seconds)

    @rule(lie=st.sampled_from([None, "kept", "undone"]), flush=st.booleans())
    def publish(self, lie: str | None, *, flush: bool) -> None:
        self.house.store.lie = lie
        try:
            (self.house.publisher.flush if flush else self.house.publisher.step)()
        except StoreUnavailable:
            assert lie is not None
        self.house.store.lie = None

    @invariant()
    def never_more_than_answered(self) -> None:
        assert self.house.totals().requests <= self.answered

    def teardown(self) -> None:
        self.house.publisher.flush()
        assert self.house.totals().requests == self.answered
        assert sum(one.requests for one in self.house.per_second().values()) == self.answered


TestPublishing = Publishing.TestCase
TestPublishing.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
