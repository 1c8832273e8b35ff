"""From any dataframe to one value a unit, and to the moments of these, where the data lies.

Rows of one unit are brought together first: the unit of randomisation is the unit of analysis. A
plain metric takes the mean of a unit's rows, as a live experiment does, a ratio the sums of its
numerator and its denominator; a quantile is one over units. A unit without a value of a metric is
left out of that metric alone. Only counts, moments and binned counts leave the engine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from math import atanh, isfinite
from sys import float_info
from typing import Any, TypeAlias

import narwhals as nw

from palio.errors import InvalidInput
from palio.experiments.designs.metrics import BUILTIN, Direction, Metric, metric_named
from palio.stats import (
    JointMoments,
    LogHistogram,
    Moments,
    least_units,
    quantile_moments,
    ratio,
)
from palio.stats.frames import summarize
from palio.stats.quality.histogram import log_bins

__all__ = ["Counted", "FrameUnits", "Measure", "measure_named"]

Frame: TypeAlias = nw.LazyFrame[Any]

_VARIANT, _UNIT, _ROWS = "palio variant", "palio unit", "palio rows"
_QUANTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?)\((.+)\)")
_ACCURACY = 0.001  # of a quantile, relative
_TINY = 1e-15  # as the live scores have it


def _brier() -> nw.Expr:
    gap = nw.col("probability").cast(nw.Float64) - nw.col("label").cast(nw.Float64)
    return gap * gap


def _log_loss() -> nw.Expr:
    label, share = nw.col("label").cast(nw.Float64), nw.col("probability").cast(nw.Float64)
    of_truth = (label * share + (1 - label) * (1 - share)).clip(_TINY, 1.0)
    return -of_truth.log()


def _accuracy() -> nw.Expr:
    return (nw.col("prediction") == nw.col("label")).cast(nw.Float64)


def _gap() -> nw.Expr:
    return nw.col("prediction").cast(nw.Float64) - nw.col("label").cast(nw.Float64)


_SCORES: Mapping[str, tuple[tuple[str, str], Callable[[], nw.Expr]]] = {
    "brier": (("probability", "label"), _brier),
    "log_loss": (("probability", "label"), _log_loss),
    "accuracy": (("prediction", "label"), _accuracy),
    "squared_error": (("prediction", "label"), lambda: _gap() * _gap()),
    "absolute_error": (("prediction", "label"), lambda: _gap().abs()),
}


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric and the columns that it is made of.

    ``columns`` is one column, numerator and denominator, or what a score is made of;
    ``quantile`` is in (0, 1).
    """

    metric: Metric
    columns: tuple[str, ...]
    quantile: float | None = None
    is_score: bool = False

    @property
    def values(self) -> tuple[str, ...]:
        """Names of its values a unit."""
        if self.is_score or len(self.columns) == 1:
            return (self.metric.name,)
        return tuple(f"{column} of {self.metric.name}" for column in self.columns)

    def expressions(self) -> list[nw.Expr]:
        """Return its values a row, under their names; a ratio has both or none."""
        if self.is_score:
            values = [_SCORES[self.metric.name][1]()]
        else:
            values = [nw.col(column).cast(nw.Float64) for column in self.columns]
        whole = [~nw.col(column).is_null() for column in self.columns]
        return [
            nw.when(*whole).then(value).alias(name)
            for value, name in zip(values, self.values, strict=True)
        ]

    def check(self, schema: Mapping[str, Any]) -> None:
        """Raise ``InvalidInput`` unless its columns hold numbers."""
        for name in () if self.metric.name == "accuracy" and self.is_score else self.columns:
            if not (schema[name].is_numeric() or schema[name] == nw.Boolean):
                raise InvalidInput(
                    f"column {name!r} must hold numbers, got {schema[name]}; cast it first",
                    field="metric",
                    value=name,
                )


def measure_named(asked: str | Metric, known: Collection[str]) -> Measure:
    """Read a metric as people write it, against the columns there are.

    Parameters
    ----------
    asked
        ``revenue:higher``, a ratio ``revenue/visits:higher``, a quantile
        ``p95(latency_ms):lower``, a built-in name (``brier`` of the columns probability and
        label, where it is no column itself), or a `Metric` with such a name and a margin.
    known
        The columns.

    Raises
    ------
    InvalidInput
        If it cannot be read, or a column is not there.
    """
    metric = _metric(asked)
    name, quantile = metric.name, None
    if name not in known and name in _SCORES and set(_SCORES[name][0]) <= set(known):
        return Measure(metric, _SCORES[name][0], is_score=True)
    if name not in known and (found := _QUANTILE.fullmatch(name)):
        quantile, name = float(found[1]) / 100, found[2]
        if not 0 < quantile < 1:
            raise InvalidInput(
                f"{metric.name} must be between p1 and p99.9", field="metric", value=metric.name
            )
    columns = (name,) if quantile or name in known else tuple(name.split("/"))
    if len(columns) > 2:  # noqa: PLR2004 - numerator and denominator
        raise InvalidInput(f"{name} has more than one /", field="metric", value=name)
    for column in columns:
        if column not in known:
            raise InvalidInput(
                f"{column!r} is no column; the table has {', '.join(known)}",
                field="metric",
                value=column,
            )
    return Measure(metric, columns, quantile)


def _metric(asked: str | Metric) -> Metric:
    if isinstance(asked, Metric):
        return Metric(asked.name, asked.direction, margin=asked.margin)
    if asked in BUILTIN:
        return BUILTIN[asked]
    name, _, side = asked.rpartition(":")
    for direction in Direction:
        if name and side and direction.startswith(side):
            return Metric(name, direction)
    return metric_named(asked)  # says what is wrong


@dataclass(frozen=True, slots=True)
class Counted:
    """Rows and units of a variant, and its rows from units that are in other variants, too."""

    rows: int
    units: int
    crossovers: int


@dataclass(frozen=True, slots=True)
class FrameUnits:
    """One value a unit of every metric, lazily, and what is said of them by variant.

    ``gaps`` counts the units without a value, by its name.
    """

    frame: Frame
    counts: Mapping[str, Counted]
    measures: tuple[Measure, ...]
    covariates: tuple[str, ...]
    gaps: Mapping[str, int]

    @classmethod
    def of(
        cls,
        rows: Frame,
        measures: Sequence[Measure],
        *,
        variant: str,
        unit: str | None,
        covariates: Sequence[str] = (),
    ) -> FrameUnits:
        """Bring the rows of each unit together; units in several variants are left out.

        Parameters
        ----------
        rows
            The table.
        measures
            What is measured.
        variant, unit
            Columns; without a unit every row is one.
        covariates
            Columns known before the experiment.
        """
        keys = [nw.col(variant).cast(nw.String).alias(_VARIANT)]
        keys += [nw.col(unit).alias(_UNIT)] if unit else []
        known = [nw.col(name).cast(nw.Float64) for name in covariates]
        values = [value for one in measures for value in one.expressions()]
        table = rows.select(*keys, *values, *known)
        units = table.with_columns(nw.lit(1).alias(_ROWS))
        lost: dict[str, int] = {}
        if unit is not None:
            nobody = int(table.select(nw.col(_UNIT).is_null().sum()).collect().item() or 0)
            if nobody:
                raise ValueError(f"{unit} is missing in {nobody} rows: drop or fill them first")
            units, lost = _apart(_by_unit(table, measures, covariates))
        names = [name for one in measures for name in one.values]
        sizes = _tally(units, names)
        counts = {
            key: Counted(n + lost.get(key, 0), many, lost.get(key, 0))
            for key, (n, many, *_) in sizes.items()
        }
        gaps = [
            sum(columns) for columns in zip(*(rest for _, _, *rest in sizes.values()), strict=True)
        ]
        return cls(
            units, _named(counts, variant), tuple(measures), tuple(covariates),
            dict(zip(names, gaps, strict=False)),
        )  # fmt: skip

    def joint(self, caps: Mapping[str, float]) -> dict[tuple[str, str], JointMoments]:
        """Return the moments of every metric with its covariates, by variant and metric.

        Metrics without a gap share one pass. A ratio is linearised by the delta method; a
        quantile has no covariates.
        """
        plain = [one for one in self.measures if one.quantile is None]
        whole = [one for one in plain if not any(self.gaps[name] for name in one.values)]
        found: dict[tuple[str, str], JointMoments] = {}
        for group in [whole, *([one] for one in plain if one not in whole)]:
            found |= self._summed(group, caps)
        for one in self.measures:
            if one.quantile is not None:
                found |= self._quantiles(one, one.quantile)
        return found

    def _summed(
        self, measures: Sequence[Measure], caps: Mapping[str, float]
    ) -> dict[tuple[str, str], JointMoments]:
        names = [name for one in measures for name in one.values]
        units = sum(counted.units for counted in self.counts.values())
        if not names or any(self.gaps[name] >= units for name in names):
            return {}
        present = self.frame
        for name in names:
            present = present.filter(~nw.col(name).is_null()) if self.gaps[name] else present
        kept = {name: cap for name, cap in caps.items() if name in names}
        found = summarize(
            present.to_native(), by=_VARIANT, values=[*names, *self.covariates], caps=kept
        )
        known = range(len(names), len(names) + len(self.covariates))
        return {
            (key, one.metric.name): _one_value(
                joint.select([*map(names.index, one.values), *known]), len(one.values)
            )
            for key, joint in found.items()
            for one in measures
        }

    def _quantiles(self, one: Measure, q: float) -> dict[tuple[str, str], JointMoments]:
        name = one.metric.name
        binned = self.frame.filter(~nw.col(name).is_null()).select(
            nw.col(_VARIANT), _bin(nw.col(name)).alias("bin")
        )
        counted = binned.group_by(_VARIANT, "bin").agg(nw.len().alias("rows")).collect()
        arms: dict[str, dict[int, int]] = {}
        for key, at, n in counted.rows():
            if not isfinite(at):
                raise ValueError(f"{name} is NaN or infinite in {n} units: drop or fill them")
            arms.setdefault(key, {})[int(at)] = int(n)
        found = {}
        for key, bins in arms.items():
            histogram = LogHistogram(_ACCURACY, tuple(sorted(bins.items())))
            if histogram.n >= least_units(q):
                found[key, name] = _alone(quantile_moments(histogram, q))
        return found


def _by_unit(table: Frame, measures: Sequence[Measure], covariates: Sequence[str]) -> Frame:
    """Give a row a unit and variant: means, and sums for ratios; null where nothing was known."""
    means = [name for one in measures if len(one.values) == 1 for name in one.values]
    sums = [name for one in measures if len(one.values) > 1 for name in one.values]
    counts = [nw.col(name).count().alias(f"rows of {name}") for name in sums]
    units = table.group_by(_VARIANT, _UNIT).agg(
        nw.len().alias(_ROWS),
        *(nw.col(name).mean() for name in [*means, *covariates]),
        *(nw.col(name).sum() for name in sums),
        *counts,
    )
    return units.with_columns(
        nw.when(nw.col(f"rows of {name}") > 0).then(nw.col(name)).alias(name) for name in sums
    )


def _apart(units: Frame) -> tuple[Frame, dict[str, int]]:
    """Give the units of one variant, and by variant the rows of the others, if there are any."""
    several = units.group_by(_UNIT).agg(nw.len().alias("arms")).filter(nw.col("arms") > 1)
    if not several.select(nw.len()).collect().item():
        return units, {}
    strays = units.join(several.select(_UNIT), on=_UNIT, how="semi")
    lost = {key: rows for key, (rows, *_) in _tally(strays, []).items()}
    return units.join(several.select(_UNIT), on=_UNIT, how="anti"), lost


def _tally(units: Frame, names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Count by variant the rows, the units, and the units without each of the values."""
    gaps = [nw.col(name).is_null().cast(nw.Int64).alias(name) for name in names]
    flags = units.select(_VARIANT, _ROWS, *gaps).group_by(_VARIANT)
    sums = [nw.col(name).sum() for name in names]
    found = flags.agg(nw.col(_ROWS).sum(), nw.len().alias("units"), *sums).collect()
    return {key: tuple(map(int, rest)) for key, *rest in found.rows()}


def _named(counts: Mapping[str, Counted], variant: str) -> Mapping[str, Counted]:
    for key, counted in counts.items():
        if key is None or key != key:  # noqa: PLR0124 - NaN of pandas
            raise ValueError(
                f"{variant} is missing in {counted.rows} rows: drop or fill them first"
            )
    return counts


def _one_value(joint: JointMoments, values: int) -> JointMoments:
    """Linearise a ratio, with its covariates, into one value a unit (see `palio.stats.ratio`)."""
    if values == 1:
        return joint
    if joint.n < 2:  # noqa: PLR2004 - a variance needs two
        return JointMoments(0, (0.0,) * (len(joint.mean) - 1), _zeros(len(joint.mean) - 1))
    alone = ratio(joint.select([0, 1]))
    bottom = joint.mean[1]
    mixed = tuple(
        (joint.cov[0][at] - alone.mean * joint.cov[1][at]) / bottom
        for at in range(2, len(joint.mean))
    )
    others = joint.cov[2:]
    rows = [(cov, *row[2:]) for cov, row in zip(mixed, others, strict=True)]
    return JointMoments(joint.n, (alone.mean, *joint.mean[2:]), ((alone.var, *mixed), *rows))


def _zeros(k: int) -> tuple[tuple[float, ...], ...]:
    return ((0.0,) * k,) * k


def _alone(moments: Moments) -> JointMoments:
    return JointMoments(moments.n, (moments.mean,), ((moments.var,),))


def _bin(value: nw.Expr) -> nw.Expr:
    """Give the bin of `palio.stats.quality.histogram.log_bins`, in the engine."""
    one, width = float(log_bins([1.0], accuracy=_ACCURACY)[0]), 2 * atanh(_ACCURACY)
    size = value.abs()
    at = (size.clip(float_info.min, None).log() / width).ceil() + one
    signed = nw.when(value < 0).then(-at).otherwise(at)
    return nw.when(size < float_info.min).then(nw.lit(0.0)).otherwise(signed)
