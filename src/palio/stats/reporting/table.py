"""A report on a table where it lies: one aggregation of its own engine, then a row a metric.

Units with several rows are compared as clusters; covariates are taken out by CUPED. Segments are
described at one look only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from palio.stats.adjusted.cuped import cuped
from palio.stats.adjusted.strata import Heterogeneity, WorstSegment, heterogeneity, worst_segment
from palio.stats.anytime.sequential import MIN_UNITS
from palio.stats.frames import summarize, summarize_clusters
from palio.stats.joint import JointMoments
from palio.stats.moments import Moments
from palio.stats.multiplicity import adjust
from palio.stats.one_look.means import welch
from palio.stats.ratios import ratio
from palio.stats.reporting.row import Better, Looking, ReportRow, report_row

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

    from palio.stats.estimate import Estimate
    from palio.stats.multiplicity import Method

__all__ = ["SegmentRow", "report", "report_segments"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentRow:
    """What is said of one metric in the segments of a table, at one look.

    Attributes
    ----------
    metric
        Its name.
    worst
        The segment that treatment serves worst, with bounds that allow for the search.
    heterogeneity
        Whether the effect differs between segments.
    effects
        Effect of every segment with its bounds; those of all of them hold together.
    left_out
        Segments with below 100 units in an arm, of which nothing is said.
    """

    metric: str
    worst: WorstSegment
    heterogeneity: Heterogeneity
    effects: Mapping[str, Estimate]
    left_out: tuple[str, ...]


def report(
    frame: IntoFrame,
    metrics: Sequence[str],
    looking: Looking,
    *,
    variant: str,
    control: object,
    treatment: object,
    covariates: Sequence[str] = (),
    unit: str | None = None,
    better: Mapping[str, Better] | None = None,
    method: Method = "holm",
) -> tuple[ReportRow, ...]:
    """Report on a table where it lies, by one aggregation of its own engine.

    Parameters
    ----------
    frame
        What narwhals takes: pandas, Polars, PyArrow, DuckDB, Ibis, PySpark.
    metrics
        Columns to report on, at least one, none twice.
    looking
        How they are looked at.
    variant
        Column that holds the variant of a row.
    control, treatment
        Its two values that are compared.
    covariates
        Columns known before the experiment, used for every metric by CUPED; not with ``unit``.
    unit
        Column of the randomised unit, where a unit may have several rows: the mean over rows is
        then compared with the variance between units.
    better
        Which values are better, by metric; larger ones if it says nothing.
    method
        Adjustment of the p-values over the metrics. Those are always valid and may depend on
        each other in any way, which Holm does not mind.

    Returns
    -------
    tuple of ReportRow
        One a metric, in their order.

    Raises
    ------
    ValueError
        If an argument is out of its range, an arm is not in the table or the table cannot be
        summarised.
    """
    asked = _Asked(tuple(metrics), (control, treatment), tuple(covariates), unit)
    ways = asked.better(better or {})
    groups = asked.groups(frame, variant)
    first, second = (asked.parts(_arm(groups, key, variant)) for key in asked.arms)
    rows = [
        report_row(name, one, two, looking, better=ways[name])
        for name, one, two in zip(metrics, first, second, strict=True)
    ]
    adjusted = adjust([row.comparison.p_value for row in rows], method)
    return tuple(replace(row, adjusted_p=p) for row, p in zip(rows, adjusted, strict=True))


def report_segments(
    frame: IntoFrame,
    metrics: Sequence[str],
    *,
    segment: str,
    variant: str,
    control: object,
    treatment: object,
    covariates: Sequence[str] = (),
    unit: str | None = None,
    better: Mapping[str, Better] | None = None,
    alpha: float = 0.05,
) -> tuple[SegmentRow, ...]:
    """Find for each metric the segment that treatment serves worst, at one look.

    Parameters
    ----------
    frame, metrics, variant, control, treatment, covariates, unit, better
        As for `report`; a unit belongs to one segment.
    segment
        Column that holds the segment of a row.
    alpha
        Probability that any of a metric's bounds miss, in (0, 1).

    Returns
    -------
    tuple of SegmentRow
        One a metric, in their order.

    Raises
    ------
    ValueError
        As `report`, or if no segment has 100 units in both arms.
    """
    asked = _Asked(tuple(metrics), (control, treatment), tuple(covariates), unit)
    ways = asked.better(better or {})
    groups = asked.groups(frame, [variant, segment])
    names = sorted({key for _, key in groups}, key=str)
    kept = {
        str(name): [groups[key, name] for key in asked.arms]
        for name in names
        if all(_units(groups.get((key, name))) >= MIN_UNITS for key in asked.arms)
    }
    left_out = tuple(str(name) for name in names if str(name) not in kept)
    if not kept:
        raise ValueError(
            f"{segment} must have a segment with {MIN_UNITS} units in both arms, "
            f"got {len(left_out)} smaller ones"
        )
    rows = []
    for at, name in enumerate(metrics):
        strata = {
            key: _without_covariates(*(asked.parts(arm)[at] for arm in arms))
            for key, arms in kept.items()
        }
        worst = worst_segment(strata, alpha=alpha, direction=ways[name])
        effects = {key: welch(*arms, alpha=worst.alpha) for key, arms in strata.items()}
        differ = heterogeneity(tuple(strata.values()))
        rows.append(SegmentRow(
            metric=name, worst=worst, heterogeneity=differ, effects=effects, left_out=left_out
        ))  # fmt: skip
    return tuple(rows)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked of a table, checked."""

    metrics: tuple[str, ...]
    arms: tuple[object, object]
    covariates: tuple[str, ...]
    unit: str | None

    def __post_init__(self) -> None:
        if not self.metrics:
            raise ValueError("metrics must name at least one column, got none")
        columns = [*self.metrics, *self.covariates]
        for name in columns:
            if columns.count(name) > 1:
                raise ValueError(f"metrics and covariates must name {name!r} once, got it twice")
        if self.unit is not None and self.covariates:
            raise ValueError(f"covariates must be empty with unit, got {list(self.covariates)}")
        if self.arms[0] == self.arms[1]:
            raise ValueError(f"treatment must differ from control, got {self.arms[1]!r} for both")

    def better(self, ways: Mapping[str, Better]) -> Mapping[str, Better]:
        """Give for each metric which values are better."""
        for name, way in ways.items():
            if name not in self.metrics:
                raise ValueError(f"better must be of one of {list(self.metrics)}, got {name!r}")
            if way not in {"larger", "smaller"}:
                raise ValueError(f"better of {name} must be larger or smaller, got {way!r}")
        return {name: ways.get(name, "larger") for name in self.metrics}

    def groups(self, frame: IntoFrame, by: str | Sequence[str]) -> dict[Any, JointMoments]:
        """Summarise the table."""
        if self.unit is None:
            return summarize(frame, by=by, values=[*self.metrics, *self.covariates])
        return summarize_clusters(frame, by=by, cluster=self.unit, values=self.metrics)

    def parts(self, arm: JointMoments) -> Sequence[Moments | JointMoments]:
        """Take the metrics apart: columns after them are covariates, or the rows of a unit."""
        others = range(len(self.metrics), len(arm.mean))
        parts = [arm.select([at, *others]) for at in range(len(self.metrics))]
        if self.unit is not None:
            return [ratio(part) for part in parts]
        return parts if others else [part.value(0) for part in parts]


def _arm(groups: Mapping[Any, JointMoments], key: object, variant: str) -> JointMoments:
    if key not in groups:
        raise ValueError(f"{variant} must be one of {sorted(map(str, groups))}, got {key!r}")
    return groups[key]


def _units(arm: JointMoments | None) -> int:
    return 0 if arm is None else arm.n


def _without_covariates(
    control: Moments | JointMoments, treatment: Moments | JointMoments
) -> tuple[Moments, Moments]:
    """Take out the covariates, if there are any, by the slopes of these two arms."""
    if isinstance(control, JointMoments) and isinstance(treatment, JointMoments):
        found = cuped(control, treatment)
        return found.control, found.treatment
    return control, treatment  # type: ignore[return-value]  # both have covariates or none has
