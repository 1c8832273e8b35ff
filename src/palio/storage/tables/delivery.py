"""Endpoints, deployments, and the traffic they have seen."""

from __future__ import annotations

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

__all__ = [
    "deployments",
    "endpoints",
    "process_uses",
    "traffic_counts",
    "traffic_totals",
]

endpoints = listed(
    "endpoints",
    ("name",),
    word("name"),
    word("model"),
    time("created_at"),
    word("created_by"),
    word("description"),
    word("override", null=True),
    json("weights"),
    later(json("held"), "'[]'"),
    later(word("on_error"), "'fail'"),
    real("timeout_s", null=True),
    refers(model="models.name"),
)
traffic_counts = keyed(
    "traffic_counts",
    ("second", "process", "endpoint", "model", "version"),
    count("second"),
    *(word(name) for name in ("process", "endpoint", "model", "version")),
    json("sums"),
)
traffic_totals = keyed(
    "traffic_totals",
    ("server", "process", "endpoint", "model", "version"),
    *(word(name) for name in ("server", "process", "endpoint", "model", "version")),
    json("sums"),
)
process_uses = keyed(
    "process_uses",
    ("process",),
    word("process"),
    word("server"),
    time("at"),
    count("rss_bytes"),
    real("cpu_share"),
    json("loaded"),
)
deployments = listed(
    "deployments",
    ("name",),
    *(word(name) for name in ("name", "model", "version", "endpoint", "environment")),
    *(json(name) for name in ("resources", "scaling", "health_check", "guardrails", "canary")),
    real("traffic_share"),
    json("rollback_on_error"),
    *(word(name) for name in ("state", "verdict", "reason")),
    *(time(name) for name in ("since", "created_at")),
    word("created_by"),
    count("revision"),
    *(json(name) for name in ("weights_before", "holds", "health", "settled", "not_honoured")),
    refers(endpoint="endpoints.name"),
)
