"""Off-policy values: a finite problem by hand, obp's formulas, simulations from a fixed seed."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import t as student
from scipy.stats import ttest_1samp

from palio.stats.estimate import conclude
from palio.stats.moments import Moments
from palio.stats.policies.off_policy import OffPolicyMethod, off_policy_value

Array = NDArray[np.float64]
METHODS: list[OffPolicyMethod] = ["ips", "snips", "doubly_robust"]

# Two contexts of probability 0.3 and 0.7, three arms. Logging, target and mean reward of each:
CONTEXTS = np.array([0.3, 0.7])
LOGGING = np.array([[0.6, 0.3, 0.1], [0.2, 0.3, 0.5]])
TARGET = np.array([[0.1, 0.2, 0.7], [0.5, 0.5, 0.0]])
REWARD = np.array([[1.0, 2.0, 4.0], [0.0, 3.0, 5.0]])
# By hand: 0.3 (0.1 + 0.4 + 2.8) + 0.7 (0 + 1.5) = 0.99 + 1.05
TRUE_VALUE = 2.04


@dataclass
class Log:
    rewards: Array
    propensities: Array
    targets: Array
    predictions: tuple[Array, Array]

    def value(self, method: OffPolicyMethod, **more: Any) -> Any:
        predictions = self.predictions if method == "doubly_robust" else None
        return off_policy_value(
            self.rewards, self.propensities, self.targets,
            method=method, predictions=predictions, **more,
        )  # fmt: skip


def log_of(rng: np.random.Generator, units: int, *, noise: float = 1.0, model: float = 1.0) -> Log:
    """Draw a log; the model of the reward is the truth times ``model``."""
    x = rng.choice(2, units, p=CONTEXTS)
    arm = (rng.random(units)[:, None] > LOGGING[x].cumsum(axis=1)).sum(axis=1)
    guess = model * REWARD
    under_target = (TARGET * guess).sum(axis=1)
    rewards = REWARD[x, arm] + noise * rng.standard_normal(units)
    return Log(rewards, LOGGING[x, arm], TARGET[x, arm], (guess[x, arm], under_target[x]))


def test_expectation_over_the_finite_problem_is_the_value() -> None:
    """All (context, arm) pairs, each as often as it happens in 1,000 units: mean score is 2.04."""
    counts = np.rint(1_000 * CONTEXTS[:, None] * LOGGING).astype(int).ravel()
    assert counts.tolist() == [180, 90, 30, 140, 210, 350]
    at = np.repeat(np.arange(6), counts)
    under_target = np.repeat((TARGET * 2 * REWARD).sum(axis=1), 3)
    log = Log(
        REWARD.ravel()[at], LOGGING.ravel()[at], TARGET.ravel()[at],
        (2 * REWARD.ravel()[at], under_target[at]),
    )  # fmt: skip
    for method in METHODS:
        assert log.value(method).estimate.effect == pytest.approx(TRUE_VALUE, rel=1e-12)
    assert log.value("ips").mean_weight == pytest.approx(1)
    # by hand: the context and arm of weight 0.7 / 0.1 is the heaviest
    assert log.value("ips").max_weight == pytest.approx(7)
    # by hand: 1000 / sum over pairs of p(x) pi(a|x)^2 / e(a|x), which is 0.3 (1/60 + 4/30 +
    # 4.9) + 0.7 (1.25 + 25/30)
    second = 0.3 * (1 / 60 + 4 / 30 + 4.9) + 0.7 * (1.25 + 25 / 30)
    assert log.value("ips").effective_sample_size == pytest.approx(1_000 / second)


def test_formulas_of_open_bandit_pipeline() -> None:
    """zr-obp, ope/estimators.py: ``iw r``, ``iw r / mean(iw)``, ``iw (r - q) + sum(pi q)``."""
    log = log_of(np.random.default_rng(1), 200, model=0.8)
    w, r, (q, base) = log.targets / log.propensities, log.rewards, log.predictions
    theirs = {"ips": w * r, "snips": w * r / w.mean(), "doubly_robust": w * (r - q) + base}
    for method in METHODS:
        ours = log.value(method)
        assert ours.estimate.effect == pytest.approx(theirs[method].mean(), rel=1e-12)
    for method in ("ips", "doubly_robust"):
        ours = log.value(method, alpha=0.1).estimate
        test = ttest_1samp(theirs[method], 0)  # scipy: the mean of the scores
        assert ours.p_value == pytest.approx(test.pvalue, rel=1e-9)
        bounds = test.confidence_interval(0.9)
        assert (ours.lower, ours.upper) == pytest.approx((bounds.low, bounds.high), rel=1e-9)


def test_self_normalised_variance_is_that_of_a_ratio() -> None:
    """Delta method for mean(w r) / mean(w), from the covariance matrix of (w r, w)."""
    log = log_of(np.random.default_rng(2), 500)
    w = log.targets / log.propensities
    top, bottom = w * log.rewards, w
    slope = np.array([1 / bottom.mean(), -top.mean() / bottom.mean() ** 2])
    expected = sqrt(slope @ np.cov(top, bottom) @ slope / 500)
    assert log.value("snips").estimate.se == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_unbiased_with_intervals_that_cover(method: OffPolicyMethod) -> None:
    """1,000 logs of 2,000 units, a model 30 % off: mean within 4 standard errors, 95 % +- 2."""
    rng, sims = np.random.default_rng(3), 1_000
    found = [log_of(rng, 2_000, model=0.7).value(method).estimate for _ in range(sims)]
    values = np.array([one.effect for one in found])
    assert abs(values.mean() - TRUE_VALUE) < 4 * values.std() / sqrt(sims)
    assert np.mean([one.se for one in found]) == pytest.approx(values.std(), rel=0.08)
    covered = np.mean([one.lower <= TRUE_VALUE <= one.upper for one in found])
    assert covered == pytest.approx(0.95, abs=0.021)  # three standard errors


def test_gain_is_the_difference_to_the_policy_that_ran() -> None:
    """1,000 logs: the one-sample interval of the gain covers 2.04 - 2.86, 95 % +- 2.1."""
    # by hand: 0.3 (0.6 + 0.6 + 0.4) + 0.7 (0 + 0.9 + 2.5) = 2.86
    logged = float((CONTEXTS[:, None] * LOGGING * REWARD).sum())
    assert logged == pytest.approx(2.86)
    rng, covered = np.random.default_rng(4), 0
    for _ in range(1_000):
        gain = log_of(rng, 2_000).value("snips").gain
        half = float(student.ppf(0.975, gain.n - 1)) * sqrt(gain.var / gain.n)
        covered += abs(gain.mean - (TRUE_VALUE - logged)) <= half
    assert covered / 1_000 == pytest.approx(0.95, abs=0.021)


def test_gain_by_hand() -> None:
    found = off_policy_value([1.0, 2.0], [0.5, 0.5], [1.0, 0.0], method="ips")
    assert found.gain == Moments.of([2 * 1 - 1, 0 * 2 - 2])


def test_a_perfect_model_leaves_no_noise_but_the_contexts() -> None:
    """One context, no noise: every score is the value, so nothing is said about its error."""
    arm = np.array([0, 1, 2, 0, 1])
    q = REWARD[0][arm]
    base = np.full(5, float(TARGET[0] @ REWARD[0]))
    found = off_policy_value(
        q, LOGGING[0][arm], TARGET[0][arm], method="doubly_robust", predictions=(q, base)
    )
    assert found.estimate.effect == pytest.approx(3.3)  # by hand: 0.1 + 0.4 + 2.8
    assert found.estimate.se == 0
    assert (found.estimate.lower, found.estimate.upper) == (-inf, inf)
    noisy = [log_of(np.random.default_rng(5), 4_000, model=m) for m in (1.0, 0.5)]
    good, poor = (log.value("doubly_robust").estimate.se for log in noisy)
    assert good < poor < noisy[0].value("ips").estimate.se


def test_clipping_states_its_bias() -> None:
    log = log_of(np.random.default_rng(6), 3_000)
    free, clipped = log.value("ips"), log.value("ips", clip=2.0)
    w = log.targets / log.propensities
    lost = -np.maximum(w - 2, 0) * log.rewards
    assert clipped.bias == pytest.approx(lost.mean())
    assert clipped.estimate.effect == pytest.approx(free.estimate.effect + lost.mean())
    assert clipped.clipped_share == pytest.approx((w > 2).mean())
    assert clipped.max_weight == 2.0
    assert clipped.mean_weight < free.mean_weight == pytest.approx(1, abs=0.1)
    assert clipped.estimate.se < free.estimate.se
    assert clipped.effective_sample_size > free.effective_sample_size
    assert (free.bias, free.clipped_share) == (0, 0)


def test_no_unit_is_the_targets() -> None:
    found = off_policy_value([1.0, 2.0], [0.5, 0.5], [0.0, 0.0], method="ips")
    assert (found.effective_sample_size, found.max_weight, found.estimate.effect) == (0, 0, 0)
    assert found.estimate.p_value == 1
    with pytest.raises(ValueError, match="target_probabilities must be > 0 for one unit at least"):
        off_policy_value([1.0, 2.0], [0.5, 0.5], [0.0, 0.0], method="snips")


def test_a_mean_of_1e9_loses_nothing() -> None:
    """Exchanged with the same rewards less 1e9; 1e-6 of 1 is what 1e9 leaves of a double."""
    log = log_of(np.random.default_rng(7), 2_000)
    far = Log(log.rewards + 1e9, log.propensities, log.targets, log.predictions)
    near, moved = log.value("snips").estimate, far.value("snips").estimate
    assert moved.effect - 1e9 == pytest.approx(near.effect, abs=1e-6)
    assert moved.se == pytest.approx(near.se, rel=1e-6)


units = st.tuples(st.floats(-50, 50), st.floats(0.05, 1), st.floats(0, 1))
logs = st.lists(units, min_size=2, max_size=40).map(lambda rows: np.array(rows).T)
useful = logs.filter(lambda log: bool((log[2] > 1e-3).any()))


@given(logs)
def test_on_policy_it_is_the_sample_mean(log: Array) -> None:
    r, e, _ = log
    plain = conclude(r.mean(), sqrt(Moments.of(r).var / r.size), df=r.size - 1)
    for method in ("ips", "snips"):
        found = off_policy_value(r, e, e, method=method)
        assert found.estimate.effect == pytest.approx(plain.effect, abs=1e-9)
        assert found.estimate.se == pytest.approx(plain.se, abs=1e-9)
        assert found.effective_sample_size == pytest.approx(r.size)
        assert found.gain.mean == pytest.approx(0, abs=1e-9)


@given(useful, st.floats(-50, 50))
def test_properties(log: Array, shift: float) -> None:
    r, e, p = log
    found = off_policy_value(r, e, p)
    assert r.min() - 1e-9 <= found.estimate.effect <= r.max() + 1e-9
    assert found.estimate.lower <= found.estimate.effect <= found.estimate.upper
    assert 0 < found.effective_sample_size <= r.size * (1 + 1e-9)
    assert found.max_weight >= found.mean_weight * (1 - 1e-9)
    moved = off_policy_value(r + shift, e, p)
    assert moved.estimate.effect == pytest.approx(found.estimate.effect + shift, abs=1e-8)
    mirrored = off_policy_value(-r, e, p)
    assert mirrored.estimate.lower == pytest.approx(-found.estimate.upper)


@given(useful, st.floats(0.01, 0.3), st.floats(-5, 5))
def test_p_value_belongs_to_the_interval(log: Array, alpha: float, null: float) -> None:
    found = off_policy_value(*log, alpha=alpha, null=null).estimate
    if abs(found.p_value / alpha - 1) > 1e-6:
        assert (found.p_value <= alpha) == (not found.lower <= null <= found.upper)


def test_more_units_narrow_the_interval() -> None:
    log = log_of(np.random.default_rng(8), 500)
    few = off_policy_value(log.rewards, log.propensities, log.targets)
    many = off_policy_value(*(np.tile(x, 4) for x in (log.rewards, log.propensities, log.targets)))
    assert many.estimate.se == pytest.approx(few.estimate.se / 2, rel=1e-2)
    one_sided = off_policy_value(
        log.rewards, log.propensities, log.targets, alternative="larger"
    ).estimate
    assert (one_sided.lower > few.estimate.lower, one_sided.upper) == (True, inf)


E, P, MODEL = "logged_propensities", "target_probabilities", {"method": "doubly_robust"}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"rewards": [1.0, nan]}, "rewards must be finite, got nan"),
        ({"rewards": [1.0]}, "rewards must hold at least 2 values, got 1"),
        ({E: [0.5, 0.0]}, rf"{E} must be in \(0, 1\], got 0.0 for unit 1"),
        ({E: [1.5, 0.1]}, rf"{E} must be in \(0, 1\], got 1.5 for unit 0"),
        ({E: [0.5, nan]}, f"{E} must be finite"),
        ({E: [0.5]}, f"{E} must hold 2 values, got 1"),
        ({E: [1e-320, 0.5], P: [1, 1]}, "got an overflow"),
        ({"rewards": [1e308, 1e308], E: [0.1, 0.1]}, "got an overflow"),
        ({P: [0.5, 1.01]}, rf"{P} must be in \[0, 1\], got 1.01 for unit 1"),
        ({P: [0.5, inf]}, f"{P} must be finite"),
        ({"method": "dm"}, "method must be ips, snips or doubly_robust, got 'dm'"),
        (MODEL, "predictions must be given for doubly_robust only, got none"),
        ({"predictions": ([1, 1], [1, 1])}, "for doubly_robust only, got some"),
        (MODEL | {"predictions": ([1, nan], [1, 1])}, r"predictions\[0\] must be finite"),
        (MODEL | {"predictions": ([1, 1], [1])}, r"predictions\[1\] must hold 2 values, got 1"),
        ({"clip": 0.0}, "clip must be finite and > 0, got 0"),
        ({"clip": inf}, "clip must be finite and > 0, got inf"),
        ({"alpha": 1.0}, r"alpha must be in \(0, 1\), got 1"),
    ],
)
def test_arguments_outside_the_range_are_named(changed: dict[str, Any], says: str) -> None:
    fine: dict[str, Any] = {"rewards": [1.0, 2.0], E: [0.5, 0.5], P: [0.5, 1.0], "method": "ips"}
    with pytest.raises(ValueError, match=says):
        off_policy_value(**(fine | changed))
