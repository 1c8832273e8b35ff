"""Paired comparison: scikit-learn's losses, scipy's and statsmodels' tests are the witnesses."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, inf, log, nan, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import beta, binom, binomtest, multinomial
from sklearn.metrics import (
    brier_score_loss,
    log_loss,
    mean_absolute_error,
    mean_squared_error,
    zero_one_loss,
)  # fmt: skip
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_statsmodels

from palio.stats.moments import Moments
from palio.stats.quality.paired import Loss, mcnemar, mcnemar_evalue, paired_loss

Array = NDArray[np.float64]


def two_models(rng: np.random.Generator, n: int) -> tuple[Array, Array, Array]:
    """Labels and the scores of two similar models on the same requests, the second better."""
    signal = rng.standard_normal(n) * 1.5
    labels = (rng.random(n) < expit(signal)).astype(float)
    one, two = (expit(signal + noise * rng.standard_normal(n)) for noise in (0.7, 0.5))
    return labels, one, two


WITNESSES: dict[Loss, Callable[[Array, Array], float]] = {
    "brier": brier_score_loss,
    "log_loss": log_loss,
    "squared_error": mean_squared_error,
    "absolute_error": mean_absolute_error,
    "error": lambda labels, scores: zero_one_loss(labels, scores >= 0.3),
}

ROWS: dict[Loss, Callable[[Array, Array], Array]] = {
    "brier": lambda y, s: (s - y) ** 2,
    "log_loss": lambda y, s: -(y * np.log(s) + (1 - y) * np.log(1 - s)),
    "squared_error": lambda y, s: (s - y) ** 2,
    "absolute_error": lambda y, s: np.abs(s - y),
    "error": lambda y, s: ((s >= 0.3) != y).astype(float),
}


@pytest.mark.parametrize("kind", WITNESSES)
def test_mean_is_the_difference_of_the_losses(kind: Loss) -> None:
    labels, one, two = two_models(np.random.default_rng(1), 500)
    if kind in {"squared_error", "absolute_error"}:
        labels, one, two = labels * 7 - 3, one * 7 - 3, two * 7 - 3
    found = paired_loss(kind, labels, one, two, threshold=0.3)
    expected = WITNESSES[kind](labels, two) - WITNESSES[kind](labels, one)
    assert found.mean == pytest.approx(expected, rel=1e-9)
    rows = ROWS[kind](labels, two) - ROWS[kind](labels, one)
    assert found.var == pytest.approx(rows.var(ddof=1), rel=1e-9)
    assert found.n == 500
    swapped = paired_loss(kind, labels, two, one, threshold=0.3)
    assert swapped.mean == pytest.approx(-found.mean, rel=1e-12)


@pytest.mark.parametrize("kind", WITNESSES)
def test_chunks_merge(kind: Loss) -> None:
    labels, one, two = two_models(np.random.default_rng(2), 90)
    parts = [paired_loss(kind, labels[at], one[at], two[at])
             for at in (slice(0), slice(40), slice(40, 90))]  # fmt: skip
    merged, whole = parts[0].merge(parts[1]).merge(parts[2]), paired_loss(kind, labels, one, two)
    assert parts[0] == Moments(0, 0.0, 0.0)
    assert (merged.mean, merged.var) == pytest.approx((whole.mean, whole.var), rel=1e-9)


def test_nothing_is_lost_far_from_zero_and_near_the_edge() -> None:
    """Exact in integers: (1e8 + 1)^2 - (1e8)^2 = 2e8 + 1. And ln(1e-300) by itself."""
    assert paired_loss("squared_error", [0.0], [1e8], [1e8 + 1]).mean == 2e8 + 1
    found = paired_loss("log_loss", [1, 0, 1, 0], [1e-300, 1e-20, 1, 0], [1, 0, 1, 0])
    assert found.mean == pytest.approx((log(1e-300) - 1e-20) / 4, rel=1e-12)
    assert paired_loss("log_loss", [0], [0], [1e-20]).mean == pytest.approx(1e-20, rel=1e-12)


def test_paired_requests_need_a_fraction_of_the_traffic() -> None:
    """Brier score of two similar models: the ratio of required n is the ratio of variances.

    Requests for 80 % power at 5 % two-sided, z = 1.95996 + 0.84162 (normal quantiles): unpaired
    n = (var_c + var_t) (z / effect)^2 in each arm, paired var_d (z / effect)^2 in all. Variances
    from 400,000 requests; the powers of 2,000 experiments each, seed 4, are .8 +- 4 errors.
    """
    rng, sims = np.random.default_rng(3), 2_000
    labels, one, two = two_models(rng, 400_000)
    loss_c, loss_t = (Moments.of((scores - labels) ** 2) for scores in (one, two))
    paired = paired_loss("brier", labels, one, two)
    assert paired.mean == pytest.approx(loss_t.mean - loss_c.mean, rel=1e-9)
    scale = ((1.95996 + 0.84162) / paired.mean) ** 2
    arm, requests = round((loss_c.var + loss_t.var) * scale), round(paired.var * scale)
    assert requests / arm == pytest.approx(0.229, abs=0.005)  # of one arm; 0.114 of both
    apart, together = 0, 0
    rng = np.random.default_rng(4)
    for _ in range(sims):
        y, s, t = two_models(rng, requests)
        mean = paired_loss("brier", y, s, t)
        together += abs(mean.mean) > 1.95996 * sqrt(mean.var / mean.n)
    for _ in range(sims // 4):
        (y_c, s, _), (y_t, _, t) = two_models(rng, arm), two_models(rng, arm)
        a, b = Moments.of((s - y_c) ** 2), Moments.of((t - y_t) ** 2)
        apart += abs(b.mean - a.mean) > 1.95996 * sqrt((a.var + b.var) / arm)
    assert together / sims == pytest.approx(0.8, abs=4 * sqrt(0.16 / sims))
    assert apart / (sims // 4) == pytest.approx(0.8, abs=4 * sqrt(0.16 / (sims // 4)))


counts = st.tuples(st.integers(0, 200), st.integers(0, 200), st.integers(1, 2_000))


@given(counts)
def test_the_p_value_is_the_exact_binomial_one(at: tuple[int, int, int]) -> None:
    b, c, same = at
    ours = mcnemar(b, c, n=b + c + same)
    theirs = mcnemar_statsmodels([[same, b], [c, 0]], exact=True)
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-9)
    if b + c:
        for ours_side, theirs_side in (("larger", "greater"), ("smaller", "less")):
            one = mcnemar(b, c, n=b + c + same, alternative=ours_side)
            test = binomtest(c, b + c, alternative=theirs_side)
            assert one.p_value == pytest.approx(test.pvalue, rel=1e-9)


def test_interval_of_a_published_table() -> None:
    """R's contingencytables (tests of chapter 8) on the 161 pairs of Cavo et al. (2012), 6 and
    16 in dispute: exact p 0.052479, Bonett-Price -0.0621 (-0.1195 to -0.0032).

    Also the one case in which the interval says more than the exact p-value, as documented.
    """
    found = mcnemar(16, 6, n=161)
    assert found.p_value == pytest.approx(0.052479, abs=5e-7)
    assert (found.effect, found.lower, found.upper) == pytest.approx(
        (-0.0621, -0.1195, -0.0032), abs=5e-5
    )


@given(counts, st.floats(0.001, 0.9))
def test_interval_properties(at: tuple[int, int, int], alpha: float) -> None:
    b, c, same = at
    n = b + c + same
    found, mirrored = mcnemar(b, c, n=n, alpha=alpha), mcnemar(c, b, n=n, alpha=alpha)
    assert -1 <= found.lower <= found.effect <= found.upper <= 1
    assert (mirrored.lower, mirrored.upper) == pytest.approx((-found.upper, -found.lower))
    more = mcnemar(9 * b, 9 * c, n=9 * n, alpha=alpha)
    assert more.upper - more.lower < found.upper - found.lower
    for alternative, bound in (("larger", found.lower), ("smaller", found.upper)):
        one = mcnemar(b, c, n=n, alpha=min(alpha / 2, 0.5), alternative=alternative)
        bounds = {"larger": one.lower, "smaller": one.upper}
        assert max(-1, min(1, bounds[alternative])) == pytest.approx(bound)
        assert inf in {-one.lower, one.upper}
        assert one.lower <= one.effect <= one.upper


@pytest.mark.parametrize("only", [(0, n) for n in (1, 2, 5)] + [(n, 0) for n in (1, 2, 5)])
def test_the_interval_holds_the_effect_at_the_edge(only: tuple[int, int]) -> None:
    """Where it is shrunk most: all in dispute and on one side, with a wide alpha."""
    for alternative in ("two-sided", "larger", "smaller"):
        found = mcnemar(*only, n=sum(only), alpha=0.9, alternative=alternative)
        assert found.lower <= found.effect <= found.upper


@pytest.mark.parametrize("shares", [(0.02, 0.02), (0.1, 0.1), (0.05, 0.2), (0.0, 0.1)])
def test_the_interval_covers(shares: tuple[float, float]) -> None:
    """Exact by enumeration of all tables of 60 pairs: at least 93.5 % at a nominal 95 %."""
    n, covered = 60, 0.0
    for b in range(n + 1):
        for c in range(n + 1 - b):
            chance = multinomial.pmf([b, c, n - b - c], n, [*shares, 1 - sum(shares)])
            if chance > 1e-9:
                found = mcnemar(b, c, n=n)
                covered += chance * (found.lower <= shares[1] - shares[0] <= found.upper)
    assert covered >= 0.935


@pytest.mark.parametrize("prior", [0.5, 1.0, 20.0])
@pytest.mark.parametrize("alternative", ["two-sided", "larger", "smaller"])
def test_the_evalue_is_the_mixture_of_likelihood_ratios(prior: float, alternative: Any) -> None:
    """Numerical integration over the prior, cut to its side and made whole again."""
    low, high = {"two-sided": (0, 1), "larger": (0.5, 1), "smaller": (0, 0.5)}[alternative]
    sides = 1 / (high - low)
    for b, c in ((0, 0), (3, 9), (40, 35)):
        mixed, _ = quad(
            lambda q, b=b, c=c: (2 * q) ** c * (2 * (1 - q)) ** b * beta.pdf(q, prior, prior),
            low, high, epsabs=0, epsrel=1e-10, limit=200,
        )  # fmt: skip
        found = mcnemar_evalue(b, c, prior=prior, alternative=alternative)
        assert found.log_evalue == pytest.approx(log(sides * mixed), rel=1e-6, abs=1e-6)
        assert found.p_value == pytest.approx(min(1, 1 / (sides * mixed)), rel=1e-6)


def log_evalues(m: int, alternative: Any) -> Array:
    return np.array(
        [mcnemar_evalue(m - c, c, alternative=alternative).log_evalue for c in range(m + 1)]
    )


@pytest.mark.parametrize("alternative", ["two-sided", "larger", "smaller"])
@pytest.mark.parametrize("m", [1, 10, 300])
def test_the_evalue_is_1_on_average_without_a_difference(m: int, alternative: Any) -> None:
    """The exact expectation over the binomial; on the far side of a one-sided null below 1."""
    e = np.exp(log_evalues(m, alternative))
    assert binom.pmf(np.arange(m + 1), m, 0.5) @ e == pytest.approx(1, rel=1e-9)
    far = {"larger": 0.4, "smaller": 0.6}.get(alternative)
    if far:
        assert binom.pmf(np.arange(m + 1), m, far) @ e < 1


@pytest.mark.parametrize("alternative", ["two-sided", "larger"])
def test_constant_looking_keeps_the_error_rate_exactly(alternative: Any) -> None:
    """The probability of p <= 5 % after any of 400 disputes, by recursion, not simulation."""
    alive, crossed = np.array([1.0]), 0.0
    for m in range(1, 401):
        alive = 0.5 * (np.append(alive, 0) + np.append(0, alive))
        over = np.exp(-log_evalues(m, alternative)) <= 0.05
        crossed += alive[over].sum()
        alive[over] = 0
    assert 0.02 <= crossed <= 0.05
    assert alive.sum() + crossed == pytest.approx(1)


def test_a_difference_is_found_and_counts_of_millions_are_fine() -> None:
    assert mcnemar_evalue(60, 20).p_value < 0.001
    assert mcnemar_evalue(60, 20, alternative="smaller").p_value < 0.001
    far = mcnemar_evalue(10**6, 1, alternative="larger")
    assert (far.log_evalue, far.p_value) == (-inf, 1.0)
    assert mcnemar_evalue(10**7, 0).p_value == 0.0
    even = mcnemar_evalue(10**6, 10**6)
    # Stirling: B(n + 1, n + 1) 4^n is sqrt(pi / n) / 2 but for 1 in n
    assert exp(even.log_evalue) == pytest.approx(sqrt(np.pi / 10**6) / 2, rel=1e-5)


@pytest.mark.parametrize(
    ("kind", "labels", "scores", "says"),
    [
        ("hinge", [1], [1], "kind must be one of brier, log_loss, .* got 'hinge'"),
        ("brier", [2], [1], "labels must be 0 or 1 for brier"),
        ("error", [0.5], [1], "labels must be 0 or 1 for error"),
        ("brier", [1], [1.5], r"control_scores must be in \[0, 1\] for brier"),
        ("log_loss", [1], [-0.1], r"control_scores must be in \[0, 1\] for log_loss"),
        ("brier", [1, 0], [1], "control_scores must hold 2 values as labels do, got 1"),
        ("squared_error", [nan], [1], "labels must be finite"),
        ("absolute_error", [1], [inf], "control_scores must be finite"),
        ("log_loss", [1, 1], [0.5, 0], "control_scores must not rule out .* got 0 at 1 .* is 1"),
        ("log_loss", [0], [1], "control_scores must not rule out .* got 1 at 0 .* label is 0"),
    ],
)
def test_losses_outside_the_range_are_named(
    kind: Any, labels: list[float], scores: list[float], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        paired_loss(kind, labels, scores, [0.5] * len(labels))


def test_treatment_threshold_and_overflow_are_checked_too() -> None:
    with pytest.raises(ValueError, match=r"treatment_scores must be in \[0, 1\] for brier"):
        paired_loss("brier", [1], [1], [2])
    with pytest.raises(ValueError, match=r"threshold must be in \[0, 1\], got 2"):
        paired_loss("error", [1], [1], [1], threshold=2)
    with pytest.raises(ValueError, match="finite"):
        paired_loss("squared_error", [0, 0], [0, 0], [1e200, 0])
    with pytest.raises(ValueError, match="finite"):
        paired_loss("absolute_error", [0, 0], [0, 0], [1e200, 0])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: mcnemar(-1, 0, n=9), "only_control_wrong must be a whole number >= 0, got -1"),
        (lambda: mcnemar(0, 1.5, n=9), "only_treatment_wrong must be a whole number >= 0"),
        (lambda: mcnemar(5, 5, n=9), "n must be a whole number >= 10, got 9"),
        (lambda: mcnemar(0, 0, n=0), "n must be a whole number >= 1, got 0"),
        (lambda: mcnemar(1, 1, n=9, alpha=1), r"alpha must be in \(0, 1\), got 1"),
        (lambda: mcnemar(1, 1, n=9, alternative="less"), "alternative must be .* got 'less'"),
        (lambda: mcnemar_evalue(nan, 0), "only_control_wrong must be a whole number"),
        (lambda: mcnemar_evalue(0, -1), "only_treatment_wrong must be a whole number"),
        (lambda: mcnemar_evalue(1, 1, prior=0), r"prior must be in \[0.001, 1e\+06\], got 0"),
        (lambda: mcnemar_evalue(1, 1, alternative="x"), "alternative must be .* got 'x'"),
    ],
)
def test_arguments_outside_the_range_are_named(call: Callable[[], object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        call()
