"""Tables: one per collection, a column per field, nested fields as JSON."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    DefaultClause,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.schema import SchemaItem
from typing_extensions import override

__all__ = [
    "Word",
    "alias_moves",
    "audit_entries",
    "audit_head",
    "events",
    "metadata",
    "traffic_counts",
    "version_facts",
    "versions",
]

# Names of constraints are fixed, so that migrations mean the same on every database.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_SERIAL = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers only INTEGER by itself


class Json(TypeDecorator[Any]):
    """Any record or builtin as JSON text; read back as builtins."""

    impl = Text
    cache_ok = True

    @override
    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else msgspec.json.encode(value).decode()

    @override
    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else msgspec.json.decode(value)


class Utc(TypeDecorator[datetime]):
    """A moment in UTC, timezone-aware on every database."""

    impl = DateTime(timezone=True)
    cache_ok = True

    @override
    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    @override
    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)

    @override
    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], Any] | None:
        return _written if dialect.name == "sqlite" else super().bind_processor(dialect)

    @override
    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        if dialect.name == "sqlite":
            return _read
        return super().result_processor(dialect, coltype)


def _written(value: datetime | None) -> str | None:
    """Write a moment as SQLAlchemy does on SQLite, in a fifth of the time."""
    if value is None:
        return None
    text = msgspec.json.encode(value.astimezone(UTC)).decode()[1:-2].replace("T", " ")
    return text if value.microsecond else text + ".000000"


def _read(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value + "+00:00")


class Word(TypeDecorator[str]):
    """Text, enumerations included."""

    impl = Text
    cache_ok = True

    @override
    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else str(value)


def _word(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, Word, nullable=null)


def _later(column: Column[Any], default: str) -> Column[Any]:
    """Return a column that a migration added, with what it is where nothing was known."""
    column.server_default = DefaultClause(text(default))
    return column


def _json(name: str) -> Column[Any]:
    return Column(name, Json, nullable=True)


def _time(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, Utc, nullable=null)


def _count(name: str) -> Column[Any]:
    return Column(name, BigInteger, nullable=False)


def _real(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, Float(53), nullable=null)


def _refers(**fields: str) -> ForeignKeyConstraint:
    """Return the rule that fields name a record that exists: ``model="models.name"``."""
    return ForeignKeyConstraint(list(fields), list(fields.values()))


def _listed(name: str, key: tuple[str, ...], *columns: SchemaItem) -> Table:
    """Return a table that keeps the order of arrival beside its unique key."""
    added = Column("added", _SERIAL, primary_key=True, autoincrement=True)
    return Table(name, metadata, added, *columns, UniqueConstraint(*key))


def _keyed(name: str, key: tuple[str, ...], *columns: SchemaItem) -> Table:
    """Return a table in the order of its key: for what is written often."""
    for column in columns:
        if isinstance(column, Column):
            column.primary_key = column.name in key
    return Table(name, metadata, *columns)


keys = _listed(
    "keys",
    ("id",),
    _word("id"),
    _word("name"),
    _word("role"),
    Column("digest", Word, nullable=False, index=True),
    _time("created_at"),
    _word("created_by"),
    _time("expires_at", null=True),
    _time("revoked_at", null=True),
)
models = _listed(
    "models",
    ("name",),
    _word("name"),
    _word("lifecycle"),
    _time("created_at"),
    _word("created_by"),
    _word("description"),
    _json("tags"),
    _later(_count("lifecycle_revision"), "1"),
    _time("deleted_at", null=True),
)
lifecycles = _listed(
    "lifecycles",
    ("name", "revision"),
    _word("name"),
    _word("initial"),
    _word("production"),
    _word("retired"),
    _json("transitions"),
    _json("requires"),
    _json("aliases"),
    _later(_count("revision"), "1"),
)
versions = _listed(
    "versions",
    ("model", "version"),
    _word("model"),
    _word("version"),
    _count("ordinal"),
    _word("stage"),
    _word("flavor"),
    _json("signature"),
    _json("manifest"),
    _json("metrics"),
    _json("training"),
    _json("tags"),
    _word("description"),
    _time("created_at"),
    _word("created_by"),
    _word("approved_by", null=True),
    _later(_word("type"), "''"),
    _later(_word("framework"), "''"),
    _later(_word("architecture"), "''"),
    _later(_word("dataset_version"), "''"),
    _json("policy"),
    _json("backtest"),
    _word("parent", null=True),
    _json("source"),
    _later(_word("external_ref"), "''"),
    _later(_word("card"), "''"),
    _time("deleted_at", null=True),
    _time("purged_at", null=True),
    _refers(model="models.name"),
)
Index("ix_versions_model_added", versions.c.model, versions.c.added)
# What a version can be searched by, a row each: numbers as numbers; of texts the first
# characters, which compare by code point everywhere, and the rest for `contains`.
version_facts = Table(
    "version_facts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    _real("number", null=True),
    Column("word", Text().with_variant(Text(collation="C"), "postgresql"), nullable=True),
    Column("rest", Text, nullable=True),
    sqlite_with_rowid=False,
)
for _column in (version_facts.c.number, version_facts.c.word):
    Index(
        f"ix_version_facts_{_column.name}",
        *(version_facts.c.name, _column, version_facts.c.version),
        sqlite_where=_column.is_not(None),
        postgresql_where=_column.is_not(None),
    )
attestations = _listed(
    "attestations",
    ("model", "version", "seq"),
    _word("model"),
    _word("version"),
    _count("seq"),
    _word("bundle"),
    _word("key_id"),
    _time("at"),
    _word("actor"),
    _refers(model="versions.model", version="versions.version"),
)
alias_moves = _listed(
    "alias_moves",
    ("model", "alias", "seq"),
    _word("model"),
    _word("alias"),
    _count("seq"),
    _word("kind"),
    _word("version", null=True),
    _word("previous", null=True),
    _time("at"),
    _word("actor"),
    _word("reason"),
    _refers(model="versions.model", version="versions.version"),
)
endpoints = _listed(
    "endpoints",
    ("name",),
    _word("name"),
    _word("model"),
    _time("created_at"),
    _word("created_by"),
    _word("description"),
    _word("override", null=True),
    _json("weights"),
    _later(_json("held"), "'[]'"),
    _later(_word("on_error"), "'fail'"),
    _real("timeout_s", null=True),
    _refers(model="models.name"),
)
experiments = _listed(
    "experiments",
    ("key",),
    _word("key"),
    _json("design"),
    _word("model"),
    _word("salt"),
    Column("state", Word, nullable=False, index=True),
    _time("created_at"),
    _word("created_by"),
    _count("epoch"),
    _time("started_at", null=True),
    _time("ended_at", null=True),
    _word("champion", null=True),
    _word("frozen", null=True),
    _word("winner", null=True),
    _word("reason"),
    _later(_count("policy_version"), "0"),
    _json("published"),
    _word("chosen", null=True),
    _refers(model="models.name"),
)
crossings = _listed(
    "crossings",
    ("experiment", "metric", "variant", "verdict"),
    _word("experiment"),
    _word("metric"),
    _word("variant"),
    _word("verdict"),
    _time("at"),
    _count("watermark"),
    _refers(experiment="experiments.key"),
)
looks = _listed(
    "looks",
    ("experiment", "watermark", "variant"),
    _word("experiment"),
    _count("watermark"),
    _word("variant"),
    _time("at"),
    _count("units"),
    _count("requests"),
    _count("labelled"),
    _real("effect", null=True),
    _real("lower", null=True),
    _real("upper", null=True),
    _real("fixed_lower", null=True),
    _real("fixed_upper", null=True),
    _real("p_value"),
    _word("decision"),
    _json("counts"),
    *(_later(_json(name), "'{}'") for name in ("known", "weights")),
    _refers(experiment="experiments.key"),
)
records = _listed(
    "records",
    ("experiment",),
    _word("experiment"),
    _time("at"),
    _word("digest"),
    _json("report"),
    _refers(experiment="experiments.key"),
)
cursors = _keyed(
    "cursors",
    ("experiment",),
    _word("experiment"),
    _count("seq"),
    _later(_count("matured"), "0"),
    _later(_count("start"), "0"),
    _later(_count("revision"), "0"),
    _refers(experiment="experiments.key"),
)
unit_values = _keyed(
    "unit_values",
    ("experiment", "epoch", "unit"),
    _word("experiment"),
    _count("epoch"),
    _word("unit"),
    _word("variant"),
    _json("values"),
    _time("first_at", null=True),
    _count("first_seq"),
    _count("policy_version"),
    _json("segments"),
)
metric_sums = _keyed(
    "metric_sums",
    ("experiment", "epoch", "variant", "metric", "segment"),
    _word("experiment"),
    _count("epoch"),
    _word("variant"),
    _word("metric"),
    _word("segment"),
    _count("n"),
    *(_json(name) for name in ("shift", "sums", "products", "bins")),
    _refers(experiment="experiments.key"),
)
variant_counts = _keyed(
    "variant_counts",
    ("experiment", "epoch", "variant"),
    _word("experiment"),
    _count("epoch"),
    _word("variant"),
    _count("units"),
    _count("requests"),
    _count("errors"),
    _count("labelled"),
    _count("outcomes"),
    _count("crossovers"),
    _count("overdue"),
    _real("expected"),
    _refers(experiment="experiments.key"),
)
reported_sums = _keyed(
    "reported_sums",
    ("experiment", "variant", "metric"),
    _word("experiment"),
    _word("variant"),
    _word("metric"),
    _count("n"),
    _real("total"),
    _refers(experiment="experiments.key"),
)
contrast_sums = _keyed(
    "contrast_sums",
    ("experiment", "epoch", "variant", "metric"),
    _word("experiment"),
    _count("epoch"),
    _word("variant"),
    _word("metric"),
    _json("sums"),
    _refers(experiment="experiments.key"),
)
falls = _keyed(
    "falls",
    ("experiment", "variant"),
    _word("experiment"),
    _word("variant"),
    *(_real(name) for name in ("total", "highest", "lowest", "deepest")),
    _refers(experiment="experiments.key"),
)
published_weights = _listed(
    "published_weights",
    ("experiment", "policy_version"),
    _word("experiment"),
    _count("policy_version"),
    _count("epoch"),
    _time("at"),
    _word("by"),
    _count("watermark"),
    _count("rewards"),
    *(_json(name) for name in ("weights", "guesses", "totals", "evidence", "retired")),
    _refers(experiment="experiments.key"),
)
sticky_assignments = _keyed(
    "sticky_assignments",
    ("experiment", "unit"),
    _word("experiment"),
    _word("unit"),
    _word("variant"),
    _count("epoch"),
    _count("policy_version"),
    _real("propensity"),
    _time("at"),
)
leases = _keyed("leases", ("name",), _word("name"), _word("holder"), _time("until"))
marks = _keyed("marks", ("name",), _word("name"), _word("value"), _time("at"))
feature_references = _keyed(
    "feature_references",
    ("model", "version"),
    *(_word(name) for name in ("model", "version")),
    _time("at"),
    _count("rows"),
    _json("features"),
)
feature_counts = _keyed(
    "feature_counts",
    ("day", "process", "model", "version"),
    _count("day"),
    *(_word(name) for name in ("process", "model", "version")),
    _count("rows"),
    _json("features"),
)
quality_sums = _keyed(
    "quality_sums",
    ("model", "version", "cohort", "segment"),
    *(_word(name) for name in ("model", "version")),
    _count("cohort"),
    _word("segment"),
    _json("counts"),
)
alerts = _listed(
    "alerts",
    ("id",),
    *(_word(name) for name in ("id", "kind", "subject", "severity")),
    _time("at"),
    _word("text"),
    _json("evidence"),
    Column("handed_on", BigInteger, nullable=False, index=True),
)
alert_deliveries = _keyed(
    "alert_deliveries",
    ("alert", "target"),
    *(_word(name) for name in ("alert", "target", "host")),
    Column("state", Word, nullable=False, index=True),
    _count("attempts"),
    _time("due_at"),
    _time("at", null=True),
    _word("error"),
    _refers(alert="alerts.id"),
)
traffic_counts = _keyed(
    "traffic_counts",
    ("second", "process", "endpoint", "model", "version"),
    _count("second"),
    *(_word(name) for name in ("process", "endpoint", "model", "version")),
    _json("sums"),
)
traffic_totals = _keyed(
    "traffic_totals",
    ("server", "process", "endpoint", "model", "version"),
    *(_word(name) for name in ("server", "process", "endpoint", "model", "version")),
    _json("sums"),
)
process_uses = _keyed(
    "process_uses",
    ("process",),
    _word("process"),
    _word("server"),
    _time("at"),
    _count("rss_bytes"),
    _real("cpu_share"),
    _json("loaded"),
)
deployments = _listed(
    "deployments",
    ("name",),
    *(_word(name) for name in ("name", "model", "version", "endpoint", "environment")),
    *(_json(name) for name in ("resources", "scaling", "health_check", "guardrails", "canary")),
    _real("traffic_share"),
    _json("rollback_on_error"),
    *(_word(name) for name in ("state", "verdict", "reason")),
    *(_time(name) for name in ("since", "created_at")),
    _word("created_by"),
    _count("revision"),
    *(_json(name) for name in ("weights_before", "holds", "health", "settled", "not_honoured")),
    _refers(endpoint="endpoints.name"),
)
audit_entries = Table(
    "audit_entries",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    _time("at"),
    _word("actor"),
    _word("action"),
    _word("subject"),
    _json("before"),
    _json("after"),
    _word("reason"),
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
    Column("seq", _SERIAL, primary_key=True, autoincrement=True),
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
