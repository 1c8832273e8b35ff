"""The event log and the audit log."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from palio.storage.tables.columns import SERIAL, json, metadata, time, word
from palio.storage.tables.types import Word

__all__ = [
    "audit_entries",
    "audit_head",
    "events",
]

audit_entries = Table(
    "audit_entries",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    time("at"),
    word("actor"),
    word("action"),
    word("subject"),
    json("before"),
    json("after"),
    word("reason"),
    Column("prev_hash", Word, nullable=False, unique=True),
    Column("hash", Word, nullable=False),
)
audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("hash", Word, nullable=False),
)
events = Table(
    "events",
    metadata,
    Column("seq", SERIAL, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("request_id", Text, nullable=True),
    Column("unit", Text, nullable=True),
    Column("outcome_id", Text, nullable=True),
    Column("revision", Integer, nullable=True),
    Column("body", Text, nullable=False),
    sqlite_autoincrement=True,
)
Index("ix_events_request_id", events.c.request_id)
for _name, _columns in (
    ("ix_events_unit", [events.c.unit]),
    ("uq_events_outcome_id_revision", [events.c.outcome_id, events.c.revision]),
):
    _filled = _columns[0].is_not(None)
    Index(
        _name,
        *_columns,
        unique=_name.startswith("uq"),
        sqlite_where=_filled,
        postgresql_where=_filled,
    )
