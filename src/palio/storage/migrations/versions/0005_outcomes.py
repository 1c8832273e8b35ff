"""When a unit was first given its variant, outcomes out of time, and what variants were told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add all three; what was folded before had no windows, and nothing was told of variants."""
    op.add_column("unit_values", sa.Column("first_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "variant_counts",
        sa.Column("overdue", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
    )
    op.create_table(
        "reported_sums",
        sa.Column("experiment", sa.Text(), nullable=False),
        sa.Column("variant", sa.Text(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.Float(53), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment"], ["experiments.key"], name="fk_reported_sums_experiment"
        ),
        sa.PrimaryKeyConstraint("experiment", "variant", "metric", name="pk_reported_sums"),
    )
