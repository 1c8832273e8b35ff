"""By what the records of collections are known, and which others they name."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["KEYS", "PARENTS", "UNORDERED"]

PARENTS: Mapping[str, tuple[str, ...]] = {
    "versions": ("models",),
    "alias_moves": ("models", "versions"),
    "attestations": ("models", "versions"),
    "endpoints": ("models",),
    "deployments": ("models", "endpoints"),
    "experiments": ("models",),
    **dict.fromkeys(
        (
            *("cursors", "unit_values", "metric_sums", "variant_counts", "reported_sums"),
            *("contrast_sums", "falls", "published", "crossings", "looks"),
        ),
        ("models", "experiments"),
    ),
    "records": ("models", "experiments"),
    "alert_deliveries": ("alerts",),
}
"""The collections that a collection's records name records of."""

KEYS: Mapping[str, tuple[str, ...]] = {
    "keys": ("id",),
    "models": ("name",),
    "lifecycles": ("name", "revision"),
    "versions": ("model", "version"),
    "alias_moves": ("model", "alias", "seq"),
    "attestations": ("model", "version", "seq"),
    "endpoints": ("name",),
    "experiments": ("key",),
    "cursors": ("experiment",),
    "unit_values": ("experiment", "epoch", "unit"),
    "metric_sums": ("experiment", "epoch", "variant", "metric", "segment"),
    "contrast_sums": ("experiment", "epoch", "variant", "metric"),
    "falls": ("experiment", "variant"),
    "published": ("experiment", "policy_version"),
    "sticky": ("experiment", "unit"),
    "leases": ("name",),
    "marks": ("name",),
    "alerts": ("id",),
    "alert_deliveries": ("alert", "target"),
    "feature_references": ("model", "version"),
    "feature_counts": ("day", "process", "model", "version"),
    "quality_sums": ("model", "version", "cohort", "segment"),
    "traffic": ("second", "process", "endpoint", "model", "version"),
    "traffic_totals": ("server", "process", "endpoint", "model", "version"),
    "process_uses": ("process",),
    "deployments": ("name",),
    "variant_counts": ("experiment", "epoch", "variant"),
    "reported_sums": ("experiment", "variant", "metric"),
    "crossings": ("experiment", "metric", "variant", "verdict"),
    "looks": ("experiment", "watermark", "variant"),
    "records": ("experiment",),
}
"""The fields of each collection's key."""

UNORDERED = frozenset(
    {
        *("cursors", "unit_values", "metric_sums", "variant_counts", "reported_sums"),
        *("contrast_sums", "falls", "sticky", "leases", "marks"),
        *("traffic", "traffic_totals", "process_uses", "alert_deliveries", "quality_sums"),
        *("feature_references", "feature_counts"),
    }
)
"""Statistics, which come in any order."""
