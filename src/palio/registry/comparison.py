"""Versions beside each other: every metric, how far apart, and which one is better."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from palio.errors import InvalidInput
from palio.registry.domain import Version

__all__ = ["DIRECTIONS", "MetricComparison", "MetricDifference", "Way", "compare_versions"]


class Way(enum.StrEnum):
    """Which values of a metric are better."""

    HIGHER = "higher"
    LOWER = "lower"


_HIGHER = (
    "accuracy", "auc", "average_precision", "balanced_accuracy", "f1", "gini", "ks", "mcc",
    "precision", "r2", "recall", "roc_auc", "sharpe", "win_rate",
)  # fmt: skip
_LOWER = (
    "brier", "calibration_error", "calibration_rms", "ece", "error_rate", "latency_ms", "log_loss",
    "loss", "mae", "mape", "max_drawdown", "mse", "rmse",
)  # fmt: skip
DIRECTIONS: Mapping[str, Way] = {
    **dict.fromkeys(_HIGHER, Way.HIGHER),
    **dict.fromkeys(_LOWER, Way.LOWER),
}
"""Ways of metrics that are known by their name."""


@dataclass(frozen=True, slots=True)
class MetricDifference:
    """One metric of a version against that of the baseline.

    Attributes
    ----------
    value
        The version's figure; None where it has none.
    absolute
        The figure less the baseline's; None where either has none.
    relative
        ``absolute / |baseline|``, a share; None where there is no absolute one, or the baseline's
        figure is 0.
    better
        Whether it is better than the baseline's; None where they are the same, either has none,
        or it is not known which values are better.
    """

    value: float | None
    absolute: float | None
    relative: float | None
    better: bool | None


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """One metric in all versions.

    Attributes
    ----------
    metric
        Its name.
    way
        Which values are better; None where neither the caller nor its name tells.
    baseline
        The baseline's figure; None where it has none.
    differences
        Against the baseline, by version, in the order asked for.
    best
        The version with the best figure, the baseline among them; None where it is not known
        which values are better, or several are best alike.
    """

    metric: str
    way: Way | None
    baseline: float | None
    differences: Mapping[str, MetricDifference]
    best: str | None


def compare_versions(
    versions: Sequence[Version], ways: Mapping[str, Way] | None = None
) -> tuple[MetricComparison, ...]:
    """Compare the metrics of versions with those of the first.

    Parameters
    ----------
    versions
        The baseline, then at least one other version; of other models, too.
    ways
        Which values are better, for metrics whose name does not tell (`DIRECTIONS`).

    Returns
    -------
    tuple of MetricComparison
        One for each metric that any of the versions has, by name.

    Raises
    ------
    InvalidInput
        If there are below two versions, or one is given twice.
    """
    references = [version.reference for version in versions]
    if len(set(references)) < max(2, len(references)):
        given = ", ".join(references) or "none"
        raise InvalidInput(
            f"comparing takes two different versions or more, got {given}",
            field="references",
            value=references,
        )
    known = {**DIRECTIONS, **(ways or {})}
    names = sorted({name for version in versions for name in version.metrics})
    return tuple(_compared(name, known.get(name), versions) for name in names)


def _compared(name: str, way: Way | None, versions: Sequence[Version]) -> MetricComparison:
    figures = {version.reference: version.metrics.get(name) for version in versions}
    first, *others = figures.items()
    differences = {other: _difference(figure, first[1], way) for other, figure in others}
    return MetricComparison(name, way, first[1], differences, _best(figures, way))


def _difference(value: float | None, first: float | None, way: Way | None) -> MetricDifference:
    if value is None or first is None:
        return MetricDifference(value, None, None, None)
    gap = value - first
    relative = gap / abs(first) if first else None
    better = None if way is None or gap == 0 else (gap > 0) == (way is Way.HIGHER)
    shown = relative if relative is not None and isfinite(relative) else None
    return MetricDifference(value, gap, shown, better)


def _best(figures: Mapping[str, float | None], way: Way | None) -> str | None:
    known = {name: figure for name, figure in figures.items() if figure is not None}
    if way is None or not known:
        return None
    top = max(known.values()) if way is Way.HIGHER else min(known.values())
    leaders = [name for name, figure in known.items() if figure == top]
    return leaders[0] if len(leaders) == 1 else None
