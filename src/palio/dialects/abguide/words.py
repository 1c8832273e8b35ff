"""Its words as data: statuses, error texts, and records as it shows them."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from palio.registry.comparison import MetricComparison
from palio.registry.domain import Version
from palio.registry.lifecycle import Lifecycle

__all__ = [
    "LIFECYCLE",
    "NOTHING_SERVES",
    "NOT_ENABLED",
    "Status",
    "difference_of",
    "metadata_of",
    "status_of",
]


class Status(enum.StrEnum):
    """Where a version stands."""

    ACTIVE = "active"  # in production use
    TESTING = "testing"  # tested with limited traffic
    INACTIVE = "inactive"  # registered, and not deployed
    DEPRECATED = "deprecated"  # scheduled for removal


LIFECYCLE = Lifecycle(
    name="abguide",
    initial=Status.INACTIVE,
    production=Status.ACTIVE,
    retired=Status.INACTIVE,
    transitions={
        Status.INACTIVE: (Status.TESTING, Status.ACTIVE, Status.DEPRECATED),
        Status.TESTING: (Status.ACTIVE, Status.INACTIVE, Status.DEPRECATED),
        Status.ACTIVE: (Status.INACTIVE, Status.TESTING, Status.DEPRECATED),
        Status.DEPRECATED: (Status.INACTIVE, Status.TESTING, Status.ACTIVE),
    },
)
"""The statuses as stages. Nothing but production follows from traffic: `status_of` sees that."""

NOT_ENABLED = "A/B testing not enabled. Set AB_TESTING_ENABLED=true"
NOTHING_SERVES = "no version gets traffic yet; set weights: POST /registry/ab-test/weights"
_DIGITS = 10  # beyond them a difference is what floats leave over


def status_of(stage: str, share: float, *, champion: bool) -> Status:
    """Return the status that follows from what serves.

    Parameters
    ----------
    stage
        Where the version stands in its lifecycle, whichever that is.
    share
        Of the traffic, in [0, 1].
    champion
        Whether it is production.
    """
    if champion:
        return Status.ACTIVE
    if share > 0:
        return Status.TESTING
    return Status(stage) if stage in (Status.TESTING, Status.DEPRECATED) else Status.INACTIVE


def metadata_of(
    version: Version, share: float, *, champion: bool, changed_at: datetime | None
) -> dict[str, Any]:
    """Return a version as the registry shows it; also one that was not registered here."""
    files = [file.path for file in version.manifest.files]
    return {
        "version": version.version,
        "name": version.source.get("title", version.reference),
        "description": version.description,
        "created_at": _moment(version.created_at),
        "updated_at": _moment(changed_at or version.created_at),
        "status": status_of(version.stage, share, champion=champion),
        "model_path": version.source.get("model_path", files[0] if files else None),
        "preprocessor_path": version.source.get("preprocessor_path"),
        "metrics": dict(version.metrics),
        "tags": _tags(version.tags),
        "traffic_weight": share,
    }


def difference_of(one: MetricComparison, reference: str) -> dict[str, float | None]:
    """Return how far a version's metric is from the baseline's."""
    found = one.differences[reference]
    percent = None if found.relative is None else round(100 * found.relative, 2)
    absolute = None if found.absolute is None else round(found.absolute, _DIGITS)
    return {
        "value_a": one.baseline,
        "value_b": found.value,
        "absolute_difference": absolute,
        "percent_change": percent,
    }


def _tags(tags: Mapping[str, str]) -> Sequence[str]:
    """Return tags as a list: those without a value by name alone."""
    return [f"{name}:{value}" if value else name for name, value in tags.items()]


def _moment(at: datetime) -> str:
    """Return a moment of UTC to the second, without its zone, as the registry writes it."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds")
