"""Sums that events are folded into."""

from __future__ import annotations

from palio.storage.tables.columns import count, json, keyed, later, real, refers, time, word

__all__ = [
    "contrast_sums",
    "cursors",
    "falls",
    "metric_sums",
    "reported_sums",
    "unit_values",
    "variant_counts",
]

cursors = keyed(
    "cursors",
    ("experiment",),
    word("experiment"),
    count("seq"),
    later(count("matured"), "0"),
    later(count("start"), "0"),
    later(count("revision"), "0"),
    refers(experiment="experiments.key"),
)
unit_values = keyed(
    "unit_values",
    ("experiment", "epoch", "unit"),
    word("experiment"),
    count("epoch"),
    word("unit"),
    word("variant"),
    json("values"),
    time("first_at", null=True),
    count("first_seq"),
    count("policy_version"),
    json("segments"),
)
metric_sums = keyed(
    "metric_sums",
    ("experiment", "epoch", "variant", "metric", "segment"),
    word("experiment"),
    count("epoch"),
    word("variant"),
    word("metric"),
    word("segment"),
    count("n"),
    *(json(name) for name in ("shift", "sums", "products", "bins")),
    refers(experiment="experiments.key"),
)
variant_counts = keyed(
    "variant_counts",
    ("experiment", "epoch", "variant"),
    word("experiment"),
    count("epoch"),
    word("variant"),
    count("units"),
    count("requests"),
    count("errors"),
    count("labelled"),
    count("outcomes"),
    count("crossovers"),
    count("overdue"),
    real("expected"),
    refers(experiment="experiments.key"),
)
reported_sums = keyed(
    "reported_sums",
    ("experiment", "variant", "metric"),
    word("experiment"),
    word("variant"),
    word("metric"),
    count("n"),
    real("total"),
    refers(experiment="experiments.key"),
)
contrast_sums = keyed(
    "contrast_sums",
    ("experiment", "epoch", "variant", "metric"),
    word("experiment"),
    count("epoch"),
    word("variant"),
    word("metric"),
    json("sums"),
    refers(experiment="experiments.key"),
)
falls = keyed(
    "falls",
    ("experiment", "variant"),
    word("experiment"),
    word("variant"),
    *(real(name) for name in ("total", "highest", "lowest", "deepest")),
    refers(experiment="experiments.key"),
)
