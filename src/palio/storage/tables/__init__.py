"""Tables: one per collection, a column per field, nested fields as JSON."""

from __future__ import annotations

from palio.storage.tables.access import alert_deliveries, alerts, keys
from palio.storage.tables.columns import metadata
from palio.storage.tables.delivery import (
    deployments,
    endpoints,
    process_uses,
    traffic_counts,
    traffic_totals,
)
from palio.storage.tables.experimentation import (
    crossings,
    experiments,
    leases,
    looks,
    marks,
    published_weights,
    records,
    sticky_assignments,
)
from palio.storage.tables.log import audit_entries, audit_head, events
from palio.storage.tables.registry import (
    alias_moves,
    attestations,
    feature_counts,
    feature_references,
    lifecycles,
    models,
    quality_sums,
    version_facts,
    versions,
)
from palio.storage.tables.statistics import (
    contrast_sums,
    cursors,
    falls,
    metric_sums,
    reported_sums,
    unit_values,
    variant_counts,
)
from palio.storage.tables.types import Word

__all__ = [
    "Word",
    "alert_deliveries",
    "alerts",
    "alias_moves",
    "attestations",
    "audit_entries",
    "audit_head",
    "contrast_sums",
    "crossings",
    "cursors",
    "deployments",
    "endpoints",
    "events",
    "experiments",
    "falls",
    "feature_counts",
    "feature_references",
    "keys",
    "leases",
    "lifecycles",
    "looks",
    "marks",
    "metadata",
    "metric_sums",
    "models",
    "process_uses",
    "published_weights",
    "quality_sums",
    "records",
    "reported_sums",
    "sticky_assignments",
    "traffic_counts",
    "traffic_totals",
    "unit_values",
    "variant_counts",
    "version_facts",
    "versions",
]
