"""Analysis without the service: a dataframe becomes the report that a live experiment gives.

The moments of the unit values are put in the place of the folded statistics; contrasts, sample
ratio and decision come from the same functions. A ratio and a quantile enter as the mean and
variance that they imply. What a live report has no place for stands beside it in `FrameReport`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import narwhals as nw

from palio.errors import InvalidInput
from palio.experiments.designs.design import ExperimentDraft, Metrics, Stopping, Variant
from palio.experiments.designs.metrics import Metric
from palio.experiments.domain import Experiment, State
from palio.experiments.folding.statistics import MetricSums, VariantCounts
from palio.experiments.judging.analysis import Report, Statistics
from palio.experiments.judging.comparing import contrasts_of
from palio.experiments.judging.decision import report_of
from palio.experiments.tables.frame_units import Counted, FrameUnits, measure_named
from palio.stats import JointMoments, Moments, pooled_cuped
from palio.stats.anytime.sequential import MIN_UNITS

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

__all__ = ["FrameReport", "analyze"]

_LEAST_ALPHA = 0.01  # of an experiment
_SUM_TO_ONE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameReport(Report):
    """The report of a live experiment, on a dataframe, and what such a report has no place for.

    ``watermark`` counts rows, an arm's ``labelled`` the units with a value of the goal; without
    declared weights the arms bear their shares, and the sample ratio was not asked for.

    Attributes
    ----------
    variance_removed
        Share of the variance that the covariates took out, by metric.
    segments
        A report of each segment with 100 units in every variant. Their error budgets,
        ``segment_alpha`` each, are that of the whole shared equally: the chance of any false
        verdict in them is that of one report.
    segment_alpha
        Chance of a false decision in one segment; None without segments.
    left_out
        Segments with fewer units, of which nothing is said.
    """

    variance_removed: Mapping[str, float] = field(default_factory=dict)
    segments: Mapping[str, FrameReport] = field(default_factory=dict)
    segment_alpha: float | None = None
    left_out: tuple[str, ...] = ()


def analyze(
    frame: IntoFrame,
    *,
    variant: str,
    control: object,
    metrics: Sequence[str | Metric],
    guardrails: Sequence[str | Metric] = (),
    unit: str | None = None,
    covariates: Sequence[str] = (),
    caps: Mapping[str, float] | None = None,
    weights: Mapping[str, float] | None = None,
    segment: str | None = None,
    alpha: float = 0.05,
    horizon: int | None = None,
    min_sample: int = 1_000,
    name: str = "frame",
    at: datetime | None = None,
) -> FrameReport:
    """Analyse an experiment from a dataframe, where it lies, and decide as a live one would.

    Parameters
    ----------
    frame
        What narwhals takes: pandas, Polars (eager or lazy), PyArrow, a DuckDB relation, Ibis,
        PySpark. Only counts and moments leave its engine.
    variant
        Column of the variant.
    control
        Its value for the control; every other value is a challenger.
    metrics
        The goal, then secondary metrics: a column with its direction (``revenue:higher``), a
        ratio (``revenue/visits:higher``), a quantile over units (``p95(latency_ms):lower``), a
        built-in name (``brier``, of the columns probability and label), or a `Metric` so named.
    guardrails
        What must not be harmed; a `Metric` may bring a ``margin``.
    unit
        Column of the randomised unit, where it may have several rows; without it each row is one.
    covariates
        Columns known before the experiment, taken out of every metric but quantiles by CUPED.
    caps
        Largest value a unit that counts, by column: fixed on data from before the experiment.
    weights
        Declared share of each variant, summing to 1; the sample ratio is checked against it.
    segment
        Column known before the experiment: the same report for each of its values.
    alpha, horizon, min_sample
        As `Stopping` has them: the interval holds at every look up to the horizon, in units of
        all variants, and without one at any time.
    name
        The experiment's, in the report.
    at
        The moment that the report bears; now if None.

    Returns
    -------
    FrameReport
        Sequential intervals, the figures of one look beside them, and the decision.

    Raises
    ------
    InvalidInput
        If an argument is out of its range, a column is not there or a value is missing where
        none may be, saying what to do.

    Examples
    --------
    >>> import numpy as np, polars as pl
    >>> rng = np.random.default_rng(1)
    >>> arm = rng.permutation(["A", "B"] * 2_000)
    >>> frame = pl.DataFrame({"arm": arm, "y": rng.normal(size=4_000) + 0.5 * (arm == "B")})
    >>> found = analyze(frame, variant="arm", control="A", metrics=["y:higher"])
    >>> str(found.decision.kind), found.decision.variant
    ('ship', 'B')
    """
    asked = _Asked(
        variant, str(control), tuple(metrics), tuple(guardrails), unit, tuple(covariates),
        caps or {}, weights, Stopping(alpha=alpha, horizon=horizon, min_sample=min_sample),
        name, at or datetime.now(UTC),  # noqa: TID251 - nobody hands a function a clock
    )  # fmt: skip
    try:
        rows: nw.LazyFrame[Any] = nw.from_native(frame).lazy()
    except TypeError as error:
        raise InvalidInput(
            f"frame must be a dataframe that narwhals takes, got {type(frame).__name__}",
            field="frame",
        ) from error
    try:
        asked.check(rows, segment)
        found = asked.report(rows)
        return found if segment is None else _segmented(found, asked, rows, segment)
    except ValueError as error:
        raise InvalidInput(str(error), field="frame") from error


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked of a dataframe."""

    variant: str
    control: str
    metrics: tuple[str | Metric, ...]
    guardrails: tuple[str | Metric, ...]
    unit: str | None
    covariates: tuple[str, ...]
    caps: Mapping[str, float]
    weights: Mapping[str, float] | None
    stopping: Stopping
    name: str
    at: datetime

    def check(self, rows: nw.LazyFrame[Any], segment: str | None) -> None:
        """Refuse what cannot be asked of these columns."""
        if not self.metrics:
            raise InvalidInput("metrics must name the goal at least, got none", field="metrics")
        known = rows.collect_schema()
        keys = {"variant": self.variant, "unit": self.unit, "segment": segment}
        columns = [(what, one) for what, one in keys.items() if one is not None]
        for what, one in [*columns, *(("covariates", one) for one in self.covariates)]:
            if one not in known:
                raise InvalidInput(
                    f"{what} {one!r} is no column; the table has {', '.join(known)}",
                    field=what,
                    value=one,
                )
        asked = []
        for named in self.metrics + self.guardrails:
            measure = measure_named(named, known)
            measure.check(known)
            asked.append(measure.metric.name)
        names = set(asked)
        if twice := sorted(one for one in names if asked.count(one) > 1):
            raise InvalidInput(
                f"metrics named twice: {', '.join(twice)}; give each one role", field="metrics"
            )
        for what, given in (("caps", self.caps), ("covariates", self.covariates)):
            wrong = [one for one in given if (one in names) is (what == "covariates")]
            if wrong:
                must = "name metrics" if what == "caps" else "be known before, and no metrics"
                raise InvalidInput(f"{what} must {must}, got {wrong[0]!r}", field=what)

    def report(self, rows: nw.LazyFrame[Any]) -> FrameReport:
        """Report on the rows."""
        schema = rows.collect_schema()
        measures = [measure_named(one, schema) for one in self.metrics + self.guardrails]
        values = FrameUnits.of(
            rows, measures, variant=self.variant, unit=self.unit, covariates=self.covariates
        )
        goals = [one.metric for one in measures]
        experiment = self._experiment(values.counts, goals)
        raw = values.joint(self.caps)
        plain = {place: joint.value(0) for place, joint in raw.items()}
        adjusted = _without_covariates(raw)
        goal = goals[0].name
        found, _ = report_of(experiment, self._statistics(values.counts, adjusted, goal), self.at)
        if self.covariates:
            statistics = self._statistics(values.counts, plain, goal)
            found = replace(found, unadjusted=contrasts_of(experiment, statistics))
        return FrameReport(
            **{name: getattr(found, name) for name in Report.__dataclass_fields__},
            variance_removed=_removed(plain, adjusted) if self.covariates else {},
        )

    def _experiment(self, counts: Mapping[str, Counted], metrics: Sequence[Metric]) -> Experiment:
        shares = self._shares(counts)
        names = [metric.name for metric in metrics]
        goals = len(self.metrics)
        design = ExperimentDraft(
            key=self.name,
            endpoint=self.name,
            variants=tuple(Variant(key, key, share) for key, share in shares.items()),
            metrics=Metrics(
                names[0], tuple(names[1:goals]), tuple(names[goals:]), declared=tuple(metrics)
            ),
            stopping=self.stopping,
            unit=self.unit or "row",
        )
        return Experiment(
            key=self.name, design=design, model=self.name, salt="", state=State.COMPLETED,
            created_at=self.at, created_by="",
        )  # fmt: skip

    def _shares(self, counts: Mapping[str, Counted]) -> dict[str, float]:
        """Give the share of each variant, control first: as declared, or as observed."""
        if self.control not in counts:
            raise InvalidInput(
                f"control {self.control!r} is no value of {self.variant}, which has "
                f"{', '.join(sorted(counts)) or 'no rows'}",
                field="control",
                value=self.control,
            )
        shares = dict(self.weights or _observed(counts))
        unknown = sorted(set(counts) - set(shares))
        if unknown or abs(sum(shares.values()) - 1) > _SUM_TO_ONE or min(shares.values()) < 0:
            raise InvalidInput(
                f"weights must be shares of {', '.join(sorted(counts))} that sum to 1, got "
                f"{shares}",
                field="weights",
            )
        others = sorted(set(shares) - {self.control})
        return {key: shares[key] for key in [self.control, *others]}

    def _statistics(
        self, counts: Mapping[str, Counted], moments: Mapping[tuple[str, str], Moments], goal: str
    ) -> Statistics:
        empty = Moments(0, 0.0, 0.0)
        return Statistics(
            watermark=sum(counted.rows for counted in counts.values()),
            sums=[
                MetricSums.holding(found, experiment=self.name, variant=variant, metric=metric)
                for (variant, metric), found in moments.items()
            ],
            counts=[
                VariantCounts(
                    experiment=self.name, epoch=1, variant=variant, units=counted.units,
                    requests=counted.rows, labelled=moments.get((variant, goal), empty).n,
                    crossovers=counted.crossovers,
                )
                for variant, counted in counts.items()
            ],
            settled=True,
        )  # fmt: skip


def _observed(counts: Mapping[str, Counted]) -> dict[str, float]:
    total = sum(counted.units for counted in counts.values()) or 1
    return {key: counted.units / total for key, counted in counts.items()}


def _without_covariates(
    raw: Mapping[tuple[str, str], JointMoments],
) -> dict[tuple[str, str], Moments]:
    """Take the covariates out of each metric, by slopes that all arms share."""
    adjusted: dict[tuple[str, str], Moments] = {}
    for metric in {metric for _, metric in raw}:
        arms = {place: joint for place, joint in raw.items() if place[1] == metric}
        adjusted |= dict(zip(arms, pooled_cuped(list(arms.values())), strict=True))
    return adjusted


def _removed(
    raw: Mapping[tuple[str, str], Moments], adjusted: Mapping[tuple[str, str], Moments]
) -> dict[str, float]:
    """Give by metric the share of the summed squared standard errors that is gone."""
    before: dict[str, float] = {}
    after: dict[str, float] = {}
    for place, found in raw.items():
        before[place[1]] = before.get(place[1], 0.0) + found.var / max(found.n, 1)
        after[place[1]] = after.get(place[1], 0.0) + adjusted[place].var / max(found.n, 1)
    return {name: 1 - after[name] / total if total else 0.0 for name, total in before.items()}


def _segmented(
    found: FrameReport, asked: _Asked, rows: nw.LazyFrame[Any], segment: str
) -> FrameReport:
    """Report on each segment that is large enough, at its share of the error budget."""
    large, small = _sized(asked, rows, segment, {arm.variant for arm in found.arms})
    alpha = asked.stopping.alpha
    most = int(alpha / _LEAST_ALPHA + _SUM_TO_ONE)
    if len(large) > most:
        raise InvalidInput(
            f"{segment} has {len(large)} segments, and alpha {alpha:g} is enough for {most}: keep "
            "those you planned for, or search all of them by palio.stats.report_segments",
            field="segment",
            value=segment,
        )
    share = max(alpha / max(len(large), 1), _LEAST_ALPHA)
    each = replace(asked, stopping=replace(asked.stopping, alpha=share))
    segments = {str(key): each.report(rows.filter(nw.col(segment) == key)) for key in large}
    return replace(found, segments=segments, segment_alpha=share, left_out=tuple(map(str, small)))


def _sized(
    asked: _Asked, rows: nw.LazyFrame[Any], segment: str, variants: set[str]
) -> tuple[list[Any], list[Any]]:
    """Give the segments with enough units in every variant, and the others."""
    units = nw.len() if asked.unit is None else nw.col(asked.unit).n_unique()
    counted = rows.group_by(segment, asked.variant).agg(units.alias("palio units")).collect()
    sizes: dict[Any, dict[str, int]] = {}
    for row in counted.rows(named=True):
        key = row[segment]
        if key is None or key != key:  # noqa: PLR0124 - NaN of pandas
            raise ValueError(f"{segment} is missing in some rows: drop or fill them first")
        sizes.setdefault(key, {})[str(row[asked.variant])] = int(row["palio units"])
    ordered = sorted(sizes, key=str)
    large = [
        key
        for key in ordered
        if set(sizes[key]) >= variants and min(sizes[key].values()) >= MIN_UNITS
    ]
    return large, [key for key in ordered if key not in large]
