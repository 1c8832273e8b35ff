"""What the room refuses, over all its methods: the argument, the value and the range are named."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan
from typing import Any

import numpy as np
import pytest

from palio import stats
from palio.stats import JointMoments, Moments

ARM, OTHER = Moments(500, 1.0, 2.0), Moments(400, 1.1, 2.0)
JOINT = JointMoments(500, (1.0, 2.0), ((2.0, 0.5), (0.5, 1.0)))
LABELS, SCORES = np.tile([0, 1], 50), np.linspace(0.1, 0.9, 100)
HISTOGRAM = stats.LogHistogram.of(np.linspace(1, 100, 500))
CURVE = stats.auc(LABELS, SCORES)
BINS = stats.CalibrationBins.of(LABELS, SCORES, edges=[0.5])
BASE = stats.Baseline.of_rate(0.1)
RETURNS = stats.ReturnMoments.of(np.sin(np.arange(100)))

Call = Callable[[Any], object]

AT_ALPHA: dict[str, Call] = {
    "compare": lambda x: stats.compare(ARM, OTHER, horizon=10_000, alpha=x),
    "compare without a horizon": lambda x: stats.compare(ARM, OTHER, planned=1_000, alpha=x),
    "compare_paired": lambda x: stats.compare_paired(ARM, horizon=10_000, alpha=x),
    "welch": lambda x: stats.welch(ARM, OTHER, alpha=x),
    "relative": lambda x: stats.relative(ARM, OTHER, alpha=x),
    "one_sample": lambda x: stats.one_sample(ARM, alpha=x),
    "conclude": lambda x: stats.conclude(1.0, 1.0, alpha=x),
    "equivalence": lambda x: stats.equivalence(1.0, 1.0, low=-1, high=1, alpha=x),
    "wilson": lambda x: stats.wilson(3, 10, alpha=x),
    "two_proportions": lambda x: stats.two_proportions(3, 10, 4, 10, alpha=x),
    "relative_risk": lambda x: stats.relative_risk(3, 10, 4, 10, alpha=x),
    "mann_whitney": lambda x: stats.mann_whitney(SCORES, SCORES + 0.1, alpha=x),
    "brunner_munzel": lambda x: stats.brunner_munzel(SCORES, SCORES + 0.1, alpha=x),
    "mcnemar": lambda x: stats.mcnemar(3, 5, n=20, alpha=x),
    "worst_segment": lambda x: stats.worst_segment({"a": (ARM, OTHER)}, alpha=x),
    "quantile_difference": lambda x: stats.quantile_difference(HISTOGRAM, HISTOGRAM, 0.5, alpha=x),
    "auc_estimate": lambda x: stats.auc_estimate(CURVE, alpha=x),
    "auc_difference": lambda x: stats.auc_difference(CURVE, CURVE, alpha=x),
    "calibration_error": lambda x: stats.calibration_error(BINS, alpha=x),
    "calibration_difference": lambda x: stats.calibration_difference(BINS, BINS, alpha=x),
    "compare_scores": lambda x: stats.compare_scores(LABELS, SCORES, SCORES[::-1], alpha=x),
    "rate_sequence": lambda x: stats.rate_sequence(3, 10, alpha=x),
    "spending_bounds": lambda x: stats.spending_bounds([0.5, 1.0], alpha=x),
    "e_bh": lambda x: stats.e_bh([10.0, 2.0], alpha=x),
    "sharpe": lambda x: stats.sharpe(RETURNS, alpha=x),
    "win_rate": lambda x: stats.win_rate(3, 10, alpha=x),
    "sample_size": lambda x: stats.sample_size(BASE, 0.01, design=stats.Design(alpha=x)),
}


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, 1.5, nan, inf])
@pytest.mark.parametrize("call", AT_ALPHA.values(), ids=AT_ALPHA)
def test_alpha_outside_0_and_1(call: Call, alpha: float) -> None:
    with pytest.raises(ValueError, match=rf"alpha must be .*\d.*, got {alpha}"):
        call(alpha)


TOO_FEW: dict[str, tuple[Call, str]] = {
    "welch": (lambda n: stats.welch(Moments(n, 1.0, 0.0), ARM), "n of control"),
    "relative": (lambda n: stats.relative(ARM, Moments(n, 1.0, 0.0)), "n of treatment"),
    "one_sample": (lambda n: stats.one_sample(Moments(n, 1.0, 0.0)), "n"),
    "cuped": (lambda n: stats.cuped(JointMoments(n, (1.0, 0.0), ((0, 0), (0, 0))), JOINT), "n of"),
    "lin": (lambda n: stats.lin(JointMoments(n, (1.0, 0.0), ((0, 0), (0, 0))), JOINT), "n of"),
    "ratio": (lambda n: stats.ratio(JointMoments(n, (1.0, 1.0), ((0, 0), (0, 0)))), "n"),
    "post_stratify": (lambda n: stats.post_stratify([(Moments(n, 1.0, 0.0), ARM)]), "n of"),
    "heterogeneity": (lambda n: stats.heterogeneity([(Moments(n, 1.0, 0.0), ARM)]), "n of"),
}


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize(("call", "named"), TOO_FEW.values(), ids=TOO_FEW)
def test_n_below_2(call: Call, named: str, n: int) -> None:
    with pytest.raises(ValueError, match=rf"{named}.* must be .*, got {n}"):
        call(n)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: Moments(5, 1.0, -1.0), "var must be finite and >= 0, got -1"),
        (lambda: JointMoments(5, (1.0,), ((-1.0,),)), r"cov\[0\]\[0\] must be finite and >= 0"),
        (lambda: stats.Baseline(1.0, -2.0), "var must be finite and > 0, got -2"),
        (lambda: stats.conclude(1.0, -1.0), "se must be finite and >= 0, got -1"),
        (lambda: stats.wilson(11, 10), r"successes must be .*10.*, got 11"),
        (lambda: stats.two_proportions(1, 10, 12, 10), r"successes_t must be .*10.*, got 12"),
        (lambda: stats.relative_risk(12, 10, 1, 10), r"successes_c must be .*10.*, got 12"),
        (lambda: stats.rate_sequence(11, 10), r"successes must be .*10.*, got 11"),
        (lambda: stats.win_rate(11, 10), r"wins must be .*10.*, got 11"),
        (lambda: stats.beta_posterior(11, 10), r"successes must be .*10.*, got 11"),
        (lambda: stats.BinaryEProcess().update(2, 0), r"successes_control.* got 2"),
        (
            lambda: stats.post_stratify([(ARM, OTHER)] * 2, weights=[0.5, 0.4]),
            "weights must sum to 1, got 0.9",
        ),
        (
            lambda: stats.sample_ratio([({"a": 1}, {"a": 0.5, "b": 0.4})]),
            "weights must sum to 1, got 0.9",
        ),
        (lambda: stats.relative(Moments(9, 0.0, 1.0), ARM), "mean of control must .*, got 0.0"),
        (lambda: stats.relative_moments(Moments(9, 0.0, 1.0), ARM), "mean of control .*, got 0.0"),
        (lambda: stats.ratio(JointMoments(9, (1.0, 0.0), ((1, 0), (0, 1)))), "got 0.0"),
        (
            lambda: stats.AdaptiveSums.of([1.0], [0], [0.0, 1.0], means=[0.0, 0.0]),
            "propensities.* got 0",
        ),
        (lambda: stats.off_policy_value([1.0, 2.0], [0.5, 0.0], [1.0, 1.0]), "got 0"),
    ],
)
def test_what_else_cannot_be(call: Callable[[], object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        call()


OF_VALUES: dict[str, Call] = {
    "Moments.of": Moments.of,
    "JointMoments.of": JointMoments.of,
    "LogHistogram.of": stats.LogHistogram.of,
    "ReturnMoments.of": stats.ReturnMoments.of,
    "mann_whitney": lambda x: stats.mann_whitney(x, SCORES),
    "auc": lambda x: stats.auc([0, 1, 1], x),
    "paired_loss": lambda x: stats.paired_loss("squared_error", [0, 1, 1], x, [0.1, 0.2, 0.3]),
    "off_policy_value": lambda x: stats.off_policy_value(x, [0.5] * 3, [0.5] * 3),
    "maximum_drawdown": stats.maximum_drawdown,
}


@pytest.mark.parametrize("value", [nan, inf, -inf])
@pytest.mark.parametrize("call", OF_VALUES.values(), ids=OF_VALUES)
def test_values_that_are_no_numbers(call: Call, value: float) -> None:
    with pytest.raises(ValueError, match=r"finite|must be in"):
        call([0.1, value, 0.2])


@pytest.mark.parametrize("value", [nan, inf, -inf])
@pytest.mark.parametrize(
    "call",
    [
        lambda x: Moments(5, x, 1.0),
        lambda x: Moments(5, 1.0, x),
        lambda x: stats.conclude(x, 1.0),
        lambda x: stats.conclude(1.0, x),
        lambda x: stats.compare(ARM, OTHER, horizon=1_000, null=x),
        lambda x: stats.normal_posterior(x, 1.0),
        lambda x: stats.sample_size(BASE, x),
        lambda x: stats.adjust([0.1, x], "holm"),
    ],
)
def test_arguments_that_are_no_numbers(call: Call, value: float) -> None:
    with pytest.raises(ValueError, match=rf"got {value}"):
        call(value)
