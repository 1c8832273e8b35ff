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
from palio.experiments.weights.sticky import StickyAssignment
from palio.ports import Store
from palio.registry.domain import Model
from palio.registry.service import Models
from palio.testing.audit_contract import AuditLogContract
from palio.testing.fakes import FakeClock
from palio.testing.log_contract import EventLogContract
from palio.testing.records import (
    KEYS,
    ODD,
    RECORDS,
    UNORDERED,
    WHEN,
    outcome,
    prediction,
)
from palio.testing.steps import (
    assert_chain,
    change,
    collection,
    in_threads,
    key_of,
    move_often,
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

    def test_traffic_is_read_and_forgotten_by_the_second(self, store: Store[DeliveryUnit]) -> None:
        """What came before a second is left out, and can be removed; endpoints are told apart."""
        one = RECORDS["traffic"][0]
        counts = [replace(one, second=second) for second in (7, 8, 9)]
        counts.append(replace(one, second=8, endpoint="f"))
        put(store, "traffic", counts)
        with store.write() as unit:
            assert {(c.second, c.endpoint) for c in unit.traffic.since(8)} == {
                (8, "e"),
                (8, "f"),
                (9, "e"),
            }
            assert list(unit.traffic.since(8, endpoint="f")) == [counts[3]]
            assert unit.traffic.forget(8) == 1
            assert unit.traffic.forget(8) == 0
            assert len(unit.traffic.find()) == 3

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

    @ALL
    def test_add_missing_leaves_alone_what_is_there(
        self, store: Store[DeliveryUnit], name: str
    ) -> None:
        """Records whose key is free are added, once; those that are there stay as they were."""
        first, *others = RECORDS[name]
        with store.write() as unit:
            put_parents(unit, name)
            collection(unit, name).add_missing([])
            collection(unit, name).add_missing([first])
            collection(unit, name).add_missing([first, *others, *others])
        with store.read() as unit:
            found = collection(unit, name).find()
            assert len(found) == len(RECORDS[name])
            assert all(record in found for record in RECORDS[name])

    def test_add_missing_changes_nothing(self, store: Store[DeliveryUnit]) -> None:
        """What another record under the key says does not count, in one call or in two."""
        first, second = RECORDS["sticky"]
        moved, late = (replace(one, variant="moved", epoch=99) for one in (first, second))
        put(store, "sticky", [first])
        with store.write() as unit:
            unit.sticky.add_missing([moved, second, late])
            assert unit.sticky.get_many(map(_sticky_key, (first, second))) == {
                _sticky_key(first): first, _sticky_key(second): second,
            }  # fmt: skip

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

    def test_a_revision_grows_with_entries_and_weights(self, store: Store[DeliveryUnit]) -> None:
        """Every audit entry and every version of weights is another; nothing else is."""
        experiment = replace(RECORDS["experiments"][0], policy_version=0)
        seen = []
        for weights in (0, 1, 2**40):
            put(store, "experiments", [replace(experiment, policy_version=weights)])
            with store.read() as unit:
                seen.append(unit.revision())
        put(store, "experiments", [replace(experiment, key="other", policy_version=3)])
        with store.write() as unit:
            unit.audit.append(change())
            unit.log.append([prediction("r")])
            seen.append(unit.revision())
        assert seen == [0, 1, 2**40, 2**40 + 4]

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

    def test_units_that_add_missing_at_once_agree(self, store: Store[DeliveryUnit]) -> None:
        """Of threads that add under the same keys, each finds afterwards what all others do."""
        first = RECORDS["sticky"][0]
        found: dict[int, object] = {}

        def add(thread: int) -> None:
            own = [replace(first, unit=f"u{i:03}", variant=f"{thread}") for i in range(100)]
            with store.write() as unit:
                unit.sticky.add_missing(own)
                found[thread] = unit.sticky.get_many(map(_sticky_key, own))

        in_threads([add] * _THREADS)
        with store.read() as unit:
            kept = {_sticky_key(one): one for one in unit.sticky.find()}
        assert len(kept) == 100
        assert [found[thread] for thread in range(_THREADS)] == [kept] * _THREADS


def _sticky_key(record: StickyAssignment) -> tuple[str, str]:
    return record.experiment, record.unit


class StoreContract(
    _CollectionContract,
    _UnitContract,
    EventLogContract,
    AuditLogContract,
    _ConcurrencyContract,
):
    """Every obligation of `palio.ports`, `palio.access.ports` and `palio.experiments.ports`."""
