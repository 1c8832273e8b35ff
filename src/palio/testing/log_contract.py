"""What every event log must keep, as tests that `palio.testing.contracts` puts together."""

from __future__ import annotations

import pytest

from palio.delivery.ports import DeliveryUnit
from palio.experiments.events import Event, LogEntry, Outcome
from palio.ports import Store
from palio.testing.records import ODD, WHEN, exposure, outcome, prediction
from palio.testing.steps import fill, in_threads, places

__all__ = ["EventLogContract"]

_LONG = "é" * 256  # as long as an id may be


class EventLogContract:
    """Every obligation of `palio.experiments.ports.EventLog`; give a ``store`` fixture."""

    def test_events_come_back_as_they_were(self, store: Store[DeliveryUnit]) -> None:
        """Labels keep their types, and every field its value."""
        events: list[Event] = [
            prediction("r1", experiment="e", variant="a", epoch=3, propensity=0.1 + 0.2, unit=ODD),
            prediction("r2", values=[True, 1, 1.0, "1"], probabilities=None, classes=("é", "1")),
            prediction("r3", values=[], probabilities=None, error=ODD, runtime="sklearn", at=WHEN),
            prediction("r4", forced=True),
            exposure(ODD, propensity=0.1 + 0.2, at=WHEN),
            outcome("o1", request_id="r1", value=[True, 1, 1.0, ODD], at=WHEN, revision=7),
            outcome(_LONG, unit=_LONG, value=-1e-17, name="revenue"),
        ]
        with store.write() as unit:
            unit.log.append(events)
        with store.read() as unit:
            found = [entry.event for entry in unit.log.after(0, limit=10)]
        assert found == events
        assert [repr(event) for event in found[1:2]] == [repr(event) for event in events[1:2]]

    def test_numbers_only_grow(self, store: Store[DeliveryUnit]) -> None:
        """Entries stand in the order they were appended; ``head`` is the last; gaps may be."""
        fill(store, 7)
        with store.read() as unit:
            entries = unit.log.after(0, limit=100)
            assert unit.log.head() == entries[-1].seq
        assert [entry.event.request_id for entry in entries] == [f"r{i}" for i in range(7)]
        assert sorted({entry.seq for entry in entries}) == [entry.seq for entry in entries]

    def test_after_and_limit(self, store: Store[DeliveryUnit]) -> None:
        """A reader goes on from any number, by as many as it asks for."""
        fill(store, 7)
        with store.read() as unit:
            entries = unit.log.after(0, limit=100)
            assert list(unit.log.after(entries[2].seq, limit=3)) == list(entries[3:6])
            assert list(unit.log.after(entries[-1].seq, limit=3)) == []

    def test_an_empty_log(self, store: Store[DeliveryUnit]) -> None:
        """Nothing is found, and the head is 0."""
        with store.read() as unit:
            assert unit.log.head() == 0
            assert list(unit.log.after(0, limit=10)) == []
            assert list(unit.log.of_requests([])) == list(unit.log.of_units([])) == []
            assert unit.log.latest([]) == unit.log.latest(["o"]) == {}

    def test_of_requests_and_units(self, store: Store[DeliveryUnit]) -> None:
        """Requests bring their predictions and outcomes; units only outcomes as a whole."""
        events: list[Event] = [
            outcome("o1", request_id="r1"),
            prediction("r1", unit="u"),
            prediction("r2", unit="u"),
            outcome("o2", unit="u"),
            outcome("o3", unit="v"),
            outcome("o1", request_id="r1", revision=2, value=0),
            outcome("o2", unit="u", revision=2, value=0),
            exposure("u"),
        ]
        with store.write() as unit:
            unit.log.append(events)
            seqs = [entry.seq for entry in unit.log.after(0, limit=10)]
        with store.read() as unit:
            log = unit.log
            assert places(log.of_requests(["r1", "r1", "none"]), seqs) == [0, 1, 5]
            assert places(log.of_requests(["r2", "r1"]), seqs) == [0, 1, 2, 5]
            assert places(log.of_requests(["r1"], up_to=seqs[4]), seqs) == [0, 1]
            assert places(log.of_units(["u"]), seqs) == [3, 6]
            assert places(log.of_units(["v", "u"], up_to=seqs[5]), seqs) == [3, 4]
            assert log.latest(["o1", "o3", "none"]) == {"o1": events[5], "o3": events[4]}

    def test_given_to_units(self, store: Store[DeliveryUnit]) -> None:
        """Predictions and exposures of exactly these units, from a place on, so many."""
        events: list[Event] = [
            prediction("r1", unit="u"),
            exposure("v", at=WHEN),
            outcome("o1", unit="u"),
            prediction("u", unit="w"),
            prediction('"unit":"u"', unit=ODD, classes=("u", "\0", '"unit":"u"'), values=["u"]),
            exposure("U"),
            exposure("u"),
        ]
        with store.write() as unit:
            unit.log.append(events)
            seqs = [entry.seq for entry in unit.log.after(0, limit=10)]
        with store.read() as unit:
            log = unit.log
            assert places(log.given_to(["u", "none"], after=0, limit=10), seqs) == [0, 6]
            assert places(log.given_to(["u", ODD], after=0, limit=2), seqs) == [0, 4]
            assert places(log.given_to(["v", "u"], after=seqs[0], limit=10), seqs) == [1, 6]
            assert places(log.given_to(["w"], after=seqs[3], limit=10), seqs) == []
            found = log.given_to([f"u{number}" for number in range(500)], after=0, limit=1)
            assert list(found) == list(log.given_to([], after=0, limit=1)) == []

    def test_what_is_erased_is_gone(self, store: Store[DeliveryUnit]) -> None:
        """Others keep their numbers and contents; no number is given twice, not even the last."""
        fill(store, 5)
        with store.write() as unit:
            entries = unit.log.after(0, limit=10)
            assert unit.log.erase([entries[1].seq, entries[4].seq, 10**9]) == 2
            assert unit.log.erase([entries[1].seq]) == unit.log.erase([]) == 0
            assert unit.log.head() == entries[3].seq
        with store.write() as unit:
            log = unit.log
            assert list(log.after(0, limit=10)) == [entries[0], *entries[2:4]]
            assert list(log.after(entries[0].seq, limit=1)) == [entries[2]]
            assert list(log.of_requests(["r1", "r2", "r4"])) == [entries[2]]
            assert list(log.of_requests(["r2"], up_to=entries[1].seq)) == []
            assert list(log.given_to(["r1", "r3"], after=0, limit=10)) == [entries[3]]
            log.append([prediction("r9")])
            assert log.head() > entries[4].seq
            assert log.erase([entry.seq for entry in log.after(0, limit=10)]) == 4
        with store.write() as unit:
            assert unit.log.head() == 0
            unit.log.append([prediction("r10")])
            assert unit.log.head() > entries[4].seq + 1

    def test_an_erased_outcome_begins_again(self, store: Store[DeliveryUnit]) -> None:
        """No revision of it is left, so that the next is the first."""
        with store.write() as unit:
            unit.log.append([outcome("o", unit="u"), outcome("o", unit="u", revision=2)])
            unit.log.erase([entry.seq for entry in unit.log.of_units(["u"])])
            assert unit.log.latest(["o"], lock=True) == {}
            unit.log.append([outcome("o", unit="u")])
        with store.read() as unit:
            assert [entry.event for entry in unit.log.of_outcomes(["o"])] == [
                outcome("o", unit="u")
            ]

    def test_an_erasure_that_raises_erases_nothing(self, store: Store[DeliveryUnit]) -> None:
        """It is undone with its unit of work."""
        fill(store, 2)
        with store.read() as unit:
            entries = list(unit.log.after(0, limit=10))
        with pytest.raises(RuntimeError), store.write() as unit:
            unit.log.erase([entry.seq for entry in entries])
            raise RuntimeError
        with store.read() as unit:
            assert list(unit.log.after(0, limit=10)) == entries

    def test_thousands_of_requests(self, store: Store[DeliveryUnit]) -> None:
        """A batch of requests has no limit, and comes in the order of the log."""
        names = [f"r{number}" for number in range(3_000)]
        with store.write() as unit:
            unit.log.append([prediction(name) for name in names])
            found = unit.log.of_requests(reversed(names))
        assert [entry.event.request_id for entry in found] == names

    def test_an_outcome_has_one_of_each_revision(self, store: Store[DeliveryUnit]) -> None:
        """Writers that read and append in one unit never give two outcomes one revision."""

        def correct(thread: int) -> None:
            for turn in range(10):
                with store.write() as unit:
                    last = unit.log.latest(["o"], lock=True).get("o")
                    revision = last.revision + 1 if last else 1
                    unit.log.append(
                        [outcome("o", request_id="r", revision=revision, value=10 * thread + turn)]
                    )

        in_threads([correct] * 4)
        with store.read() as unit:
            found = [entry.event for entry in unit.log.of_requests(["r"])]
        assert [event.revision for event in found if isinstance(event, Outcome)] == [*range(1, 41)]

    def test_a_reader_by_cursor_misses_nothing(self, store: Store[DeliveryUnit]) -> None:
        """Whoever follows the log sees every event once, in order, while others append."""
        writers, units, each = 4, 12, 3
        seen: list[list[LogEntry]] = [[], []]

        def write(thread: int) -> None:
            for turn in range(units):
                with store.write() as unit:
                    unit.log.append([prediction(f"{thread}-{turn}-{i}") for i in range(each)])

        def follow(thread: int) -> None:
            mine = seen[thread - writers]
            while len(mine) < writers * units * each:
                with store.read() as unit:
                    mine += unit.log.after(mine[-1].seq if mine else 0, limit=7)

        in_threads([write] * writers + [follow] * 2)
        with store.read() as unit:
            whole = unit.log.after(0, limit=10_000)
        assert seen == [whole, whole]
        assert len({entry.event.request_id for entry in whole}) == writers * units * each
        for thread in range(writers):
            names = [
                entry.event.request_id
                for entry in whole
                if (entry.event.request_id or "").startswith(f"{thread}-")
            ]
            assert names == [f"{thread}-{turn}-{i}" for turn in range(units) for i in range(each)]
