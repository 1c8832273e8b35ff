"""A dataframe gives the report of a live experiment, whatever holds it and however it is asked."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest

import palio
from palio.errors import InvalidInput
from palio.experiments.designs.design import Metrics, Stopping
from palio.experiments.designs.metrics import Direction, Metric
from palio.experiments.events import OutcomeDraft, Prediction
from palio.experiments.judging.analysis import Contrast, DecisionKind, Report, Verdict
from palio.experiments.tables.frames import FrameReport, analyze
from palio.stats import (
    JointMoments,
    LogHistogram,
    Looking,
    cuped,
    quantile_moments,
    ratio,
    report_row,
    sample_ratio,
)
from palio.testing.memory import MemoryStore
from palio.testing.records import design, prediction
from palio.testing.wired import Wired

N = 4_000
SIZES = (1_040, 960)
AT = datetime(2026, 1, 1, tzinfo=UTC)


def table() -> pl.DataFrame:
    """Return 4,000 visits of 2,000 users; B earns more and waits no longer."""
    rng = np.random.default_rng(3)
    # not half and half: at equal sizes the last digit chooses between the guards' variances
    treated = np.repeat(rng.permutation(np.arange(N // 2) < SIZES[1]).astype(int), 2)
    before = np.repeat(rng.normal(50, 10, N // 2), 2)
    return pl.DataFrame({
        "arm": np.where(treated == 1, "B", "A"),
        "user": np.repeat(np.arange(N // 2), 2),
        "country": np.repeat(rng.choice(["AT", "DE", "LU"], N // 2, p=[0.4, 0.57, 0.03]), 2),
        "revenue": before + rng.normal(0, 5, N) + 4.0 * treated,
        "visits": rng.integers(1, 5, N),
        "latency_ms": rng.lognormal(3, 0.5, N),
        "before": before,
        "probability": rng.random(N),
        "label": rng.integers(0, 2, N),
    })  # fmt: skip


TABLE = table()
UNITS = TABLE.group_by("user", "arm", "country").agg(
    pl.col("revenue", "latency_ms", "before").mean(),
    pl.col("visits").sum(),
    pl.col("revenue").sum().alias("total"),
)  # fmt: skip


def asked(frame: Any = TABLE, **more: Any) -> FrameReport:
    plain: dict[str, Any] = {
        "variant": "arm", "control": "A", "metrics": ["revenue:higher"], "unit": "user", "at": AT,
        "min_sample": 100,
    }  # fmt: skip
    return analyze(frame, **(plain | more))


def columns(*names: str) -> list[list[Any]]:
    """Return the unit values of A, then of B."""
    arms = (UNITS.filter(pl.col("arm") == arm) for arm in "AB")
    return [[frame[name].to_numpy() for name in names] for frame in arms]


def same(found: Contrast, row: Any) -> None:
    """Hold a contrast to a row that palio.stats makes of the unit values."""
    for name, expected in (
        ("effect", row.comparison.effect),
        ("lower", row.comparison.lower),
        ("upper", row.comparison.upper),
        ("p_value", row.comparison.p_value),
    ):
        assert getattr(found, name) == pytest.approx(expected, rel=1e-9, abs=1e-12), name
    assert found.fixed is not None
    assert found.fixed.p_value == pytest.approx(row.fixed.p_value, rel=1e-9, abs=1e-12)


def close(found: Iterable[Contrast], expected: Iterable[Contrast]) -> None:
    """Compare contrasts; engines sum in any order, the last digits differ."""
    for one, other in zip(found, expected, strict=True):
        assert (one.metric, one.variant, one.verdict) == (
            other.metric,
            other.variant,
            other.verdict,
        )
        for name in ("effect", "lower", "upper", "p_value"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-9, abs=1e-9)


LOOKING = Looking(planned=200)


def test_it_agrees_with_a_live_experiment() -> None:
    wired = Wired(MemoryStore())
    wired.serve("1", "2")
    wired.run(
        design(
            metrics=Metrics("revenue:higher", ("error",), ("latency_ms",)),
            stopping=Stopping(horizon=3_000, min_sample=100),
        )
    )
    rng, split = random.Random(4), wired.experiments.get("exp").split()
    shown, told, rows = [], [], []
    for place in range(3_000):
        unit = f"u{place % 1_100}"
        variant = split.assign(unit)
        earned = rng.gauss(30, 8) + 3 * (variant == "challenger") if rng.random() < 0.8 else None
        latency = rng.uniform(1, 20)
        shown.append(
            prediction(f"r{place}", unit=unit, experiment="exp", variant=variant, epoch=1,
                       latency_ms=latency)
        )  # fmt: skip
        if earned is not None:
            told.append(OutcomeDraft(request_id=f"r{place}", name="revenue", value=earned))
        rows.append((unit, variant, earned, latency, 0.0))
    with wired.store.write() as unit_of_work:
        unit_of_work.log.append([one for one in shown if isinstance(one, Prediction)])
    wired.outcomes.record(told)
    live = wired.experiments.analyze("exp")
    frame = pl.DataFrame(
        rows, schema=["unit", "variant", "revenue", "latency_ms", "error"], orient="row"
    )
    found = palio.analyze(
        frame, variant="variant", control="control", unit="unit",
        metrics=["revenue:higher", "error"], guardrails=["latency_ms"],
        weights={"control": 0.5, "challenger": 0.5}, horizon=3_000, min_sample=100,
    )  # fmt: skip
    assert isinstance(found, Report)
    assert live.decision.kind is DecisionKind.SHIP
    assert (found.decision.kind, found.decision.variant) == (
        live.decision.kind,
        live.decision.variant,
    )
    assert found.sample_ratio == live.sample_ratio
    assert [arm.units for arm in found.arms] == [arm.units for arm in live.arms]
    for one, other in zip(found.contrasts, live.contrasts, strict=True):
        assert (one.metric, one.role, one.verdict) == (other.metric, other.role, other.verdict)
        for name in ("effect", "lower", "upper", "p_value"):
            ours, theirs = getattr(one, name), getattr(other, name)
            assert ours == (None if theirs is None else pytest.approx(theirs, rel=0, abs=1e-12))


ENGINES: dict[str, Callable[[pl.DataFrame], Any]] = {
    "polars": lambda frame: frame,
    "polars lazy": lambda frame: frame.lazy(),
    "pandas": lambda frame: frame.to_pandas(),
    "pyarrow": lambda frame: frame.to_arrow(),
    "duckdb": lambda frame: duckdb.from_arrow(frame.to_arrow()),
}


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_says_the_same(engine: str) -> None:
    more: dict[str, Any] = {
        "metrics": ["revenue/visits:higher", "revenue:higher", "p95(latency_ms):lower", "brier"],
        "guardrails": ["latency_ms"], "covariates": ["before"], "segment": "country",
    }  # fmt: skip
    holed = TABLE.with_columns(
        pl.when(pl.col("user") % 7 > 0).then(pl.col("revenue")).alias("revenue")
    )
    found, expected = asked(ENGINES[engine](holed), **more), asked(holed, **more)
    assert found.decision.kind == expected.decision.kind
    close(found.contrasts, expected.contrasts)
    assert set(found.segments) == set(expected.segments)
    for name, segment in found.segments.items():
        close(segment.contrasts, expected.segments[name].contrasts)
    assert [arm.metrics["revenue"].n for arm in found.arms] == [
        holed.drop_nulls().filter(pl.col("arm") == arm)["user"].n_unique() for arm in "AB"
    ]


def test_rows_of_a_unit_count_as_one_unit() -> None:
    found = asked(metrics=["revenue:higher"])
    arms = [JointMoments.of(*values).value(0) for values in columns("revenue")]
    same(found.contrasts[0], report_row("revenue", arms[0], arms[1], LOOKING))
    assert [(arm.units, arm.requests) for arm in found.arms] == [(n, 2 * n) for n in SIZES]
    assert asked(unit=None).arms[0].units == 2 * SIZES[0]


def test_a_ratio_is_the_delta_method_over_units() -> None:
    found = asked(metrics=["revenue/visits:higher"])
    arms = [ratio(JointMoments.of(*values)) for values in columns("total", "visits")]
    same(found.contrasts[0], report_row("ratio", arms[0], arms[1], LOOKING))


def test_a_quantile_is_that_of_the_units() -> None:
    found = asked(metrics=["p95(latency_ms):lower"])
    arms = [
        quantile_moments(LogHistogram.of(value, accuracy=0.001), 0.95)
        for (value,) in columns("latency_ms")
    ]
    same(found.contrasts[0], report_row("p95", arms[0], arms[1], LOOKING, better="smaller"))


def test_covariates_narrow_it_and_the_rest_is_told_beside() -> None:
    found = asked(covariates=["before"])
    adjusted = cuped(*(JointMoments.of(*values) for values in columns("revenue", "before")))
    row = report_row("revenue", adjusted.control, adjusted.treatment, LOOKING)
    same(found.contrasts[0], row)
    assert found.variance_removed["revenue"] == pytest.approx(adjusted.variance_removed)
    raw = report_row("revenue", adjusted.raw_control, adjusted.raw_treatment, LOOKING)
    same(found.unadjusted[0], raw)
    assert found.decision.kind is DecisionKind.SHIP


def test_a_ratio_with_covariates_is_cuped_of_its_linearised_values() -> None:
    found = asked(metrics=["revenue/visits:higher"], covariates=["before"])
    arms = []
    for top, bottom, before in columns("total", "visits", "before"):
        mean = top.mean() / bottom.mean()  # Deng, Knoblich and Lu (2018): a value a unit
        arms.append(JointMoments.of(mean + (top - mean * bottom) / bottom.mean(), before))
    adjusted = cuped(*arms)
    same(
        found.contrasts[0], report_row("ratio", adjusted.control, adjusted.treatment, LOOKING)
    )  # fmt: skip


def test_scores_are_those_of_probability_and_label() -> None:
    found = asked(metrics=["brier"], guardrails=["log_loss"], unit=None)
    share, label = TABLE["probability"].to_numpy(), TABLE["label"].to_numpy()
    control = TABLE["arm"].to_numpy() == "A"
    figures = found.arms[0].metrics
    assert figures["brier"].mean == pytest.approx(((share - label) ** 2)[control].mean())
    loss = -np.log(np.where(label == 1, share, 1 - share))  # the definition
    assert figures["log_loss"].mean == pytest.approx(loss[control].mean())


def test_a_cap_holds_for_units() -> None:
    found = asked(caps={"revenue": 60.0})
    expected = [np.minimum(value, 60.0).mean() for (value,) in columns("revenue")]
    assert [arm.metrics["revenue"].mean for arm in found.arms] == pytest.approx(expected)


def test_several_challengers_share_the_budget() -> None:
    third = TABLE.with_columns(
        pl.when(pl.col("user") % 3 == 0).then(pl.lit("C")).otherwise("arm").alias("arm")
    )
    found = asked(third, covariates=["before"])
    assert [arm.variant for arm in found.arms] == ["A", "B", "C"]
    assert {row.alpha for row in found.contrasts} == {0.025}


def test_a_split_that_is_not_as_declared_is_invalid() -> None:
    found = asked(weights={"A": 0.4, "B": 0.6})
    expected = sample_ratio([(dict(zip("AB", SIZES, strict=True)), {"A": 0.4, "B": 0.6})])
    assert found.sample_ratio.p_value == pytest.approx(expected.p_value)
    assert found.decision.kind is DecisionKind.INVALID
    assert asked(weights={"A": 0.5, "B": 0.5}).decision.kind is DecisionKind.SHIP


@pytest.mark.parametrize("engine", ENGINES)
def test_units_in_two_variants_are_left_out_and_make_it_invalid(engine: str) -> None:
    other = {"A": "B", "B": "A"}[TABLE["arm"][0]]
    first = pl.int_range(pl.len()) == 0
    strays = TABLE.with_columns(pl.when(first).then(pl.lit(other)).otherwise("arm").alias("arm"))
    found = asked(ENGINES[engine](strays))
    assert found.decision.kind is DecisionKind.INVALID
    assert [arm.crossovers for arm in found.arms] == [1, 1]
    assert sum(arm.units for arm in found.arms) == N // 2 - 1


@pytest.mark.parametrize("engine", ENGINES)
def test_flags_are_shares_and_variants_may_be_numbers(engine: str) -> None:
    frame = TABLE.with_columns(
        rich=pl.col("revenue") > 50, arm=pl.col("arm").replace_strict({"A": 0, "B": 1})
    )
    found = asked(ENGINES[engine](frame), metrics=["rich:higher"], control=0, unit=None)
    shares = [frame.filter(pl.col("arm") == arm)["rich"].mean() for arm in (0, 1)]
    assert [arm.metrics["rich"].mean for arm in found.arms] == pytest.approx(shares)
    assert [arm.variant for arm in found.arms] == ["0", "1"]


def test_a_large_mean_loses_nothing() -> None:
    found = asked(TABLE.with_columns(pl.col("revenue") + 1e9))
    close_to = asked().contrasts[0]
    assert found.contrasts[0].effect == pytest.approx(close_to.effect, abs=1e-6)
    assert found.contrasts[0].lower == pytest.approx(close_to.lower, abs=1e-5)


def test_a_guardrail_may_have_a_margin() -> None:
    slower = TABLE.with_columns(
        latency_ms=pl.col("latency_ms") * pl.when(pl.col("arm") == "B").then(1.3).otherwise(1.0)
    )
    strict = asked(slower, guardrails=["latency_ms"])
    assert strict.decision.kind is DecisionKind.ROLLBACK
    lenient = asked(slower, guardrails=[Metric("latency_ms", Direction.LOWER, margin=0.5)])
    assert lenient.decision.kind is DecisionKind.SHIP


def test_segments_share_one_error_budget() -> None:
    found = asked(segment="country")
    assert found.left_out == ("LU",)
    assert found.segment_alpha == 0.025
    assert set(found.segments) == {"AT", "DE"}
    alone = asked(TABLE.filter(pl.col("country") == "DE"), alpha=0.025)
    close(found.segments["DE"].contrasts, alone.contrasts)
    close(found.contrasts, asked().contrasts)


def test_false_verdicts_stay_below_alpha_under_the_null() -> None:
    # 400 tables without an effect, alpha 0.05: above 0.05 + 3 standard errors (0.033) is wrong
    rng, wrong = np.random.default_rng(11), 0
    for _ in range(400):
        frame = pl.DataFrame({"arm": np.tile(["A", "B"], 200), "y": rng.normal(size=400)})
        found = analyze(frame, variant="arm", control="A", metrics=["y:higher"], min_sample=100)
        wrong += found.contrasts[0].verdict in (Verdict.BETTER, Verdict.WORSE)
    assert wrong / 400 <= 0.083


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"control": "Z"}, "control 'Z' is no value of arm, which has A, B"),
        ({"metrics": []}, "metrics must name the goal"),
        ({"metrics": ["profit:higher"]}, "'profit' is no column; the table has arm"),
        ({"metrics": ["revenue"]}, "'revenue' is no metric"),
        ({"metrics": ["country:higher"]}, "'country' must hold numbers"),
        ({"metrics": ["a/b/c:higher"]}, "more than one /"),
        ({"metrics": ["p0(revenue):higher"]}, "between p1 and p99.9"),
        ({"metrics": ["revenue:higher", "revenue:lower"]}, "named twice: revenue"),
        ({"variant": "group"}, "variant 'group' is no column"),
        ({"covariates": ["revenue"]}, "covariates must be known before"),
        ({"caps": {"before": 1.0}}, "caps must name metrics, got 'before'"),
        ({"weights": {"A": 0.5, "B": 0.4}}, "sum to 1"),
        ({"weights": {"A": 1.0}}, "weights must be shares of A, B"),
        ({"alpha": 0.9}, "alpha must be in"),
        ({"segment": "visits", "alpha": 0.03}, "4 segments, and alpha 0.03 is enough for 3"),
    ],
)
def test_what_cannot_be_answered_is_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message.replace("(", r"\(").replace(")", r"\)")):
        asked(**more)


def test_gaps_where_none_may_be_are_named() -> None:
    with pytest.raises(InvalidInput, match="dataframe that narwhals takes, got list"):
        asked([1, 2])
    holed = TABLE.with_columns(pl.when(pl.col("user") > 3).then(pl.col("before")).alias("before"))
    with pytest.raises(InvalidInput, match="'before' is missing"):
        asked(holed, covariates=["before"])
    known = pl.when(pl.col("user") > 3)
    for frame in ENGINES.values():
        for column in ("arm", "user"):
            nobody = TABLE.with_columns(known.then(pl.col(column)).alias(column))
            with pytest.raises(InvalidInput, match=f"{column} is missing in 8 rows"):
                asked(frame(nobody))
    nameless = TABLE.with_columns(pl.col("latency_ms") * float("inf"))
    with pytest.raises(InvalidInput, match="latency_ms"):
        asked(nameless, metrics=["p95(latency_ms):lower"])
