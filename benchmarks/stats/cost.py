"""What one analysis call costs, from sufficient statistics, one after the other in one process."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from statistics import median
from time import perf_counter

import numpy as np
import pandas as pd
from cells import ALPHA, LOOKS
from gbstats.frequentist.tests import SequentialConfig, SequentialTwoSidedTTest
from peers import statistic
from sections import Measured, Section, table
from spotify_confidence import ZTest
from spotify_confidence.analysis.frequentist.confidence_computers import z_test_computer
from tea_tasting import Mean
from tea_tasting.aggr import Aggregates

from palio.stats import JointMoments, Looking, Moments, compare, report_row

__all__ = ["section"]

CONTROL, TREATMENT = (5000, 0.10, 1.0), (5000, 0.13, 1.0)  # n, mean, var
COVARIATE = 0.5, 2.0, 0.9  # mean, var, covariance with the metric
TARGET_US, ROW_TARGET_US = 5.0, 100.0
ROW, COVERED_ROW = "Palio, a whole report row", "Palio, a whole report row with CUPED"
BATCH_S = 0.02
ROUNDS = 15


def time_us(call: Callable[[], object]) -> float:
    """Give the median time of a call over rounds of at least 20 ms each."""
    call()
    start = perf_counter()
    call()
    repeats = max(1, int(BATCH_S / max(perf_counter() - start, 1e-7)))
    found = []
    for _ in range(ROUNDS if repeats > 1 else 3):
        start = perf_counter()
        for _ in range(repeats):
            call()
        found.append((perf_counter() - start) / repeats)
    return 1e6 * median(found)


def _calls() -> dict[str, Callable[[], object]]:
    control, treatment = Moments(*CONTROL), Moments(*TREATMENT)
    config = SequentialConfig(alpha=ALPHA, difference_type="absolute")
    sums = [statistic(arm, binary=False) for arm in (CONTROL, TREATMENT)]
    aggregates = [
        Aggregates(count_=n, mean_={"x": mean}, var_={"x": var}, cov_={})
        for n, mean, var in (CONTROL, TREATMENT)
    ]
    covered, looking = (
        [_with_covariate(arm) for arm in (CONTROL, TREATMENT)],
        Looking(horizon=20_000),
    )
    metric, shares = Mean("x"), np.arange(1, LOOKS + 1) / LOOKS
    return {
        "Palio `compare`": lambda: compare(control, treatment, horizon=20_000),
        "Palio `compare`, `Moments` included": lambda: compare(
            Moments(*CONTROL), Moments(*TREATMENT), horizon=20_000
        ),
        ROW: lambda: report_row("x", control, treatment, looking),
        COVERED_ROW: lambda: report_row("x", *covered, looking),
        "gbstats sequential": lambda: SequentialTwoSidedTTest(*sums, config).compute_result(),
        "gbstats sequential, statistics included": lambda: SequentialTwoSidedTTest(
            *(statistic(arm, binary=False) for arm in (CONTROL, TREATMENT)), config
        ).compute_result(),
        "tea-tasting `Mean`, one look": lambda: metric.analyze_aggregates(*aggregates),
        "spotify-confidence `ZTest`, one look": _spotify,
        "spotify-confidence, bounds of 100 looks": lambda: z_test_computer.sequential_bounds(
            shares, ALPHA, sides=2
        ),
    }


def _with_covariate(arm: tuple[int, float, float]) -> JointMoments:
    (n, mean, var), (other, spread, shared) = arm, COVARIATE
    return JointMoments(n, (mean, other), ((var, shared), (shared, spread)))


def _spotify() -> object:
    frame = pd.DataFrame(
        {
            "arm": ["control", "treatment"],
            "n": [n for n, _, _ in (CONTROL, TREATMENT)],
            "sum": [n * mean for n, mean, _ in (CONTROL, TREATMENT)],
            "squares": [(n - 1) * var + n * mean**2 for n, mean, var in (CONTROL, TREATMENT)],
        }
    )
    test = ZTest(
        frame,
        numerator_column="sum",
        numerator_sum_squares_column="squares",
        denominator_column="n",
        categorical_group_columns="arm",
    )
    return test.difference(level_1="control", level_2="treatment", absolute=True)


def section(_: Measured) -> Section:
    """Time each call in turn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {name: time_us(call) for name, call in _calls().items()}
    ours = next(iter(found.values()))
    rows = [[name, f"{us:,.1f}", f"{us / ours:,.1f}"] for name, us in found.items()]
    text = (
        "One metric, two arms, median of repeated calls in one process with nothing beside.\n"
        f"Target: at most {TARGET_US:.0f} µs for `compare`, {_verdict(ours, TARGET_US)}; at most "
        f"{ROW_TARGET_US:.0f} µs\nfor a whole row of a report with a covariate, "
        f"{_verdict(found[COVERED_ROW], ROW_TARGET_US)}.\n\n"
        + table(["call", "µs", "ratio to Palio"], rows)
    )
    return Section("Cost of one call", text, {name: round(us, 3) for name, us in found.items()})


def _verdict(found: float, target: float) -> str:
    return "reached" if found <= target else "**missed**"
