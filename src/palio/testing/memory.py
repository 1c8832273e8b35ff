"""A store in memory: every unit of work on plain dictionaries, for tests that should be fast.

Records are kept as JSON and read back, so that nobody can change what another has read, and
what would not survive a database does not survive here.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cmp_to_key
from itertools import islice
from typing import Generic, TypeVar

import msgspec

from palio.access.alerts import Alert, AlertDelivery
from palio.access.audit import GENESIS, AuditEntry, AuditQuery, Change, seal
from palio.access.domain import ApiKey
from palio.bucketing import Split
from palio.delivery.deployments.domain import Deployment
from palio.delivery.domain import Endpoint
from palio.delivery.traffic import ProcessUse, TrafficCounts, TrafficTotals
from palio.delivery.uses import uses_within
from palio.errors import AlreadyExists, InvalidInput
from palio.experiments.domain import Experiment
from palio.experiments.events import Event, LogEntry, Outcome
from palio.experiments.folding.statistics import (
    ContrastSums,
    Cursor,
    Falls,
    MetricSums,
    ReportedSums,
    UnitValues,
    VariantCounts,
)
from palio.experiments.judging.analysis import Crossing, Look, Record
from palio.experiments.lease import Lease
from palio.experiments.privacy.marks import StoreMark
from palio.experiments.weights.published import Published
from palio.experiments.weights.sticky import StickyAssignment
from palio.registry.domain import AliasMove, Attestation, Model, Use, Version
from palio.registry.drift import FeatureCounts, FeatureReference
from palio.registry.lifecycle import Lifecycle
from palio.registry.quality import QualitySums
from palio.registry.search.pages import Order, Place
from palio.registry.search.query import Query

__all__ = [
    "MemoryAuditLog",
    "MemoryCollection",
    "MemoryEventLog",
    "MemoryStore",
    "MemoryTraffic",
    "MemoryUnit",
    "MemoryVersions",
]

T = TypeVar("T")
Key = tuple[object, ...]


@dataclass
class _State:
    """All that the store holds; a unit that writes works on a copy of its own."""

    records: dict[type, dict[Key, bytes]] = field(default_factory=dict)
    events: list[LogEntry] = field(default_factory=list)
    numbered: int = 0  # the last place in the log that was given, whatever is gone since
    audit: list[AuditEntry] = field(default_factory=list)

    def copy(self) -> _State:
        records = {record: rows.copy() for record, rows in self.records.items()}
        return _State(records, self.events.copy(), self.numbered, self.audit.copy())


class MemoryCollection(Generic[T]):
    """Records of one type under the fields of their key, in the order they were added."""

    def __init__(self, state: _State, record: type[T], *key: str) -> None:
        self._rows = state.records.setdefault(record, {})
        self._key = key
        self._read = msgspec.json.Decoder(record).decode

    def get(self, *key: object, lock: bool = False) -> T | None:  # noqa: ARG002 - always locked
        """Return the record under a key."""
        return self._read(self._rows[key]) if key in self._rows else None

    def get_many(self, keys: Iterable[Key]) -> Mapping[Key, T]:
        """Return the records that exist under keys."""
        return {key: self._read(self._rows[key]) for key in keys if key in self._rows}

    def find(self, *, last: int | None = None, **equals: object) -> Sequence[T]:
        """Return the records whose fields equal those given, in the order they were added."""
        found = self._equal(equals)
        return found if last is None else found[max(0, len(found) - last) :]

    def add(self, record: T) -> None:
        """Add a record under a key that is free."""
        key = self._key_of(record)
        if key in self._rows:
            name, kind = ", ".join(map(str, key)), type(record).__name__
            raise AlreadyExists(f"{kind} has {name} already", kind=kind, name=name)
        self.put_many([record])

    def add_missing(self, records: Iterable[T]) -> None:
        """Add records whose key is free."""
        for record in records:
            self._rows.setdefault(self._key_of(record), _encoded(record))

    def put_many(self, records: Iterable[T]) -> None:
        """Add records or replace those under the same keys."""
        for record in records:
            self._rows[self._key_of(record)] = _encoded(record)

    def remove(self, **equals: object) -> int:
        """Remove the records whose fields equal those given."""
        if not equals:
            raise ValueError("name the fields of what is removed; everything is too much")
        found = self._equal(equals)
        for record in found:
            del self._rows[self._key_of(record)]
        return len(found)

    def _equal(self, fields: Mapping[str, object]) -> list[T]:
        return [
            record
            for record in map(self._read, self._rows.values())
            if all(getattr(record, name) == value for name, value in fields.items())
        ]

    def _key_of(self, record: T) -> Key:
        return tuple(getattr(record, name) for name in self._key)


class MemoryVersions(MemoryCollection[Version]):
    """Versions, searched by asking each."""

    def __init__(self, state: _State) -> None:
        super().__init__(state, Version, "model", "version")
        self._models = MemoryCollection(state, Model, "name")
        self._moves = MemoryCollection(state, AliasMove, "model", "alias", "seq")

    def search(
        self, query: Query, *, order: Order, limit: int, after: Place | None = None
    ) -> Sequence[tuple[int, Version]]:
        """Return the versions asked for that stand behind a place, each with its arrival."""
        query = query.knowing(
            [model.name for model in self._models.find() if model.deleted_at is not None]
        )
        points = {(move.model, move.alias): move.version for move in self._moves.find()}
        found: list[tuple[Place, Version]] = []
        for arrival, version in enumerate(self.find()):
            key = (version.model, version.version)
            aliases = [name for (model, name), at in points.items() if (model, at) == key]
            place = order.place(version, arrival)
            behind = after is None or order.compare(after, place) < 0
            if behind and query.admits(version, aliases):
                found.append((place, version))
        by_place = cmp_to_key(order.compare)
        found.sort(key=lambda one: by_place(one[0]))
        return [(place.arrival, version) for place, version in found[:limit]]


class MemoryTraffic(MemoryCollection[TrafficCounts]):
    """Counts per second."""

    def __init__(self, state: _State) -> None:
        key = ("second", "process", "endpoint", "model", "version")
        super().__init__(state, TrafficCounts, *key)

    def since(self, second: int, *, endpoint: str | None = None) -> Sequence[TrafficCounts]:
        """Return the counts of a second and of those after it."""
        found = self.find() if endpoint is None else self.find(endpoint=endpoint)
        return [one for one in found if one.second >= second]

    def forget(self, before: int) -> int:
        """Remove the counts of the seconds before one."""
        seconds = {one.second for one in self.find() if one.second < before}
        return sum(self.remove(second=second) for second in seconds)


class MemoryEventLog:
    """The event log in a list, in the order of its numbers."""

    def __init__(self, state: _State) -> None:
        self._state = state
        self._entries = state.events

    def append(self, events: Sequence[Event]) -> None:
        """Add events in order."""
        for event in events:
            kept = msgspec.json.decode(_encoded(event), type=type(event))
            self._state.numbered += 1
            self._entries.append(LogEntry(self._state.numbered, kept))

    def head(self) -> int:
        """Return the last ``seq``."""
        return self._entries[-1].seq if self._entries else 0

    def after(self, seq: int, *, limit: int) -> Sequence[LogEntry]:
        """Return entries from the one following ``seq``."""
        start = self._place(seq)
        return self._entries[start : start + limit]

    def given_to(self, units: Iterable[str], *, after: int, limit: int) -> Sequence[LogEntry]:
        """Return the predictions and exposures of units."""
        asked = set(units)
        found = (
            entry
            for entry in islice(self._entries, self._place(after), None)
            if not isinstance(entry.event, Outcome) and entry.event.unit in asked
        )
        return list(islice(found, limit))

    def erase(self, seqs: Iterable[int]) -> int:
        """Remove entries."""
        gone, before = set(seqs), len(self._entries)
        self._entries[:] = [entry for entry in self._entries if entry.seq not in gone]
        return before - len(self._entries)

    def of_requests(
        self, request_ids: Iterable[str], *, up_to: int | None = None
    ) -> Sequence[LogEntry]:
        """Return the events of requests."""
        asked = set(request_ids)
        return [entry for entry in self._up_to(up_to) if entry.event.request_id in asked]

    def of_units(self, units: Iterable[str], *, up_to: int | None = None) -> Sequence[LogEntry]:
        """Return the outcomes of units as a whole."""
        asked = set(units)
        return [
            entry
            for entry in self._up_to(up_to)
            if isinstance(entry.event, Outcome) and entry.event.unit in asked
        ]

    def of_outcomes(
        self, outcome_ids: Iterable[str], *, up_to: int | None = None
    ) -> Sequence[LogEntry]:
        """Return all revisions of outcomes."""
        asked = set(outcome_ids)
        return [
            entry
            for entry in self._up_to(up_to)
            if isinstance(entry.event, Outcome) and entry.event.outcome_id in asked
        ]

    def latest(
        self,
        outcome_ids: Iterable[str],
        *,
        lock: bool = False,  # noqa: ARG002 - always locked
    ) -> Mapping[str, Outcome]:
        """Return the last revision of outcomes."""
        found = (entry.event for entry in self.of_outcomes(outcome_ids))
        return {one.outcome_id: one for one in found if isinstance(one, Outcome)}

    def _up_to(self, seq: int | None) -> Iterator[LogEntry]:
        return islice(self._entries, None if seq is None else self._place(seq))

    def _place(self, seq: int) -> int:
        """Return how many entries stand up to ``seq``."""
        return bisect_right(self._entries, seq, key=lambda entry: entry.seq)


class MemoryAuditLog:
    """The audit log in a list."""

    def __init__(self, state: _State) -> None:
        self._entries = state.audit
        self._endpoints = MemoryCollection(state, Endpoint, "name")
        self._experiments = MemoryCollection(state, Experiment, "key")
        self._deployments = MemoryCollection(state, Deployment, "name")

    def append(self, change: Change) -> AuditEntry:
        """Seal a change after the last entry."""
        prev_hash = self._entries[-1].hash if self._entries else GENESIS
        entry = seal(change, seq=len(self._entries) + 1, prev_hash=prev_hash)
        self._entries.append(entry)
        return entry

    def head(self) -> int:
        """Return the last ``seq``."""
        return len(self._entries)

    def entries(self, *, after: int = 0, limit: int | None = None) -> Sequence[AuditEntry]:
        """Return entries in order."""
        start = max(0, after)
        return self._entries[start : None if limit is None else start + limit]

    def head_hash(self) -> str:
        """Return the hash that the next entry will follow."""
        return self._entries[-1].hash if self._entries else GENESIS

    def find(self, query: AuditQuery, *, after: int, limit: int) -> Sequence[AuditEntry]:
        """Return the entries a query asks for, in order."""
        found: Iterable[AuditEntry] = filter(query.admits, self.entries(after=after))
        if query.model is not None:
            found = filter(self._is_of(query.model), found)
        return list(islice(found, limit))

    def _is_of(self, model: str) -> Callable[[AuditEntry], bool]:
        endpoints = {one.name for one in self._endpoints.find(model=model)}
        experiments = {one.key for one in self._experiments.find(model=model)}
        deployments = {one.name for one in self._deployments.find(model=model)}
        others = {"endpoint": endpoints, "experiment": experiments, "deployment": deployments}
        others |= {one: set() for one in ("key", "lifecycle", "units")}

        def is_of(entry: AuditEntry) -> bool:
            noun = entry.action.partition(".")[0]
            of_it = entry.subject.startswith((f"{model}:", f"{model}@"))
            return of_it or entry.subject in others.get(noun, {model})

        return is_of


class _SeenUnit:
    """What is seen of what runs."""

    def __init__(self, state: _State) -> None:
        self.alerts = MemoryCollection(state, Alert, "id")
        self.alert_deliveries = MemoryCollection(state, AlertDelivery, "alert", "target")
        self.feature_references = MemoryCollection(state, FeatureReference, "model", "version")
        self.feature_counts = MemoryCollection(
            state, FeatureCounts, "day", "process", "model", "version"
        )
        self.quality_sums = MemoryCollection(
            state, QualitySums, "model", "version", "cohort", "segment"
        )
        self.traffic = MemoryTraffic(state)
        self.traffic_totals = MemoryCollection(
            state, TrafficTotals, "server", "process", "endpoint", "model", "version"
        )
        self.process_uses = MemoryCollection(state, ProcessUse, "process")


class MemoryUnit(_SeenUnit):
    """One unit of work: every collection that a noun asks for."""

    def __init__(self, state: _State) -> None:
        super().__init__(state)
        self.audit = MemoryAuditLog(state)
        self.log = MemoryEventLog(state)
        self.keys = MemoryCollection(state, ApiKey, "id")
        self.models = MemoryCollection(state, Model, "name")
        self.lifecycles = MemoryCollection(state, Lifecycle, "name", "revision")
        self.versions = MemoryVersions(state)
        self.attestations = MemoryCollection(state, Attestation, "model", "version", "seq")
        self.alias_moves = MemoryCollection(state, AliasMove, "model", "alias", "seq")
        self.endpoints = MemoryCollection(state, Endpoint, "name")
        self.deployments = MemoryCollection(state, Deployment, "name")
        self.experiments = MemoryCollection(state, Experiment, "key")
        self.cursors = MemoryCollection(state, Cursor, "experiment")
        self.unit_values = MemoryCollection(state, UnitValues, "experiment", "epoch", "unit")
        self.metric_sums = MemoryCollection(
            state, MetricSums, "experiment", "epoch", "variant", "metric", "segment"
        )
        self.variant_counts = MemoryCollection(
            state, VariantCounts, "experiment", "epoch", "variant"
        )
        self.reported_sums = MemoryCollection(
            state, ReportedSums, "experiment", "variant", "metric"
        )
        self.contrast_sums = MemoryCollection(
            state, ContrastSums, "experiment", "epoch", "variant", "metric"
        )
        self.falls = MemoryCollection(state, Falls, "experiment", "variant")
        self.published = MemoryCollection(state, Published, "experiment", "policy_version")
        self.sticky = MemoryCollection(state, StickyAssignment, "experiment", "unit")
        self.leases = MemoryCollection(state, Lease, "name")
        self.marks = MemoryCollection(state, StoreMark, "name")
        self.crossings = MemoryCollection(
            state, Crossing, "experiment", "metric", "variant", "verdict"
        )
        self.looks = MemoryCollection(state, Look, "experiment", "watermark", "variant")
        self.records = MemoryCollection(state, Record, "experiment")

    def model_of(self, endpoint: str, *, lock: bool = False) -> str | None:
        """Return the model that an endpoint serves."""
        found = self.endpoints.get(endpoint, lock=lock)
        return None if found is None else found.model

    def override_of(self, endpoint: str) -> str | None:
        """Return the version that an endpoint is overridden to."""
        found = self.endpoints.get(endpoint)
        return None if found is None else found.override

    def traffic_of(self, endpoint: str) -> Split | None:
        """Return how an endpoint shares traffic out."""
        found = self.endpoints.get(endpoint)
        return None if found is None else found.traffic

    def revision(self) -> int:
        """Return how many audit entries and published weights there are."""
        return self.audit.head() + sum(one.policy_version for one in self.experiments.find())

    def uses_of(self, model: str, version: str | None = None) -> Sequence[Use]:
        """Return what uses a version, or the model at all."""
        return uses_within(self, model, version)


class MemoryStore:
    """Units of work in memory, one writer at a time; safe to share between threads."""

    def __init__(self) -> None:
        self._state = _State()
        self._writing = threading.Lock()

    @property
    def audited(self) -> int:
        """Audit entries committed so far."""
        return len(self._state.audit)

    @contextmanager
    def read(self) -> Iterator[MemoryUnit]:
        """Open a unit that sees one consistent state; what it writes is forgotten."""
        yield MemoryUnit(self._state.copy())

    @contextmanager
    def write(self) -> Iterator[MemoryUnit]:
        """Open a unit that is kept when its block ends."""
        with self._writing:
            state = self._state.copy()
            yield MemoryUnit(state)
            self._state = state


def _encoded(record: object) -> bytes:
    try:
        return msgspec.json.encode(record)
    except (TypeError, ValueError, OverflowError) as unfit:
        raise InvalidInput(f"a value cannot be kept: {unfit}") from unfit
