"""Weights that move, segments, sums of several numbers; statistics are folded anew."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_FOLDED = ("unit_values", "metric_sums", "variant_counts", "reported_sums")


def upgrade() -> None:
    """Make the folded statistics anew, empty: cursors start again, and the log has it all."""
    for table in _FOLDED:
        op.drop_table(table)
    op.execute("DELETE FROM cursors")
    for name in ("matured", "start", "revision"):
        op.add_column("cursors", _later(name))
    for name in ("known", "weights"):
        empty = sa.text("'{}'")
        op.add_column("looks", sa.Column(name, sa.Text(), nullable=True, server_default=empty))
    op.add_column("experiments", _later("policy_version"))
    op.add_column("experiments", sa.Column("published", sa.Text(), nullable=True))
    _make_units()
    _make_sums()
    _make_weights()
    op.create_table(
        "leases",
        _text("name"),
        _text("holder"),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )
    op.create_table(
        "marks",
        *map(_text, ("name", "value")),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_marks"),
    )


def _make_units() -> None:
    op.create_table(
        "unit_values",
        _text("experiment"),
        _whole("epoch"),
        *map(_text, ("unit", "variant")),
        sa.Column("values", sa.Text(), nullable=True),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=True),
        *map(_whole, ("first_seq", "policy_version")),
        sa.Column("segments", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("experiment", "epoch", "unit", name="pk_unit_values"),
    )
    op.create_table(
        "sticky_assignments",
        *map(_text, ("experiment", "unit", "variant")),
        *map(_whole, ("epoch", "policy_version")),
        _real("propensity"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("experiment", "unit", name="pk_sticky_assignments"),
    )


def _make_sums() -> None:
    _folded(
        "metric_sums",
        ("experiment", "epoch", "variant", "metric", "segment"),
        _text("experiment"),
        _whole("epoch"),
        *map(_text, ("variant", "metric", "segment")),
        _whole("n"),
        *(sa.Column(name, sa.Text(), nullable=True) for name in _LISTS),
    )
    _folded(
        "variant_counts",
        ("experiment", "epoch", "variant"),
        _text("experiment"),
        _whole("epoch"),
        _text("variant"),
        *map(_whole, _COUNTS),
        _real("expected"),
    )
    _folded(
        "reported_sums",
        ("experiment", "variant", "metric"),
        *map(_text, ("experiment", "variant", "metric")),
        _whole("n"),
        _real("total"),
    )
    _folded(
        "falls",
        ("experiment", "variant"),
        *map(_text, ("experiment", "variant")),
        *map(_real, ("total", "highest", "lowest", "deepest")),
    )


def _make_weights() -> None:
    _folded(
        "contrast_sums",
        ("experiment", "epoch", "variant", "metric"),
        _text("experiment"),
        _whole("epoch"),
        *map(_text, ("variant", "metric")),
        sa.Column("sums", sa.Text(), nullable=True),
    )
    op.create_table(
        "published_weights",
        sa.Column(
            "added",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        _text("experiment"),
        *map(_whole, ("policy_version", "epoch")),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        _text("by"),
        *map(_whole, ("watermark", "rewards")),
        *(sa.Column(name, sa.Text(), nullable=True) for name in _KNOWN),
        sa.ForeignKeyConstraint(
            ["experiment"], ["experiments.key"], name="fk_published_weights_experiment"
        ),
        sa.PrimaryKeyConstraint("added", name="pk_published_weights"),
        sa.UniqueConstraint(
            "experiment", "policy_version", name="uq_published_weights_experiment_policy_version"
        ),
    )


_LISTS = ("shift", "sums", "products", "bins")
_COUNTS = ("units", "requests", "errors", "labelled", "outcomes", "crossovers", "overdue")
_KNOWN = ("weights", "guesses", "totals", "evidence", "retired")


def _folded(table: str, key: tuple[str, ...], *columns: sa.Column[Any]) -> None:
    op.create_table(
        table,
        *columns,
        sa.ForeignKeyConstraint(
            ["experiment"], ["experiments.key"], name=f"fk_{table}_experiment"
        ),
        sa.PrimaryKeyConstraint(*key, name=f"pk_{table}"),
    )


def _later(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), nullable=False, server_default=sa.text("0"))


def _text(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=False)


def _whole(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _real(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Float(53), nullable=False)
