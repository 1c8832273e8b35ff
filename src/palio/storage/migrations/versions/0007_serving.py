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
    op.add_column("experiments", sa.Column("chosen", sa.Text(), nullable=True))
    _make_traffic()
    _make_alerts()
    _make_quality()
    _make_features()
    _make_deployments()


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


def _make_alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column(
            "added",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        *map(_text, ("id", "kind", "subject", "severity")),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        _text("text"),
        sa.Column("evidence", sa.Text(), nullable=True),
        sa.Column("handed_on", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("added", name="pk_alerts"),
        sa.UniqueConstraint("id", name="uq_alerts_id"),
    )
    op.create_index("ix_alerts_handed_on", "alerts", ["handed_on"])
    op.create_table(
        "alert_deliveries",
        *map(_text, ("alert", "target", "host", "state")),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=True),
        _text("error"),
        sa.ForeignKeyConstraint(["alert"], ["alerts.id"], name="fk_alert_deliveries_alert"),
        sa.PrimaryKeyConstraint("alert", "target", name="pk_alert_deliveries"),
    )
    op.create_index("ix_alert_deliveries_state", "alert_deliveries", ["state"])


def _make_quality() -> None:
    op.create_table(
        "quality_sums",
        *map(_text, ("model", "version")),
        sa.Column("cohort", sa.BigInteger(), nullable=False),
        _text("segment"),
        sa.Column("counts", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("model", "version", "cohort", "segment", name="pk_quality_sums"),
    )


def _make_features() -> None:
    op.create_table(
        "feature_references",
        *map(_text, ("model", "version")),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("features", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("model", "version", name="pk_feature_references"),
    )
    key = ("process", "model", "version")
    op.create_table(
        "feature_counts",
        sa.Column("day", sa.BigInteger(), nullable=False),
        *map(_text, key),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("features", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("day", *key, name="pk_feature_counts"),
    )


def _make_deployments() -> None:
    op.create_table(
        "deployments",
        sa.Column(
            "added",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        *map(_text, ("name", "model", "version", "endpoint", "environment")),
        *map(_json, ("resources", "scaling", "health_check", "guardrails", "canary")),
        sa.Column("traffic_share", sa.Float(53), nullable=False),
        _json("rollback_on_error"),
        *map(_text, ("state", "verdict", "reason")),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        _text("created_by"),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        *map(_json, ("weights_before", "holds", "health", "settled", "not_honoured")),
        sa.ForeignKeyConstraint(["endpoint"], ["endpoints.name"], name="fk_deployments_endpoint"),
        sa.PrimaryKeyConstraint("added", name="pk_deployments"),
        sa.UniqueConstraint("name", name="uq_deployments_name"),
    )


def _json(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=True)


def _text(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=False)
