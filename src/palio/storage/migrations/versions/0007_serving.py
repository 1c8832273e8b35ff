"""How endpoints share traffic out, what becomes of failures, and what processes have served."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what endpoints have gained; old ones give everything to the champion, and fail."""
    op.add_column("endpoints", sa.Column("weights", sa.Text(), nullable=True))
    none, fail = sa.text("'[]'"), sa.text("'fail'")
    op.add_column("endpoints", sa.Column("held", sa.Text(), nullable=True, server_default=none))
    op.add_column(
        "endpoints", sa.Column("on_error", sa.Text(), nullable=False, server_default=fail)
    )
    op.add_column("endpoints", sa.Column("timeout_s", sa.Float(53), nullable=True))
    _make_traffic()


def _make_traffic() -> None:
    served = ("endpoint", "model", "version")
    op.create_table(
        "traffic_counts",
        sa.Column("second", sa.BigInteger(), nullable=False),
        *map(_text, ("process", *served)),
        sa.Column("sums", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("second", "process", *served, name="pk_traffic_counts"),
    )
    op.create_table(
        "traffic_totals",
        *map(_text, ("server", "process", *served)),
        sa.Column("sums", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("server", "process", *served, name="pk_traffic_totals"),
    )
    op.create_table(
        "process_uses",
        *map(_text, ("process", "server")),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rss_bytes", sa.BigInteger(), nullable=False),
        sa.Column("cpu_share", sa.Float(53), nullable=False),
        sa.Column("loaded", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("process", name="pk_process_uses"),
    )


def _text(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=False)
