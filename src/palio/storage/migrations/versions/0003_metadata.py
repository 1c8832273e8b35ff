"""What a registry knows of models and versions, deletions, signatures, lifecycle revisions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_FIELDS = (
    *("type", "framework", "architecture", "dataset_version", "policy"),
    *("backtest", "parent", "source", "external_ref", "card"),
)
_MAY_BE_NULL = frozenset({"policy", "backtest", "parent", "source"})


def upgrade() -> None:
    """Add the fields, empty for what was registered before, and the table of signatures."""
    _models()
    _lifecycles()
    _versions()
    with op.batch_alter_table("alias_moves") as moves:
        moves.alter_column("version", existing_type=sa.Text(), nullable=True)
    op.create_table(
        "attestations",
        sa.Column(
            "added",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            primary_key=True,
            autoincrement=True,
        ),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("bundle", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("added", name="pk_attestations"),
        sa.UniqueConstraint("model", "version", "seq", name="uq_attestations_model_version_seq"),
        sa.ForeignKeyConstraint(
            ["model", "version"],
            ["versions.model", "versions.version"],
            name="fk_attestations_model_version",
        ),
    )


def _models() -> None:
    op.add_column("models", sa.Column("tags", sa.Text(), nullable=True))
    revision = sa.Column(
        "lifecycle_revision", sa.BigInteger(), nullable=False, server_default=sa.text("1")
    )
    op.add_column("models", revision)
    op.add_column("models", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE models SET tags = '{}'")


def _lifecycles() -> None:
    with op.batch_alter_table("lifecycles") as lifecycles:
        lifecycles.add_column(
            sa.Column("revision", sa.BigInteger(), nullable=False, server_default=sa.text("1"))
        )
        lifecycles.drop_constraint("uq_lifecycles_name", type_="unique")
        lifecycles.create_unique_constraint("uq_lifecycles_name_revision", ["name", "revision"])


def _versions() -> None:
    for name in _FIELDS:
        kind = sa.Column(name, sa.Text(), nullable=name in _MAY_BE_NULL)
        if name not in _MAY_BE_NULL:
            kind.server_default = sa.DefaultClause(sa.text("''"))
        op.add_column("versions", kind)
    for name in ("deleted_at", "purged_at"):
        op.add_column("versions", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE versions SET backtest = '{}', source = '{}'")
