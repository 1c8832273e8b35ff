"""Models, versions, and what is known of them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Table, Text

from palio.storage.tables.columns import (
    count,
    json,
    keyed,
    later,
    listed,
    metadata,
    real,
    refers,
    time,
    word,
)

__all__ = [
    "alias_moves",
    "attestations",
    "feature_counts",
    "feature_references",
    "lifecycles",
    "models",
    "quality_sums",
    "version_facts",
    "versions",
]

models = listed(
    "models",
    ("name",),
    word("name"),
    word("lifecycle"),
    time("created_at"),
    word("created_by"),
    word("description"),
    json("tags"),
    later(count("lifecycle_revision"), "1"),
    time("deleted_at", null=True),
)
lifecycles = listed(
    "lifecycles",
    ("name", "revision"),
    word("name"),
    word("initial"),
    word("production"),
    word("retired"),
    json("transitions"),
    json("requires"),
    json("aliases"),
    later(count("revision"), "1"),
)
versions = listed(
    "versions",
    ("model", "version"),
    word("model"),
    word("version"),
    count("ordinal"),
    word("stage"),
    word("flavor"),
    json("signature"),
    json("manifest"),
    json("metrics"),
    json("training"),
    json("tags"),
    word("description"),
    time("created_at"),
    word("created_by"),
    word("approved_by", null=True),
    later(word("type"), "''"),
    later(word("framework"), "''"),
    later(word("architecture"), "''"),
    later(word("dataset_version"), "''"),
    json("policy"),
    json("backtest"),
    word("parent", null=True),
    json("source"),
    later(word("external_ref"), "''"),
    later(word("card"), "''"),
    time("deleted_at", null=True),
    time("purged_at", null=True),
    refers(model="models.name"),
)
Index("ix_versions_model_added", versions.c.model, versions.c.added)
# What a version can be searched by, a row each: numbers as numbers; of texts the first
# characters, which compare by code point everywhere, and the rest for `contains`.
version_facts = Table(
    "version_facts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    real("number", null=True),
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
attestations = listed(
    "attestations",
    ("model", "version", "seq"),
    word("model"),
    word("version"),
    count("seq"),
    word("bundle"),
    word("key_id"),
    time("at"),
    word("actor"),
    refers(model="versions.model", version="versions.version"),
)
alias_moves = listed(
    "alias_moves",
    ("model", "alias", "seq"),
    word("model"),
    word("alias"),
    count("seq"),
    word("kind"),
    word("version", null=True),
    word("previous", null=True),
    time("at"),
    word("actor"),
    word("reason"),
    refers(model="versions.model", version="versions.version"),
)
feature_references = keyed(
    "feature_references",
    ("model", "version"),
    *(word(name) for name in ("model", "version")),
    time("at"),
    count("rows"),
    json("features"),
)
feature_counts = keyed(
    "feature_counts",
    ("day", "process", "model", "version"),
    count("day"),
    *(word(name) for name in ("process", "model", "version")),
    count("rows"),
    json("features"),
)
quality_sums = keyed(
    "quality_sums",
    ("model", "version", "cohort", "segment"),
    *(word(name) for name in ("model", "version")),
    count("cohort"),
    word("segment"),
    json("counts"),
)
