"""How endpoints share traffic out, and what they do when a version fails."""

from __future__ import annotations

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
    op.add_column("experiments", sa.Column("chosen", sa.Text(), nullable=True))
