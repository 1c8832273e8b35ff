"""Keys, and what people are told."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column

from palio.storage.tables.columns import count, json, keyed, listed, refers, time, word
from palio.storage.tables.types import Word

__all__ = [
    "alert_deliveries",
    "alerts",
    "keys",
]

keys = listed(
    "keys",
    ("id",),
    word("id"),
    word("name"),
    word("role"),
    Column("digest", Word, nullable=False, index=True),
    time("created_at"),
    word("created_by"),
    time("expires_at", null=True),
    time("revoked_at", null=True),
)
alerts = listed(
    "alerts",
    ("id",),
    *(word(name) for name in ("id", "kind", "subject", "severity")),
    time("at"),
    word("text"),
    json("evidence"),
    Column("handed_on", BigInteger, nullable=False, index=True),
)
alert_deliveries = keyed(
    "alert_deliveries",
    ("alert", "target"),
    *(word(name) for name in ("alert", "target", "host")),
    Column("state", Word, nullable=False, index=True),
    count("attempts"),
    time("due_at"),
    time("at", null=True),
    word("error"),
    refers(alert="alerts.id"),
)
