"""What stages require and who may set an alias, in the users' own lifecycles."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both; lifecycles declared before require nothing and protect no alias."""
    for name in ("requires", "aliases"):
        op.add_column("lifecycles", sa.Column(name, sa.Text(), nullable=True))
    op.execute("UPDATE lifecycles SET requires = '{}', aliases = '{}'")
