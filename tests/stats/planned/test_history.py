"""Histories: numpy on the same rows is the witness, on every engine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from math import ceil, inf, nan
from typing import Any

import duckdb
import ibis  # type: ignore[import-untyped]  # no stubs
import narwhals as nw
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palio.stats.frames import HEAD
from palio.stats.joint import JointMoments
from palio.stats.planned.history import Forecast, History, forecast, summarize_history
from palio.stats.planned.planning import ONE_LOOK, Baseline, Design, sample_size
from palio.stats.ratios import ratio

Engine = Callable[[pl.DataFrame], Any]

ENGINES: dict[str, Engine] = {
    "pandas": pl.DataFrame.to_pandas,
    "polars": lambda frame: frame,
    "polars lazy": pl.DataFrame.lazy,
    "pyarrow": pl.DataFrame.to_arrow,
    "duckdb": lambda frame: duckdb.connect().from_arrow(frame.to_arrow()),
    "ibis": lambda frame: ibis.memtable(frame.to_arrow()),
}
NAMES = {"unit": "user", "time": "at", "value": "spent"}
DAYS = 21


@pytest.fixture(params=list(ENGINES))
def engine(request: pytest.FixtureRequest) -> Engine:
    return ENGINES[request.param]


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Heights of all that leaves the engine."""
    heights: list[int] = []
    collect = nw.LazyFrame.collect

    def spy(frame: nw.LazyFrame[Any]) -> nw.DataFrame[Any]:
        found = collect(frame)
        heights.append(len(found))
        return found

    monkeypatch.setattr(nw.LazyFrame, "collect", spy)
    return heights


def visits(n: int = 6_000) -> pl.DataFrame:
    """Users of different zeal who return over three weeks; none comes anew on day 3."""
    rng = np.random.default_rng(601)
    users = (1_500 * rng.random(n) ** 2).astype(int)
    days = rng.integers(0, DAYS, n)
    days[:2] = 0, DAYS - 1
    start = datetime(2026, 3, 1)  # noqa: DTZ001 -- columns without a zone
    seconds = rng.integers(0, 86_400, n)
    frame = pl.DataFrame(
        {
            "user": [f"u{user}" for user in users],
            "day": days + 20_000,
            "date": [(start + timedelta(int(day))).date() for day in days],
            "at": [start + timedelta(int(d), int(s)) for d, s in zip(days, seconds, strict=True)],
            "spent": rng.lognormal(users / 2_000, 0.5),
        }
    )  # fmt: skip
    first = frame.group_by("user").agg(pl.col("day").min().alias("first"))
    return frame.join(first, on="user").filter(pl.col("first") != 20_003).drop("first")


def expected(frame: pl.DataFrame) -> History:
    users, index = np.unique(frame["user"].to_numpy(), return_inverse=True)
    day, spent = frame["day"].to_numpy() - 20_000, frame["spent"].to_numpy()
    late = day >= (DAYS + 1) // 2
    size = len(users)
    before = np.bincount(index, spent * ~late, size)
    after = np.bincount(index, spent * late, size)
    seen = np.bincount(index, late, size) > 0
    first = np.full(size, DAYS)
    np.minimum.at(first, index, day)
    return History(
        JointMoments.of(before + after, np.bincount(index, minlength=size)),
        tuple(np.bincount(first, minlength=DAYS).tolist()),
        float(np.corrcoef(before[seen], after[seen])[0, 1]),
    )


@pytest.mark.parametrize("time", ["day", "date", "at"])
def test_equals_numpy_on_every_engine(engine: Engine, time: str) -> None:
    frame = visits()
    theirs = expected(frame)
    found = summarize_history(engine(frame), unit="user", time=time, value="spent")
    assert found.new_units == theirs.new_units
    assert found.new_units[3] == 0
    assert found.units.n == theirs.units.n
    assert found.units.mean == pytest.approx(theirs.units.mean, rel=1e-12)
    assert np.ravel(found.units.cov) == pytest.approx(np.ravel(theirs.units.cov), rel=1e-9)
    assert found.correlation == pytest.approx(theirs.correlation, rel=1e-9)
    assert found.correlation > 0.3  # who spends, spends again


def test_rows_stay_in_the_engine(engine: Engine, collected: list[int]) -> None:
    """One row for the window, the head of the units, two halves, a row a day of arrivals."""
    found = summarize_history(engine(visits()), **NAMES)
    assert found.units.n > HEAD
    days = sum(count > 0 for count in found.new_units)
    assert sorted(collected) == sorted([1, HEAD, 2, days])


@pytest.mark.parametrize("name", ["pandas", "polars", "polars lazy", "pyarrow"])
def test_the_day_is_that_of_the_columns_zone(name: str) -> None:
    """Midnight in Vienna lies between the two, that in UTC after both."""
    times = pl.Series([datetime(2026, 3, 1, hour, 30, tzinfo=UTC) for hour in (22, 23)])
    frame = pl.DataFrame({"user": [1, 2], "spent": [True, False]}).with_columns(
        at=times.dt.convert_time_zone("Europe/Vienna")
    )
    assert summarize_history(ENGINES[name](frame), **NAMES).new_units == (1, 1)


def test_metrics_per_unit_and_per_row() -> None:
    history = expected(visits())
    per_unit, per_row = history.baseline(), history.baseline("row")
    assert per_unit == Baseline.of(history.units.value(0))
    assert per_row == Baseline.of(ratio(history.units))
    assert per_unit.mean == pytest.approx(per_row.mean * history.units.mean[1])


def test_units_seen_in_one_half_only_say_nothing_of_cuped() -> None:
    rows = {"user": [1, 2, 3], "at": [1, 1, 1], "spent": [1.0, 2.0, 4.0]}
    one_day = summarize_history(pl.DataFrame(rows), **NAMES)
    assert (one_day.correlation, one_day.new_units) == (0.0, (3,))
    rows["at"] = [0, 1, 1]
    assert summarize_history(pl.DataFrame(rows), **NAMES).correlation == 0.0


def test_a_half_that_does_not_vary_has_no_correlation() -> None:
    rows = {
        "user": [1, 2, 3] * 2,
        "at": [0] * 3 + [1] * 3,
        "spent": [0.1, 0.2, 0.4, 7.0, 7.0, 7.0],
    }
    assert summarize_history(pl.DataFrame(rows), **NAMES).correlation == 0
    rows["spent"] = [7.0, 7.0, 7.0, 0.1, 0.2, 0.4]
    assert summarize_history(pl.DataFrame(rows), **NAMES).correlation == 0


def test_the_correlation_is_that_of_what_cuped_removes() -> None:
    """A second half that repeats the first leaves no variance."""
    rows = {"user": [1, 2, 3] * 2, "at": [0] * 3 + [1] * 3, "spent": [1.0, 2.0, 4.0] * 2}
    assert summarize_history(pl.DataFrame(rows), **NAMES).correlation == pytest.approx(1)


UNITS = JointMoments.of(np.arange(100.0), np.ones(100))


def test_days_follow_the_curve_and_then_the_last_week() -> None:
    """100 new ones in ten days: 55, 31 and eight days of 2, 2, 2, 2, 2, 2, 2 and 0."""
    history = History(UNITS, (55, 31, 0, 2, 2, 2, 2, 2, 2, 2))
    assert history.days_needed(11) == pytest.approx(0.2)
    assert history.days_needed(55) == 1
    assert history.days_needed(86) == 2
    assert history.days_needed(87) == 3.5  # nobody came on the third day
    assert history.days_needed(100) == 10
    assert history.days_needed(110) == 15  # two a day in the last week
    assert history.days_needed(43, traffic_share=0.5) == 2
    short = History(UNITS, (60, 40))
    assert short.days_needed(200) == 4  # fewer than seven days: all of them


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30), st.floats(0.01, 1), st.data())
def test_the_curve_gives_the_units_back(
    counts: list[int], share: float, data: st.DataObject
) -> None:
    counts[-1] += 2
    n = sum(counts)
    history = History(JointMoments.of(np.arange(n), np.ones(n)), tuple(counts))
    units = data.draw(st.floats(0.01, 3 * n))
    days = history.days_needed(units, traffic_share=share)
    whole, curve = int(days), [0, *accumulate(counts)]
    last = counts[-7:]
    if days < len(counts):
        came = curve[whole] + (days - whole) * counts[whole]
    else:
        came = n + (days - len(counts)) * sum(last) / len(last)
    assert came * share == pytest.approx(units, rel=1e-6)
    assert history.days_needed(2 * units, traffic_share=share) > days


def test_a_forecast_is_the_plan_with_its_days() -> None:
    history = expected(visits())
    found = forecast(history, 0.05, power=0.9, traffic_share=0.5)
    plan = sample_size(history.baseline(), 0.05 * history.baseline().mean, power=0.9)
    assert found == Forecast(
        plan,
        ceil(history.days_needed(plan.units, traffic_share=0.5)),
        history.days_needed(plan.expected_units, traffic_share=0.5),
    )
    assert found.plan.relative == pytest.approx(0.05)
    assert found.expected_days < found.days
    adjusted = forecast(history, 0.05, correlation=history.correlation, power=0.9)
    left = 1 - history.correlation**2
    assert adjusted.plan.units == pytest.approx(left * plan.units, rel=1e-3)
    rows = forecast(history, -0.05, per="row", design=ONE_LOOK)
    assert rows.plan.effect == pytest.approx(-0.05 * history.baseline("row").mean)


def test_a_relative_effect_of_a_negative_mean_points_upwards() -> None:
    history = History(JointMoments.of([-4.0, -3, -2, -1], [1, 1, 1, 1]), (3, 1))
    larger = Design(1, alternative="larger")
    assert forecast(history, 0.5, design=larger).plan.effect == pytest.approx(1.25)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: History(JointMoments.of([1, 2]), (2,)), "units must have 2 values a unit, got 1"),
        (lambda: History(JointMoments.of([1], [1]), (1,)), "units must be a whole number >= 2"),
        (lambda: History(UNITS, (101, -1)), r"new_units\[1\] must be a whole number >= 0, got -1"),
        (lambda: History(UNITS, (99,)), "new_units must sum to 100 units, got 99"),
        (lambda: History(UNITS, (100,), nan), r"correlation must be in \[-1, 1\], got nan"),
        (lambda: History(UNITS, (100,)).baseline("day"), "per must be unit or row, got 'day'"),  # type: ignore[arg-type]
        (lambda: History(UNITS, (100,)).baseline("row").explained(1), "correlation must be in"),
        (lambda: History(UNITS, (100,)).days_needed(0), "units must be finite and > 0, got 0"),
        (lambda: History(UNITS, (100,)).days_needed(inf), "units must be finite and > 0, got inf"),
        (
            lambda: History(UNITS, (100,)).days_needed(1, traffic_share=1.1),
            r"traffic_share must be in \[0, 1\], got 1.1",
        ),
        (
            lambda: History(UNITS, (100,)).days_needed(1, traffic_share=0),
            "traffic_share must be finite and > 0, got 0",
        ),
        (
            lambda: History(UNITS, (100, *[0] * 8)).days_needed(51, traffic_share=0.5),
            "units must be at most 50, for no new ones came in the last 7 days, got 51",
        ),
        (lambda: forecast(History(UNITS, (100,)), nan), "relative must be finite, got nan"),
        (
            lambda: forecast(History(JointMoments.of([-1, 1], [1, 1]), (2,)), 0.1),
            "mean of the history must not be 0 for a relative effect",
        ),
    ],
)
def test_arguments_outside_the_range_are_named(call: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        call()


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ({"unit": "nobody"}, r"column 'nobody' is not in the frame, which has \['user', 'day'"),
        ({"unit": "tags"}, "column 'tags' must hold single values, got List"),
        ({"time": "spent"}, "column 'spent' must hold dates, times or days, got Float64"),
        ({"time": "user"}, "column 'user' must hold dates, times or days, got String"),
        ({"value": "date"}, "column 'date' must hold numbers, got Date"),
    ],
)
def test_columns_that_cannot_be_are_named(names: dict[str, str], says: str) -> None:
    frame = visits(20).with_columns(tags=pl.lit([1]))
    with pytest.raises(ValueError, match=says):
        summarize_history(frame, **(NAMES | names))


def test_what_is_missing_is_counted_and_refused(engine: Engine) -> None:
    days = [date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 3)]
    frame = pl.DataFrame({"user": [1, 2, 3], "at": days, "spent": [1.0, 2.0, 3.0]})
    for column in ("user", "at", "spent"):
        gap = frame.with_columns(pl.when(pl.int_range(3) > 0).then(column).alias(column))
        with pytest.raises(ValueError, match=f"column '{column}' is missing .* in 1 of 3 rows"):
            summarize_history(engine(gap), **NAMES)
    for bad in (nan, inf):
        gap = frame.with_columns(spent=pl.Series([1.0, bad, bad]))
        with pytest.raises(ValueError, match="column 'spent' is missing"):
            summarize_history(engine(gap), **NAMES)


def test_what_is_no_history_is_refused(engine: Engine) -> None:
    with pytest.raises(ValueError, match="frame must have rows, got none"):
        summarize_history(engine(visits(20).clear()), **NAMES)
    with pytest.raises(ValueError, match="units must be a whole number >= 2, got 1"):
        summarize_history(engine(visits(20)[:1]), **NAMES)
    with pytest.raises(ValueError, match="frame must be what narwhals takes, got <class 'dict'>"):
        summarize_history({"user": [1]}, **NAMES)  # type: ignore[arg-type]
