"""The event log and the audit log on tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Text,
    and_,
    cast,
    func,
    or_,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError

from palio.access.audit import GENESIS, AuditEntry, AuditQuery, Change, seal
from palio.errors import CorruptArtifact, StoreUnavailable
from palio.experiments.events import Event, Exposure, LogEntry, Outcome, Prediction
from palio.storage import tables
from palio.storage.collections import among, chunks, listed, mark_of
from palio.storage.tables import audit_entries, audit_head, events

__all__ = ["SqlAuditLog", "SqlEventLog"]

_APPENDING = 0x70616C696F  # the advisory lock that puts appenders in line on PostgreSQL
_KINDS: Mapping[str, type[Event]] = {
    "prediction": Prediction,
    "exposure": Exposure,
    "outcome": Outcome,
}
_DECODERS = {kind: msgspec.json.Decoder(event) for kind, event in _KINDS.items()}
_ENCODE = msgspec.json.Encoder().encode
_AUDIT_FIELDS = [str(column.name) for column in audit_entries.c]
_OTHER_NOUNS = (
    "deployment",
    "endpoint",
    "experiment",
    "key",
    "lifecycle",
    "units",
)  # whose names may be a model's
_UNIT = r'"unit":"((?:[^"\\]|\\.)*)"'  # in a text inside, there would be a \ before each "
_LAST = 2**63 - 1
_COLUMNS = ("kind", "request_id", "unit", "outcome_id", "revision", "body")


class SqlEventLog:
    """The event log in the table ``events``.

    On PostgreSQL numbers are drawn before they are committed, so that a reader could pass over
    a late one: appenders therefore stand in line, each until its transaction has ended. SQLite
    has one writer anyway.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.erased = False

    def append(self, new: Sequence[Event]) -> None:
        """Add events in order."""
        if not new:
            return
        self._stand_in_line()
        rows, names = [_row(event) for event in new], ", ".join(_COLUMNS)
        if self._connection.dialect.name == "postgresql":
            self._copy(f"COPY events ({names}) FROM STDIN", rows)
        else:
            marks = ", ".join("?" * len(_COLUMNS))
            statement = f"INSERT INTO events ({names}) VALUES ({marks})"  # noqa: S608 - constants
            self._connection.exec_driver_sql(statement, rows)

    def _copy(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        """Send rows as a stream: three times as fast as a statement for each."""
        driver: Any = self._connection.dialect.dbapi
        opened: Any = self._connection.connection.cursor()
        try:
            with opened as cursor, cursor.copy(statement) as copy:
                for row in rows:
                    copy.write_row(row)
        except driver.Error as failed:
            raise DBAPIError.instance(statement, None, failed, driver.Error) from failed

    def head(self) -> int:
        """Return the last ``seq``."""
        return self._connection.execute(select(func.max(events.c.seq))).scalar() or 0

    def after(self, seq: int, *, limit: int) -> Sequence[LogEntry]:
        """Return entries from the one following ``seq``."""
        query = select(events.c.seq, events.c.kind, events.c.body).where(events.c.seq > seq)
        return _entries(self._connection.execute(query.order_by(events.c.seq).limit(limit)).all())

    def of_requests(
        self, request_ids: Iterable[str], *, up_to: int | None = None
    ) -> Sequence[LogEntry]:
        """Return the events of requests."""
        return self._read_in("request_id", request_ids, up_to)

    def of_units(self, units: Iterable[str], *, up_to: int | None = None) -> Sequence[LogEntry]:
        """Return the outcomes of units as a whole."""
        return self._read_in("unit", units, up_to)

    def of_outcomes(
        self, outcome_ids: Iterable[str], *, up_to: int | None = None
    ) -> Sequence[LogEntry]:
        """Return all revisions of outcomes."""
        return self._read_in("outcome_id", outcome_ids, up_to)

    def given_to(self, units: Iterable[str], *, after: int, limit: int) -> Sequence[LogEntry]:
        """Return predictions and exposures of units; the database looks through the bodies."""
        query = select(events.c.seq, events.c.kind, events.c.body).where(
            events.c.seq > after,
            events.c.kind.in_(["prediction", "exposure"]),
            self._unit_among(units),
        )
        return _entries(self._connection.execute(query.order_by(events.c.seq).limit(limit)).all())

    def _unit_among(self, units: Iterable[str]) -> ColumnElement[bool]:
        body = events.c.body
        if self._connection.dialect.name == "postgresql":  # whose JSON stops at a NUL in a label
            written = func.substring(body, cast(_UNIT, Text))
            return written.in_([_ENCODE(unit).decode()[1:-1] for unit in units])
        return func.json_extract(body, "$.unit").in_(list(units))

    def erase(self, seqs: Iterable[int]) -> int:
        """Remove entries."""
        self.erased = True
        return sum(
            self._connection.execute(events.delete().where(events.c.seq.in_(some))).rowcount
            for some in chunks(seqs)
        )

    def latest(self, outcome_ids: Iterable[str], *, lock: bool = False) -> Mapping[str, Outcome]:
        """Return the last revision of outcomes."""
        if lock:
            self._stand_in_line()
        found: dict[str, Outcome] = {}
        for entry in self.of_outcomes(outcome_ids):
            if isinstance(entry.event, Outcome):
                found[entry.event.outcome_id] = entry.event
        return found

    def _stand_in_line(self) -> None:
        if self._connection.dialect.name == "postgresql":
            self._connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _APPENDING})

    def _read_in(self, column: str, values: Iterable[str], up_to: int | None) -> list[LogEntry]:
        wanted, dialect = list(values), self._connection.dialect
        if not wanted:
            return []
        conditions = f"{among(column, dialect)} AND seq <= {mark_of(dialect)}"
        rows = self._connection.exec_driver_sql(
            f"SELECT seq, kind, body FROM events WHERE {conditions}",  # noqa: S608 - constants
            (listed(wanted, dialect), _LAST if up_to is None else up_to),
        )
        return sorted(_entries(rows.all()), key=attrgetter("seq"))


def _entries(rows: Iterable[Any]) -> list[LogEntry]:
    return [LogEntry(seq, _DECODERS[kind].decode(body)) for seq, kind, body in rows]


def _row(event: Event) -> tuple[object, ...]:
    body = _ENCODE(event).decode()
    if isinstance(event, Prediction):
        return ("prediction", event.request_id, None, None, None, body)
    if isinstance(event, Exposure):
        return ("exposure", None, None, None, None, body)
    return ("outcome", event.request_id, event.unit, event.outcome_id, event.revision, body)


class SqlAuditLog:
    """The audit log in ``audit_entries``; ``audit_head`` is the row that appenders lock."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.appended = 0

    def append(self, change: Change) -> AuditEntry:
        """Seal a change after the last entry."""
        query = select(audit_head.c.seq, audit_head.c.hash).with_for_update()
        head = self._connection.execute(query).first()
        if head is None:
            raise StoreUnavailable("the audit log has lost its head; restore the store")
        entry = seal(change, seq=head.seq + 1, prev_hash=head.hash)
        self._connection.execute(
            audit_entries.insert(),
            {column.name: getattr(entry, column.name) for column in audit_entries.c},
        )
        self._connection.execute(audit_head.update().values(seq=entry.seq, hash=entry.hash))
        self.appended += 1
        return entry

    def head(self) -> int:
        """Return the last ``seq``."""
        return self._connection.execute(select(audit_head.c.seq)).scalar() or 0

    def head_hash(self) -> str:
        """Return the hash that the next entry will follow."""
        return self._connection.execute(select(audit_head.c.hash)).scalar() or GENESIS

    def entries(self, *, after: int = 0, limit: int | None = None) -> Sequence[AuditEntry]:
        """Return entries in order."""
        return self._read(after, limit)

    def find(self, query: AuditQuery, *, after: int, limit: int) -> Sequence[AuditEntry]:
        """Return the entries a query asks for, in order."""
        return self._read(after, limit, *_conditions(query))

    def _read(
        self, after: int, limit: int | None, *conditions: ColumnElement[bool]
    ) -> list[AuditEntry]:
        query = (
            select(audit_entries)
            .where(audit_entries.c.seq > after, *conditions)
            .order_by(audit_entries.c.seq)
            .limit(limit)
        )
        try:
            return [
                msgspec.convert(dict(zip(_AUDIT_FIELDS, row, strict=True)), type=AuditEntry)
                for row in self._connection.execute(query)
            ]
        except (msgspec.DecodeError, RecursionError, TypeError, ValueError) as unreadable:
            raise CorruptArtifact(
                f"the audit log has an entry that cannot be read: {unreadable}; "
                "`palio audit verify` says which",
            ) from unreadable


def _conditions(query: AuditQuery) -> list[ColumnElement[bool]]:
    column, found = audit_entries.c, []
    if query.model is not None:
        found.append(_of_model(query.model))
    if query.actor is not None:
        found.append(column.actor == query.actor)
    if query.action is not None:
        found.append(or_(column.action == query.action, _starts(column.action, query.action, ".")))
    if query.since is not None:
        found.append(column.at >= query.since)
    if query.until is not None:
        found.append(column.at < query.until)
    return found


def _of_model(model: str) -> ColumnElement[bool]:
    action, subject = audit_entries.c.action, audit_entries.c.subject
    elsewhere = or_(*(_starts(action, noun, ".") for noun in _OTHER_NOUNS))
    served = select(tables.endpoints.c.name).where(tables.endpoints.c.model == model)
    tried = select(tables.experiments.c.key).where(tables.experiments.c.model == model)
    placed = select(tables.deployments.c.name).where(tables.deployments.c.model == model)
    return or_(
        _starts(subject, model, ":"),
        _starts(subject, model, "@"),
        and_(subject == model, ~elsewhere),
        and_(_starts(action, "endpoint", "."), subject.in_(served)),
        and_(_starts(action, "deployment", "."), subject.in_(placed)),
        and_(_starts(action, "experiment", "."), subject.in_(tried)),
    )


def _starts(column: Any, word: str, mark: str) -> ColumnElement[bool]:
    """Compare exactly: LIKE would ignore case on SQLite."""
    start = word + mark
    found: ColumnElement[bool] = func.substr(column, 1, len(start)) == start
    return found
