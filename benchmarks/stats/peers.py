"""The rules of the peers, asked through their own code.

gbstats takes one look at a time and is called for each. spotify-confidence derives its bounds from
the schedule of looks alone, which all cells share, so they are computed once by its own solver and
set against its own z; `spotify_agrees` compares that with its public call.
"""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
from cells import ALPHA, LOOKS, Array, Paths
from rules import Look, Rule, Stops, first, first_asked

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what the peers' dependencies deprecate is not our matter
    import pandas as pd
    from gbstats.bayesian.tests import EffectBayesianABTest, EffectBayesianConfig
    from gbstats.frequentist.tests import SequentialConfig, SequentialTwoSidedTTest
    from gbstats.models.statistics import ProportionStatistic, SampleMeanStatistic
    from spotify_confidence import ZTest
    from spotify_confidence.analysis.frequentist.confidence_computers import z_test_computer

__all__ = ["PEERS", "spotify_agrees", "spotify_bounds", "statistic"]

_BAYES = EffectBayesianConfig(alpha=ALPHA, difference_type="absolute")
_SEQUENTIAL = SequentialConfig(
    alpha=ALPHA, difference_type="absolute", sequential_tuning_parameter=5000
)


def statistic(arm: Look, *, binary: bool) -> ProportionStatistic | SampleMeanStatistic:
    """Hand an arm to gbstats, as sums."""
    n, mean, var = arm
    if binary:
        return ProportionStatistic(n=n, sum=n * mean)
    return SampleMeanStatistic(n=n, sum=n * mean, sum_squares=(n - 1) * var + n * mean**2)


def gbstats_sequential(paths: Paths) -> Stops:
    """Reject where the sequential interval excludes zero."""

    def decide(control: Look, treatment: Look) -> bool:
        arms = (statistic(arm, binary=paths.cell.binary) for arm in (control, treatment))
        lower, upper = SequentialTwoSidedTTest(*arms, _SEQUENTIAL).compute_result().ci
        return lower > 0 or upper < 0

    return first_asked(paths, decide)


def gbstats_bayes(paths: Paths) -> Stops:
    """Reject where the chance to win leaves 5 to 95 %, which is how a winner is declared."""

    def decide(control: Look, treatment: Look) -> bool:
        arms = (statistic(arm, binary=paths.cell.binary) for arm in (control, treatment))
        return abs(EffectBayesianABTest(*arms, _BAYES).compute_result().chance_to_win - 0.5) > 0.45

    return first_asked(paths, decide)


@cache
def spotify_bounds() -> Array:
    """Solve for the bounds of |z| over the even looks."""
    shares = np.arange(1, LOOKS + 1) / LOOKS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return z_test_computer.sequential_bounds(shares, ALPHA, sides=2).bounds.astype(float)


def _spotify_crossed(paths: Paths) -> np.ndarray:
    square = np.zeros_like(paths.z)
    for arm in (paths.control, paths.treatment):
        square += arm.var * ((arm.n - 1) / arm.n if paths.cell.binary else 1) / arm.n
    effect = np.abs(paths.treatment.mean - paths.control.mean)
    return paths.varied & (effect > spotify_bounds() * np.sqrt(square))


def spotify(paths: Paths) -> Stops:
    """Reject where |z| exceeds the bound of the look."""
    return first(_spotify_crossed(paths))


def spotify_agrees(paths: Paths) -> float:
    """Give the share of looks at which `ZTest.difference` says what `spotify` says."""
    crossed, total = _spotify_crossed(paths), paths.cell.n_control + paths.cell.n_treatment
    same = [
        (_spotify_said(paths, sim, total) == crossed[sim]).mean() for sim in range(len(paths.z))
    ]
    return float(np.mean(same))


def _spotify_said(paths: Paths, sim: int, total: int) -> np.ndarray:
    arms = {"control": paths.control, "treatment": paths.treatment}
    frame = pd.concat(
        pd.DataFrame(
            {
                "arm": name,
                "look": np.arange(LOOKS),
                "n": arm.n,
                "sum": arm.n * arm.mean[sim],
                "squares": (arm.n - 1) * arm.var[sim] + arm.n * arm.mean[sim] ** 2,
                "total": total,
            }
        )
        for name, arm in arms.items()
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        test = ZTest(
            frame,
            numerator_column="sum",
            numerator_sum_squares_column="squares",
            denominator_column="n",
            categorical_group_columns="arm",
            ordinal_group_column="look",
            interval_size=1 - ALPHA,
        )
        said = test.difference(
            level_1="control",
            level_2="treatment",
            groupby="look",
            absolute=True,
            final_expected_sample_size_column="total",
        )
    return said.sort_values("look")["is_significant"].to_numpy(bool)


PEERS: dict[str, Rule] = {
    "gbstats, Bayes 95 %": gbstats_bayes,
    "gbstats sequential": gbstats_sequential,
    "spotify-confidence sequential": spotify,
}
