"""Experiments, how they were seen and decided, and the weights they publish."""

from __future__ import annotations

from sqlalchemy import Column

from palio.storage.tables.columns import (
    count,
    json,
    keyed,
    later,
    listed,
    real,
    refers,
    time,
    word,
)
from palio.storage.tables.types import Word

__all__ = [
    "crossings",
    "experiments",
    "leases",
    "looks",
    "marks",
    "published_weights",
    "records",
    "sticky_assignments",
]

experiments = listed(
    "experiments",
    ("key",),
    word("key"),
    json("design"),
    word("model"),
    word("salt"),
    Column("state", Word, nullable=False, index=True),
    time("created_at"),
    word("created_by"),
    count("epoch"),
    time("started_at", null=True),
    time("ended_at", null=True),
    word("champion", null=True),
    word("frozen", null=True),
    word("winner", null=True),
    word("reason"),
    later(count("policy_version"), "0"),
    json("published"),
    word("chosen", null=True),
    refers(model="models.name"),
)
crossings = listed(
    "crossings",
    ("experiment", "metric", "variant", "verdict"),
    word("experiment"),
    word("metric"),
    word("variant"),
    word("verdict"),
    time("at"),
    count("watermark"),
    refers(experiment="experiments.key"),
)
looks = listed(
    "looks",
    ("experiment", "watermark", "variant"),
    word("experiment"),
    count("watermark"),
    word("variant"),
    time("at"),
    count("units"),
    count("requests"),
    count("labelled"),
    real("effect", null=True),
    real("lower", null=True),
    real("upper", null=True),
    real("fixed_lower", null=True),
    real("fixed_upper", null=True),
    real("p_value"),
    word("decision"),
    json("counts"),
    *(later(json(name), "'{}'") for name in ("known", "weights")),
    refers(experiment="experiments.key"),
)
records = listed(
    "records",
    ("experiment",),
    word("experiment"),
    time("at"),
    word("digest"),
    json("report"),
    refers(experiment="experiments.key"),
)
published_weights = listed(
    "published_weights",
    ("experiment", "policy_version"),
    word("experiment"),
    count("policy_version"),
    count("epoch"),
    time("at"),
    word("by"),
    count("watermark"),
    count("rewards"),
    *(json(name) for name in ("weights", "guesses", "totals", "evidence", "retired")),
    refers(experiment="experiments.key"),
)
sticky_assignments = keyed(
    "sticky_assignments",
    ("experiment", "unit"),
    word("experiment"),
    word("unit"),
    word("variant"),
    count("epoch"),
    count("policy_version"),
    real("propensity"),
    time("at"),
)
leases = keyed("leases", ("name",), word("name"), word("holder"), time("until"))
marks = keyed("marks", ("name",), word("name"), word("value"), time("at"))
