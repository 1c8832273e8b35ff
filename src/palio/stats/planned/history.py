"""The user's own history, made into a plan: how long an experiment runs to find an effect.

Rows of (unit, time, value), as many a unit as there were, become per unit of randomisation the
sum of its values and the number of its rows over the window: the variance that an experiment as
long as the window will meet. First days count *new* units, whose curve flattens as users return;
beyond the window it goes on at the mean rate of the last week.

The engine aggregates by itself: rows stay in it. The sums of a few units, to shift by, those of
all, and one number a day are what leaves it.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate
from math import ceil, sqrt
from typing import Any, Literal, TypeAlias

import narwhals as nw
from narwhals.typing import IntoFrame

from palio.stats import ranges
from palio.stats.frames import summarize
from palio.stats.joint import JointMoments
from palio.stats.planned.planning import ANY_LOOKS, Baseline, Design, Plan, sample_size
from palio.stats.ratios import ratio

__all__ = ["Forecast", "History", "forecast", "summarize_history"]

WEEK = 7
"""Last days of the history, at whose mean rate units go on arriving."""

_ROUNDING = 1e-12

Frame: TypeAlias = nw.LazyFrame[Any]
Day: TypeAlias = date | int


@dataclass(frozen=True, slots=True)
class History:
    """Units over a window of days, as an experiment that started with it would have met them.

    Attributes
    ----------
    units
        Moments over units of (sum of the values, number of rows), at least two units.
    new_units
        Number of units first seen on each day of the window, at least one day; they sum to the
        units' n.
    correlation
        Between the sums of a unit in the first and the second half of the window, over units
        seen in the second; a hint of what CUPED saves, ``correlation^2`` of the variance. 0
        where one does not vary.

    Raises
    ------
    ValueError
        If an attribute is out of its range.
    """

    units: JointMoments
    new_units: tuple[int, ...]
    correlation: float = 0.0

    def __post_init__(self) -> None:
        if len(self.units.mean) != 2:  # noqa: PLR2004 -- sum and rows
            raise ValueError(f"units must have 2 values a unit, got {len(self.units.mean)}")
        ranges.whole("units", self.units.n, 2)
        for at, count in enumerate(self.new_units):
            ranges.whole(f"new_units[{at}]", count, 0)
        if sum(self.new_units) != self.units.n:
            raise ValueError(
                f"new_units must sum to {self.units.n} units, got {sum(self.new_units)}"
            )
        ranges.within("correlation", self.correlation, -1, 1)

    def baseline(self, per: Literal["unit", "row"] = "unit") -> Baseline:
        """Give the baseline of a metric, whose variance is that of the units.

        Parameters
        ----------
        per
            ``unit``: sum of the values of a unit, such as revenue per user. ``row``: mean of the
            rows, such as revenue per order, with units as clusters.

        Returns
        -------
        Baseline
            Mean and variance per unit.

        Raises
        ------
        ValueError
            If per is neither or nothing varied.

        References
        ----------
        For rows: Deng, Knoblich and Lu (2018), KDD, 233-242.
        """
        if per not in {"unit", "row"}:
            raise ValueError(f"per must be unit or row, got {per!r}")
        return Baseline.of(self.units.value(0) if per == "unit" else ratio(self.units))

    def days_needed(self, units: float, *, traffic_share: float = 1.0) -> float:
        """Give the days until so many units have come, each counted once.

        Parameters
        ----------
        units
            Units of both arms together, > 0; `Plan.units` or its expected ones.
        traffic_share
            Share of all units that take part, in (0, 1].

        Returns
        -------
        float
            > 0; a fraction of the last day by even arrivals within it. Beyond the window units
            come at the mean rate of its last seven days (of all days, if there are fewer).
            Round up to whole weeks where weekdays differ.

        Raises
        ------
        ValueError
            If an argument is out of its range, or more units are needed than came and none came
            in the last week.
        """
        ranges.positive("units", units)
        ranges.within("traffic_share", traffic_share, 0, 1)
        ranges.positive("traffic_share", traffic_share)
        needed, curve = units / traffic_share, list(accumulate(self.new_units))
        day = bisect_left(curve, needed)
        if day < len(curve):
            return day + 1 - (curve[day] - needed) / self.new_units[day]
        last = self.new_units[-WEEK:]
        if not sum(last):
            raise ValueError(
                f"units must be at most {traffic_share * curve[-1]:g}, "
                f"for no new ones came in the last {len(last)} days, got {units}"
            )
        return len(curve) + (needed - curve[-1]) * len(last) / sum(last)


@dataclass(frozen=True, slots=True)
class Forecast:
    """A plan with its time.

    Attributes
    ----------
    plan
        Units to find the effect with the power.
    days
        Days until all of them have come, rounded up.
    expected_days
        Days until the mean number of units at the stop has come; under rule 1 well before.
    """

    plan: Plan
    days: int
    expected_days: float


def forecast(
    history: History,
    relative: float,
    *,
    power: float = 0.8,
    design: Design = ANY_LOOKS,
    per: Literal["unit", "row"] = "unit",
    correlation: float = 0.0,
    traffic_share: float = 1.0,
) -> Forecast:
    """Say how many units and days it takes to find a relative effect.

    Parameters
    ----------
    history
        What `summarize_history` gives.
    relative
        Effect as a share of the mean: 0.02 for 2 % more, also where the mean is negative.
    power, design
        As for `sample_size`; the null of a design is absolute.
    per
        Metric, as for `History.baseline`.
    correlation
        With what CUPED will adjust by, in (-1, 1): 0 for none, or ``history.correlation``.
    traffic_share
        Share of all units that take part in the experiment, in (0, 1].

    Returns
    -------
    Forecast
        The plan and its days.

    Raises
    ------
    ValueError
        If an argument is out of its range, the mean is 0 or the units never come.

    Notes
    -----
    The variance is that of the history's window: take one about as long as the experiment.

    Examples
    --------
    >>> history = History(JointMoments.of([0, 3, 1, 4], [1, 1, 1, 2]), (3, 1))
    >>> forecast(history, 0.5, design=Design(looks=1)).days
    54
    """
    baseline = history.baseline(per).explained(correlation)
    ranges.finite("relative", relative)
    if baseline.mean == 0:
        raise ValueError("mean of the history must not be 0 for a relative effect, got 0")
    plan = sample_size(baseline, relative * abs(baseline.mean), power=power, design=design)
    days, expected = (
        history.days_needed(units, traffic_share=traffic_share)
        for units in (plan.units, plan.expected_units)
    )
    return Forecast(plan, ceil(days), expected)


def summarize_history(frame: IntoFrame, *, unit: str, time: str, value: str) -> History:
    """Aggregate past rows of a metric by the unit that will be randomised.

    Parameters
    ----------
    frame
        What narwhals takes, as for `summarize`: lazy ones compute where the data is.
    unit
        Column of the unit, such as a user's id.
    time
        Column of dates, times (whose dates count: in the zone of the column, in SQL in that of
        the session) or whole numbers of days. The window goes from the first day to the last
        one, both of which should be whole.
    value
        Column of numbers or booleans, computed as 64-bit floats.

    Returns
    -------
    History
        Sums and rows per unit, arrivals per day and the correlation of the two halves.

    Raises
    ------
    ValueError
        If frame is no dataframe or has fewer than two units, a column is unknown or of the wrong
        type, a cell is missing (null, NaN or infinite), or the squares overflow.
    """
    rows = _rows(frame, {"unit": unit, "day": time, "value": value})
    first, last = _window(rows, {"unit": unit, "day": time, "value": value})
    length = _days_between(first, last) + 1
    units = _units(rows, _moved(first, (length + 1) // 2))
    halves = summarize(units.to_native(), by="late", values=["sum", "rows", "early"])
    whole = JointMoments.merged(halves.values())
    kept = JointMoments(whole.n, whole.mean[:2], tuple(row[:2] for row in whole.cov[:2]))
    return History(kept, _arrivals(units, first, length), _correlation(halves.get(1)))


def _rows(frame: IntoFrame, named: dict[str, str]) -> Frame:
    """Give the columns asked for alone, lazily and under our names: whole days, float values."""
    try:
        rows: Frame = nw.from_native(frame).lazy()
    except TypeError as error:
        raise ValueError(f"frame must be what narwhals takes, got {type(frame)}") from error
    schema = rows.collect_schema()
    for name in named.values():
        if name not in schema:
            raise ValueError(f"column {name!r} is not in the frame, which has {list(schema)}")
    if schema[named["unit"]].is_nested():
        raise ValueError(
            f"column {named['unit']!r} must hold single values, got {schema[named['unit']]}"
        )
    time, value = schema[named["day"]], schema[named["value"]]
    if not (time.is_integer() or isinstance(time, nw.Date | nw.Datetime)):
        raise ValueError(f"column {named['day']!r} must hold dates, times or days, got {time}")
    if not (value.is_numeric() or value == nw.Boolean):
        raise ValueError(f"column {named['value']!r} must hold numbers, got {value}")
    day = nw.col(named["day"])
    if isinstance(time, nw.Datetime) and time.time_zone:
        day = day.dt.replace_time_zone(None)
    return rows.select(
        nw.col(named["unit"]).alias("unit"),
        day.cast(nw.Int64 if time.is_integer() else nw.Date).alias("day"),
        nw.col(named["value"]).cast(nw.Float64).alias("value"),
    )


def _window(rows: Frame, named: dict[str, str]) -> tuple[Day, Day]:
    """Give the first and last day, refusing what is missing."""
    schema = rows.collect_schema()
    present = [
        (~nw.col(name).is_null() & nw.col(name).is_finite() if schema[name].is_float() else
         ~nw.col(name).is_null()).cast(nw.Int64).sum().alias(name)
        for name in named
    ]  # fmt: skip
    ends = [nw.col("day").min().alias("first"), nw.col("day").max().alias("last")]
    found = rows.select(nw.len().alias("n"), *present, *ends).collect().row(0)
    n, counts, (first, last) = int(found[0]), found[1:4], found[4:]
    if n == 0:
        raise ValueError("frame must have rows, got none")
    for name, count in zip(named.values(), counts, strict=True):
        if missing := n - int(count):
            raise ValueError(
                f"column {name!r} is missing (null, NaN or infinite) in {missing} of {n} rows: "
                "drop these rows or fill them first"
            )
    return (first, last) if isinstance(first, date) else (int(first), int(last))


def _units(rows: Frame, middle: Day) -> Frame:
    """Give one row a unit; late is 1 where it was seen from the middle on."""
    is_late = nw.col("day") >= nw.lit(middle)
    parts = rows.with_columns(
        late=is_late.cast(nw.Int64),
        early=nw.when(is_late).then(nw.lit(0.0)).otherwise(nw.col("value")),
    )
    return parts.group_by("unit").agg(
        nw.col("late").max(),
        nw.col("day").min(),
        nw.col("value").sum().alias("sum"),
        nw.col("early").sum(),
        nw.len().alias("rows"),
    )


def _arrivals(units: Frame, first: Day, length: int) -> tuple[int, ...]:
    found = units.group_by("day").agg(nw.len().alias("n")).collect()
    counts = {_days_between(first, day): int(n) for day, n in found.select("day", "n").iter_rows()}
    return tuple(counts.get(at, 0) for at in range(length))


def _correlation(late: JointMoments | None) -> float:
    """Correlate the halves of the units seen in the second one: early, and sum less early."""
    if late is None:
        return 0.0
    whole, early, both = late.cov[0][0], late.cov[2][2], late.cov[0][2]
    after = whole + early - 2 * both
    if early == 0 or after <= _ROUNDING * (whole + early):
        return 0.0
    return max(-1.0, min((both - early) / (sqrt(early) * sqrt(after)), 1.0))


def _days_between(first: Any, day: Any) -> int:
    return int((day - first).days if isinstance(day, date) else day - first)


def _moved(first: Day, days: int) -> Day:
    return first + (timedelta(days) if isinstance(first, date) else days)  # type: ignore[operator]
