"""What versions can be searched by, beside them; the versions of a model in order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_MAX_NAME, _MAX_WORD = 200, 400
_AT_ONCE = 500
_TEXTS = (
    *("model", "version", "stage", "flavor", "type", "framework", "architecture"),
    *("dataset_version", "parent", "external_ref", "description", "created_by", "approved_by"),
)
_MAPS = ("metrics", "backtest", "tags")
_VERSIONS = sa.table(
    "versions",
    sa.column("added", sa.BigInteger()),
    sa.column("ordinal", sa.BigInteger()),
    sa.column("created_at", sa.DateTime(timezone=True)),
    sa.column("deleted_at", sa.DateTime(timezone=True)),
    *(sa.column(name, sa.Text()) for name in (*_TEXTS, *_MAPS)),
)
_FACTS = sa.table(
    "version_facts",
    sa.column("name", sa.Text()),
    sa.column("version", sa.BigInteger()),
    sa.column("number", sa.Float(53)),
    sa.column("word", sa.Text()),
    sa.column("rest", sa.Text()),
)


def upgrade() -> None:
    """Make the table, fill it with what the versions say, then index it."""
    op.create_index("ix_versions_model_added", "versions", ["model", "added"])
    op.create_table(
        "version_facts",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Float(53), nullable=True),
        sa.Column(
            "word", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=True
        ),
        sa.Column("rest", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("name", "version", name="pk_version_facts"),
        sqlite_with_rowid=False,
    )
    _fill()
    for column in ("number", "word"):
        filled = sa.text(f"{column} IS NOT NULL")
        op.create_index(
            f"ix_version_facts_{column}",
            "version_facts",
            ["name", column, "version"],
            sqlite_where=filled,
            postgresql_where=filled,
        )


def _fill() -> None:
    connection, last = op.get_bind(), 0
    some = sa.select(_VERSIONS).order_by(_VERSIONS.c.added).limit(_AT_ONCE)
    while rows := connection.execute(some.where(_VERSIONS.c.added > last)).all():
        connection.execute(_FACTS.insert(), [fact for row in rows for fact in _facts(row)])
        last = rows[-1].added


def _facts(row: Any) -> Iterator[dict[str, Any]]:
    values: dict[str, Any] = {
        "created_at": _moment(row.created_at),
        "ordinal": float(row.ordinal),
        "deleted": float(row.deleted_at is not None),
        **{name: getattr(row, name) for name in _TEXTS},
    }
    for start in _MAPS:
        for name, value in json.loads(getattr(row, start) or "{}").items():
            values[f"{start}.{name}".replace("\0", "")] = value
    for name, value in values.items():
        if value is not None and len(name) <= _MAX_NAME:
            yield {"version": row.added, "name": name, **_value(value)}


def _value(value: str | float) -> dict[str, Any]:
    if isinstance(value, str):
        text = value.replace("\0", "")
        return {"number": None, "word": text[:_MAX_WORD], "rest": text[_MAX_WORD:] or None}
    return {"number": float(value), "word": None, "rest": None}


def _moment(at: datetime) -> str:
    aware = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return aware.isoformat(timespec="microseconds")
