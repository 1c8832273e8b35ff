"""What every store must do, as tests: subclass and give a ``store`` fixture.

::

    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self):
            return MyStore()

Every test is given a store that is new. Needs pytest, which Palio itself does not.
"""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta

import pytest

from palio.access.domain import Identity, Role
from palio.delivery.ports import DeliveryUnit
from palio.errors import AlreadyExists, InvalidInput
from palio.experiments.events import Event, LogEntry, Outcome
from palio.ports import Store
from palio.registry.domain import Model
from palio.registry.service import Models
from palio.testing.audit_contract import AuditLogContract
from palio.testing.fakes import FakeClock
from palio.testing.records import (
    KEYS,
    ODD,
    RECORDS,
    UNORDERED,
    WHEN,
    exposure,
    outcome,
    prediction,
)
from palio.testing.steps import (
    assert_chain,
    change,
    collection,
    fill,
    in_threads,
    key_of,
    move_often,
    places,
    put,
    put_parents,
    put_users,
    words,
)

__all__ = ["StoreContract"]

ALL = pytest.mark.parametrize("name", RECORDS)
ORDERED = pytest.mark.parametrize("name", sorted(set(RECORDS) - UNORDERED))
OPEN_STATES = ("draft", "running", "paused")
_THREADS = 8
_LONG = "é" * 256  # as long as an id may be


class _CollectionContract:
    @ALL
    def test_record_comes_back_as_it_was(self, store: Store[DeliveryUnit], name: str) -> None:
        """Every field of every record survives: nothing, enumerations, nested records, times."""
        put(store, name, RECORDS[name])
        with store.read() as unit:
            for record in RECORDS[name]:
                assert collection(unit, name).get(*key_of(name, record)) == record

    @ALL
    def test_times_come_back_aware(self, store: Store[DeliveryUnit], name: str) -> None:
        """A moment comes back with a zone and its microseconds, whatever zone it came in."""
        put(store, name, RECORDS[name][:1])
        with store.read() as unit:
            [found] = collection(unit, name).find()
        for field in fields(found):
            sent, read = getattr(RECORDS[name][0], field.name), getattr(found, field.name)
            assert type(read) is type(sent)
            if hasattr(read, "tzinfo"):
                assert read.tzinfo is not None
                assert read.microsecond == sent.microsecond

    @ALL
    def test_nothing_is_found_where_nothing_is(
        self, store: Store[DeliveryUnit], name: str
    ) -> None:
        """A missing record is ``None``; it is in no answer, and no search finds it."""
        with store.read() as unit:
            key = key_of(name, RECORDS[name][0])
            assert collection(unit, name).get(*key) is None
            assert collection(unit, name).get_many([key]) == {}
            assert list(collection(unit, name).find()) == []

    @ALL
    def test_get_many_returns_what_exists(self, store: Store[DeliveryUnit], name: str) -> None:
        """Keys that exist are answered under the key asked for; others are left out."""
        put(store, name, RECORDS[name])
        wanted = {key_of(name, record): record for record in RECORDS[name]}
        first = key_of(name, RECORDS[name][0])
        missing = (*first[:-1], 99 if isinstance(first[-1], int) else "missing")
        with store.read() as unit:
            assert collection(unit, name).get_many([*wanted, missing, *wanted]) == wanted
            assert collection(unit, name).get_many([]) == {}

    def test_get_many_takes_thousands(self, store: Store[DeliveryUnit]) -> None:
        """The number of keys asked for at once has no limit that a batch would reach."""
        row = RECORDS["unit_values"][0]
        rows = {
            ("exp-1", 1, f"u{number}"): replace(row, unit=f"u{number}") for number in range(3_000)
        }
        put(store, "unit_values", list(rows.values()))
        with store.read() as unit:
            assert unit.unit_values.get_many(rows) == rows

    @ORDERED
    def test_find_keeps_the_order_of_adding(self, store: Store[DeliveryUnit], name: str) -> None:
        """First added, first found; ``last`` takes from the end and keeps the order."""
        records = RECORDS[name]
        for record in records:
            put(store, name, [record])
        put(store, name, records[:1])  # replacing does not move it
        with store.read() as unit:
            assert list(collection(unit, name).find()) == list(records)
            assert list(collection(unit, name).find(last=1)) == list(records[-1:])
            assert list(collection(unit, name).find(last=99)) == list(records)

    def test_find_compares_fields(self, store: Store[DeliveryUnit]) -> None:
        """All fields given must be equal; ``None`` and enumerations compare as themselves."""
        first, second = RECORDS["keys"]
        put(store, "keys", [first, second])
        with store.read() as unit:
            assert list(unit.keys.find(id=first.id, role=Role.OPERATOR)) == [first]
            assert list(unit.keys.find(id=first.id, role=Role.VIEWER)) == []
            assert list(unit.keys.find(revoked_at=None)) == [second]
            assert list(unit.keys.find(name=ODD, last=1)) == [second]
            assert list(unit.keys.find(name=ODD, expires_at=WHEN + timedelta(days=1))) == [first]

    @ALL
    def test_a_taken_key_is_refused(self, store: Store[DeliveryUnit], name: str) -> None:
        """Adding under a taken key raises, and what was there stays."""
        record = RECORDS[name][0]
        with store.write() as unit:
            put_parents(unit, name)
            collection(unit, name).add(record)
        with pytest.raises(AlreadyExists), store.write() as unit:
            collection(unit, name).add(record)
        with store.read() as unit:
            assert list(collection(unit, name).find()) == [record]

    def test_a_refused_record_undoes_its_unit(self, store: Store[DeliveryUnit]) -> None:
        """Nothing of a unit that ends in ``AlreadyExists`` is kept."""
        first, second = RECORDS["models"]
        put(store, "models", [first])
        with pytest.raises(AlreadyExists), store.write() as unit:
            unit.models.add(second)
            unit.models.add(first)
        with store.read() as unit:
            assert list(unit.models.find()) == [first]

    def test_put_many_replaces(self, store: Store[DeliveryUnit]) -> None:
        """Whatever is under the same key is replaced, in one call the last one holds."""
        first, second = RECORDS["models"]
        changed = replace(first, description="changed")
        with store.write() as unit:
            unit.models.put_many([first, second, changed])
            unit.models.put_many([])
            assert unit.models.get(first.name) == changed
        put(store, "models", [first])
        with store.read() as unit:
            assert list(unit.models.find()) == [first, second]

    @ALL
    def test_remove_takes_what_equals(self, store: Store[DeliveryUnit], name: str) -> None:
        """Records with all of the fields given are gone; others stay, and nothing is no name."""
        first, *others = RECORDS[name]
        fields = dict(zip(KEYS[name], key_of(name, first), strict=True))
        put(store, name, RECORDS[name])
        with store.write() as unit:
            assert collection(unit, name).remove(**fields) == 1
            assert collection(unit, name).remove(**fields) == 0
            assert collection(unit, name).get(*key_of(name, first)) is None
        with store.write() as unit:
            found = {key_of(name, one): one for one in collection(unit, name).find()}
            assert found == {key_of(name, one): one for one in others}
            with pytest.raises(ValueError, match="everything is too much"):
                collection(unit, name).remove()

    @pytest.mark.parametrize("value", [object(), "\ud800"])
    def test_what_cannot_be_kept_is_refused(
        self, store: Store[DeliveryUnit], value: object
    ) -> None:
        """A value that no database could hold is the sender's mistake, and says so."""
        version = replace(RECORDS["versions"][0], training={"value": value})
        with pytest.raises(InvalidInput, match="cannot be kept"):
            put(store, "versions", [version])
        with store.read() as unit:
            assert list(unit.versions.find()) == []

    def test_names_are_compared_exactly(self, store: Store[DeliveryUnit]) -> None:
        """Case, accents, blanks at the end and long tails make another name."""
        names = ["a", "A", "ä", "a\u0308", "a ", "", _LONG, _LONG[:-1], "🦉" * 128]
        models = [replace(RECORDS["models"][0], name=name) for name in names]
        with store.write() as unit:
            for model in models:
                unit.models.add(model)
        with store.read() as unit:
            assert [model.name for model in unit.models.find()] == names
            for model in models:
                assert unit.models.get(model.name) == model


class _UnitContract:
    def test_a_unit_sees_its_own_writes(self, store: Store[DeliveryUnit]) -> None:
        """Later reads of a unit see what it wrote; what was read before does not change."""
        model, _ = RECORDS["models"]
        with store.write() as unit:
            unit.models.add(model)
            before = unit.models.get(model.name)
            unit.models.put_many([replace(model, description="new")])
            after = unit.models.get(model.name, lock=True)
        assert before == model
        assert after == replace(model, description="new")

    def test_others_see_committed_state_only(self, store: Store[DeliveryUnit]) -> None:
        """What a unit writes is seen when it has ended, and by units that begin after that."""
        model, _ = RECORDS["models"]
        with store.write() as writing:
            writing.models.add(model)
            with store.read() as reading:
                assert reading.models.get(model.name) is None
        with store.read() as reading:
            assert reading.models.get(model.name) == model

    def test_a_read_sees_one_state(self, store: Store[DeliveryUnit]) -> None:
        """Two reads in one unit agree, whatever is committed between them."""
        with store.read() as reading:
            assert list(reading.models.find()) == []
            assert reading.log.head() == 0
            put(store, "models", RECORDS["models"])
            with store.write() as writing:
                writing.log.append([prediction("r")])
            assert list(reading.models.find()) == []
            assert reading.log.head() == 0

    def test_an_exception_leaves_nothing(self, store: Store[DeliveryUnit]) -> None:
        """A unit that raises is undone as a whole: records, events, audit entries."""
        with pytest.raises(RuntimeError, match="stop"), store.write() as unit:
            for name, records in RECORDS.items():
                collection(unit, name).put_many(records)
            unit.log.append([prediction("r"), outcome("o", request_id="r")])
            unit.audit.append(change())
            raise RuntimeError("stop")
        with store.read() as unit:
            assert [name for name in RECORDS if collection(unit, name).find()] == []
            assert (unit.log.head(), unit.audit.head()) == (0, 0)
            assert list(unit.log.of_requests(["r"])) == []
            assert list(unit.audit.entries()) == []

    def test_a_store_goes_on_after_an_exception(self, store: Store[DeliveryUnit]) -> None:
        """The next unit works, from the same thread and from another."""
        for _ in range(20):
            with pytest.raises(RuntimeError), store.write() as unit:
                unit.audit.append(change())
                raise RuntimeError
        in_threads([lambda _: put(store, "models", RECORDS["models"])] * 2)
        with store.write() as unit:
            assert unit.audit.append(change()).seq == 1

    def test_model_of_an_endpoint(self, store: Store[DeliveryUnit]) -> None:
        """An endpoint's model is known without its noun; none where there is no endpoint."""
        put(store, "endpoints", RECORDS["endpoints"])
        with store.write() as unit:
            assert unit.model_of("pay") == "m"
            assert unit.model_of("pay", lock=True) == "m"
            assert unit.model_of("nowhere", lock=True) is None
            found = [unit.override_of(name) for name in ("pay", "an", "nowhere")]
            assert found == ["v", None, None]

    def test_uses_of_a_version(self, store: Store[DeliveryUnit]) -> None:
        """A version is used by overrides, and by variants and champions of what has not ended."""
        put_users(store)
        expected = {
            "v": ["endpoint over"],
            "v1": [f"experiment {state}" for state in OPEN_STATES],
            "v2": [f"experiment {state}" for state in OPEN_STATES],
            "king": ["experiment running", "experiment paused"],
            "none": [],
        }
        with store.read() as unit:
            found = {name: words(unit.uses_of("credit-risk", name)) for name in expected}
            assert found == expected
            assert words(unit.uses_of("other", "v")) == []

    def test_uses_of_a_model(self, store: Store[DeliveryUnit]) -> None:
        """A model is used by its endpoints, and by its experiments that have not ended."""
        put_users(store)
        states = [f"experiment {state}" for state in OPEN_STATES]
        with store.write() as unit:
            found = words(unit.uses_of("credit-risk"))
            assert found == ["endpoint over", "endpoint plain", *states]
            assert words(unit.uses_of("other")) == ["endpoint elsewhere"]
            assert words(unit.uses_of("nothing")) == []


class _EventLogContract:
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


class _ConcurrencyContract:
    def test_no_move_of_an_alias_is_lost(self, store: Store[DeliveryUnit]) -> None:
        """Eight threads move one alias by compare-and-set: every move follows the one before."""
        version = RECORDS["versions"][-1]  # not a deleted one
        put(
            store,
            "versions",
            [replace(version, model="m", version=f"{i}") for i in range(_THREADS)],
        )
        put(store, "models", [Model("m", "standard", WHEN, "ann")])
        models = Models(store=store, clock=FakeClock(), actor=Identity("ann", Role.OPERATOR))
        in_threads([lambda thread: move_often(models, thread)] * _THREADS)
        moves = models.history("m", "next")
        assert len(moves) == _THREADS * 5
        assert_chain(moves)
        with store.read() as unit:
            assert unit.audit.head() == len(moves)

    def test_a_locked_record_is_not_written_by_others(self, store: Store[DeliveryUnit]) -> None:
        """Units that read with ``lock`` and write what they read lose no update."""
        put(store, "variant_counts", RECORDS["variant_counts"])
        key = key_of("variant_counts", RECORDS["variant_counts"][0])

        def count(_: int) -> None:
            for _ in range(10):
                with store.write() as unit:
                    row = unit.variant_counts.get(*key, lock=True)
                    assert row is not None
                    unit.variant_counts.put_many([replace(row, units=row.units + 1)])

        in_threads([count] * _THREADS)
        with store.read() as unit:
            found = unit.variant_counts.get(*key)
        assert found == replace(RECORDS["variant_counts"][0], units=1 + 10 * _THREADS)

    def test_one_of_many_adds_wins(self, store: Store[DeliveryUnit]) -> None:
        """Of threads that add under one key, one succeeds and the others are told."""
        refused = []

        def add(thread: int) -> None:
            try:
                with store.write() as unit:
                    unit.models.add(replace(RECORDS["models"][0], description=str(thread)))
            except AlreadyExists:
                refused.append(thread)

        in_threads([add] * _THREADS)
        with store.read() as unit:
            [kept] = unit.models.find()
        assert sorted([*refused, int(kept.description)]) == [*range(_THREADS)]


class StoreContract(
    _CollectionContract,
    _UnitContract,
    _EventLogContract,
    AuditLogContract,
    _ConcurrencyContract,
):
    """Every obligation of `palio.ports`, `palio.access.ports` and `palio.experiments.ports`."""
