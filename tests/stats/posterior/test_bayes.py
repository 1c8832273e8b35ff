"""Posteriors: scipy, closed forms in exact fractions and seeded draws are the witnesses."""

from __future__ import annotations

from fractions import Fraction
from math import factorial, inf, nan, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta as beta_distribution
from scipy.stats import norm

from palio.stats.posterior.bayes import (
    BetaPosterior,
    NormalPosterior,
    beta_posterior,
    chance_to_be_best,
    chance_to_beat,
    expected_loss,
    normal_posterior,
)

normals = st.builds(NormalPosterior, st.floats(-10, 10), st.floats(1e-3, 10))
shapes = st.one_of(st.floats(1e-3, 50), st.floats(50, 1e6), st.sampled_from([1e-3, 0.5, 1e7]))
betas = st.builds(BetaPosterior, shapes, shapes)
counts = st.integers(1, 9)
levels = st.floats(0.001, 0.5)


@given(st.floats(-100, 100), st.floats(0.01, 10), st.floats(-100, 100), st.floats(0.01, 10))
def test_normal_posterior_adds_precisions(
    estimate: float, se: float, prior_mean: float, prior_sd: float
) -> None:
    found = normal_posterior(estimate, se, prior_mean=prior_mean, prior_sd=prior_sd)
    precision = 1 / se**2 + 1 / prior_sd**2
    mean = (estimate / se**2 + prior_mean / prior_sd**2) / precision
    assert found.sd == pytest.approx(1 / sqrt(precision), rel=1e-12)
    assert found.mean == pytest.approx(mean, rel=1e-9, abs=1e-9)
    assert found.sd < min(se, prior_sd)


def test_normal_posterior_at_the_ends_of_the_range() -> None:
    assert normal_posterior(2.0, 0.5) == NormalPosterior(2.0, 0.5)
    assert normal_posterior(2.0, 1e-300, prior_sd=1e300) == NormalPosterior(2.0, 1e-300)
    tight = normal_posterior(2.0, 1.0, prior_mean=5.0, prior_sd=1e-9)
    assert (tight.mean, tight.sd) == pytest.approx((5.0, 1e-9), rel=1e-12)
    assert normal_posterior(0.0, 1.0, prior_mean=1e20, prior_sd=1e10).mean == pytest.approx(1.0)


@given(normals, levels, st.floats(-20, 20))
def test_normal_equals_scipy(arm: NormalPosterior, alpha: float, value: float) -> None:
    theirs = norm(arm.mean, arm.sd)
    assert arm.interval(alpha=alpha) == pytest.approx(theirs.interval(1 - alpha), rel=1e-9)
    assert arm.chance_above(value) == pytest.approx(theirs.sf(value), rel=1e-9, abs=1e-300)


@pytest.mark.parametrize(
    ("mean", "sd", "value"), [(0, 1, 0), (1.5, 2, 0), (-3, 0.5, 1), (4, 1, 0)]
)
def test_normal_loss_is_its_integral(mean: float, sd: float, value: float) -> None:
    """Witness: scipy's quadrature of (value - x) against its normal density."""
    theirs, _ = quad(lambda x: (value - x) * norm.pdf(x, mean, sd), mean - 40 * sd, value)
    assert NormalPosterior(mean, sd).loss_below(value) == pytest.approx(theirs, rel=1e-6)


@given(shapes, shapes, levels)
def test_beta_equals_scipy(a: float, b: float, alpha: float) -> None:
    ours, theirs = BetaPosterior(a, b), beta_distribution(a, b)
    assert ours.mean == pytest.approx(theirs.mean(), rel=1e-9)
    assert ours.sd == pytest.approx(theirs.std(), rel=1e-9)
    expected = (theirs.ppf(alpha / 2), theirs.isf(alpha / 2))
    assert ours.interval(alpha=alpha) == pytest.approx(expected, rel=1e-6, abs=1e-300)


@given(st.floats(1, 1e6), st.floats(1, 1e6))
def test_beta_interval_holds_the_mean_and_shrinks(a: float, b: float) -> None:
    arm, more = BetaPosterior(a, b), BetaPosterior(8 * a, 8 * b)
    lower, upper = arm.interval()
    assert 0 <= lower < arm.mean < upper <= 1
    low, high = more.interval()
    assert high - low < upper - lower
    mirrored = BetaPosterior(b, a).interval()
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((lower, upper), abs=1e-12)


def test_beta_posterior_counts() -> None:
    assert beta_posterior(3, 10) == BetaPosterior(4.0, 8.0)
    assert beta_posterior(0, 0) == BetaPosterior(1.0, 1.0)
    assert beta_posterior(3, 10, prior_a=0, prior_b=0) == BetaPosterior(3, 7)
    assert beta_posterior(0, 10, prior_a=0.5, prior_b=0.5) == BetaPosterior(0.5, 10.5)


@given(normals, normals)
def test_normal_chance_is_the_closed_form(
    control: NormalPosterior, treatment: NormalPosterior
) -> None:
    z = (treatment.mean - control.mean) / sqrt(control.sd**2 + treatment.sd**2)
    assert chance_to_beat(control, treatment) == pytest.approx(norm.cdf(z), rel=1e-9, abs=1e-300)
    best = chance_to_be_best([control, treatment])
    assert best == pytest.approx((norm.sf(z), norm.cdf(z)), abs=1e-11)


def exact_beta(a: int, b: int) -> Fraction:
    return Fraction(factorial(a - 1) * factorial(b - 1), factorial(a + b - 1))


def exact_chance(a_c: int, b_c: int, a_t: int, b_t: int) -> Fraction:
    """Miller's finite sum for whole counts, in exact fractions."""
    return sum(
        (
            exact_beta(a_c + i, b_c + b_t) / ((b_t + i) * exact_beta(1 + i, b_t))
            for i in range(a_t)
        ),
        start=Fraction(0),
    ) / exact_beta(a_c, b_c)


@given(counts, counts, counts, counts)
@settings(max_examples=60)
def test_beta_chance_and_loss_are_millers(a_c: int, b_c: int, a_t: int, b_t: int) -> None:
    """E[(C - T)+] = mean_c P(C' > T) - mean_t P(C > T'), a prime adding one success."""
    control, treatment = BetaPosterior(a_c, b_c), BetaPosterior(a_t, b_t)
    exact = exact_chance(a_c, b_c, a_t, b_t)
    assert chance_to_beat(control, treatment) == pytest.approx(float(exact), abs=1e-11)
    mean_c, mean_t = Fraction(a_c, a_c + b_c), Fraction(a_t, a_t + b_t)
    loss_t = mean_c * exact_chance(a_t, b_t, a_c + 1, b_c) - mean_t * exact_chance(
        a_t + 1, b_t, a_c, b_c
    )
    found = expected_loss(control, treatment)
    assert found.treatment == pytest.approx(float(loss_t), rel=1e-9)
    assert found.control == pytest.approx(float(loss_t + mean_t - mean_c), rel=1e-9)


@given(st.lists(shapes, min_size=2, max_size=5))
@settings(max_examples=60)
def test_powers_have_a_closed_form(a: list[float]) -> None:
    """Where b = 1, F is x^a and arm i is the largest with a_i / sum(a); priors of 1e-3 to 10^7."""
    best = chance_to_be_best([BetaPosterior(each, 1.0) for each in a])
    assert best == pytest.approx([each / sum(a) for each in a], abs=1e-11)
    mirrored = chance_to_beat(BetaPosterior(1.0, a[0]), BetaPosterior(1.0, a[1]))
    assert mirrored == pytest.approx(a[0] / (a[0] + a[1]), abs=1e-11)


@given(betas, betas)
@settings(max_examples=100)
def test_betas_mirror(control: BetaPosterior, treatment: BetaPosterior) -> None:
    chance, loss = chance_to_beat(control, treatment), expected_loss(control, treatment)
    assert 0 <= chance <= 1
    assert chance + chance_to_beat(treatment, control) == pytest.approx(1, abs=1e-9)
    failures = BetaPosterior(control.b, control.a), BetaPosterior(treatment.b, treatment.a)
    assert chance == pytest.approx(1 - chance_to_beat(*failures), abs=1e-9)
    assert min(loss.control, loss.treatment) >= 0
    gain = treatment.mean - control.mean
    assert loss.control - loss.treatment == pytest.approx(gain, abs=1e-15)
    back = expected_loss(treatment, control)
    assert (back.treatment, back.control) == pytest.approx((loss.control, loss.treatment))


@given(st.lists(betas, min_size=2, max_size=6))
@settings(max_examples=60)
def test_chances_to_be_best_add_up(arms: list[BetaPosterior]) -> None:
    assert sum(chance_to_be_best(arms)) == pytest.approx(1, abs=1e-9)


@given(st.lists(normals, min_size=2, max_size=6))
@settings(max_examples=60)
def test_chances_of_normals_add_up(arms: list[NormalPosterior]) -> None:
    best = chance_to_be_best(arms)
    assert sum(best) == pytest.approx(1, abs=1e-9)
    assert min(best) >= 0
    moved = [NormalPosterior(1e3 * arm.mean + 7, 1e3 * arm.sd) for arm in arms]
    assert chance_to_be_best(moved) == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize(
    ("control", "treatment"),
    [((5e6, 5e6), (5.002e6, 5e6)), ((1e6, 9e6), (1.001e6, 9e6)), ((50, 1e7), (60, 1e7)),
     ((0.5, 200.5), (3, 30)), ((5, 5), (5e6, 5e6))],
)  # fmt: skip
def test_betas_equal_scipy_quadrature(
    control: tuple[float, float], treatment: tuple[float, float]
) -> None:
    """Up to 10^7 counts; scipy integrates f_T F_C and F_T (1 - F_C) over twelve deviations."""
    c, t = beta_distribution(*control), beta_distribution(*treatment)
    ends = [(d.ppf(1e-17), d.isf(1e-17)) for d in (c, t)]
    points = sorted({c.mean(), t.mean(), *ends[0], *ends[1]})
    low, high = min(e[0] for e in ends), max(e[1] for e in ends)
    exactly = {"points": points, "limit": 400, "epsabs": 0, "epsrel": 1e-11}
    chance, _ = quad(lambda x: t.pdf(x) * c.cdf(x), *ends[1], **exactly)
    loss, _ = quad(lambda x: t.cdf(x) * c.sf(x), low, high, **exactly)
    arms = BetaPosterior(*control), BetaPosterior(*treatment)
    assert chance_to_beat(*arms) == pytest.approx(chance, abs=1e-8)  # scipy's density: 1e-9 there
    assert expected_loss(*arms).treatment == pytest.approx(loss, rel=1e-7)


def test_best_of_many_equals_draws() -> None:
    """400,000 seeded draws of five arms, four standard errors."""
    rng, draws = np.random.default_rng(41), 400_000
    parameters = [(20, 180), (25, 175), (300, 2700), (1, 5), (0.5, 8.5)]
    values = np.stack([rng.beta(a, b, draws) for a, b in parameters])
    share = np.bincount(values.argmax(axis=0), minlength=5) / draws
    best = chance_to_be_best([BetaPosterior(a, b) for a, b in parameters])
    assert np.abs(share - best).max() < 4 * 0.5 / sqrt(draws)
    loss = expected_loss(BetaPosterior(20, 180), BetaPosterior(25, 175))
    forgone = np.maximum(values[0] - values[1], 0)
    assert loss.treatment == pytest.approx(forgone.mean(), abs=4 * forgone.std() / sqrt(draws))


def test_best_of_normals_equals_draws() -> None:
    rng, draws = np.random.default_rng(43), 400_000
    arms = [NormalPosterior(0, 1), NormalPosterior(0.3, 0.5), NormalPosterior(-0.5, 3)]
    values = np.stack([rng.normal(arm.mean, arm.sd, draws) for arm in arms])
    share = np.bincount(values.argmax(axis=0), minlength=3) / draws
    assert np.abs(share - chance_to_be_best(arms)).max() < 4 * 0.5 / sqrt(draws)


def test_arms_far_apart_and_hardly_uncertain() -> None:
    """A deviation of 1e-300 beside one of 1, at a mean that does not resolve it."""
    sharp, wide = NormalPosterior(1.0, 1e-300), NormalPosterior(0.0, 1.0)
    expected = (norm.cdf(1.0), norm.sf(1.0))
    assert chance_to_be_best([sharp, wide]) == pytest.approx(expected, abs=1e-12)
    assert chance_to_beat(wide, sharp) == pytest.approx(norm.cdf(1.0), abs=1e-12)
    apart = BetaPosterior(1, 1e7), BetaPosterior(1e7, 1)
    assert chance_to_beat(*apart) == 1.0
    loss = expected_loss(*apart)
    assert loss.treatment == pytest.approx(0.0, abs=1e-15)
    assert loss.control == pytest.approx(1 - 2e-7, abs=1e-12)
    low, high = BetaPosterior(1e6, 9e6), BetaPosterior(9e6, 1e6)
    assert expected_loss(low, high).treatment == 0.0
    assert NormalPosterior(1e299, 1e-300).loss_below() == 0.0
    assert NormalPosterior(-1e299, 1e-300).loss_below() == 1e299


@given(normals, normals)
def test_normal_losses_mirror(control: NormalPosterior, treatment: NormalPosterior) -> None:
    loss, back = expected_loss(control, treatment), expected_loss(treatment, control)
    assert (loss.control, loss.treatment) == (back.treatment, back.control)
    gain = treatment.mean - control.mean
    assert loss.control - loss.treatment == pytest.approx(gain, abs=1e-12)
    assert min(loss.control, loss.treatment) >= 0


def test_credible_intervals_hold_what_they_say() -> None:
    """Rates drawn from the prior, counts from the rate: 90 % +- three errors of 2,000."""
    rng, sims = np.random.default_rng(47), 2_000
    rates = rng.beta(2, 8, sims)
    seen = rng.binomial(50, rates)
    held = 0
    for rate, successes in zip(rates, seen, strict=True):
        found = beta_posterior(int(successes), 50, prior_a=2, prior_b=8)
        lower, upper = found.interval(alpha=0.1)
        held += lower <= rate <= upper
    assert held / sims == pytest.approx(0.9, abs=3 * sqrt(0.09 / sims))


def test_stopping_by_the_chance_to_beat_errs_in_more_than_half() -> None:
    """Why it is no stopping rule: 100 looks, no effect, stop once either arm leads by 95 %."""
    rng, sims = np.random.default_rng(53), 500
    walks = rng.normal(size=(sims, 100)).cumsum(axis=1) / np.arange(1, 101)
    se = 1 / np.sqrt(np.arange(1, 101))
    wrong = 0
    for walk in walks:
        chances = [normal_posterior(*at).chance_above() for at in zip(walk, se, strict=True)]
        wrong += max(chances) > 0.95 or min(chances) < 0.05
    assert wrong / sims > 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: NormalPosterior(nan, 1.0), "mean must be in"),
        (lambda: NormalPosterior(0.0, 0.0), r"sd must be in \[1e-300, 1e\+300\], got 0"),
        (lambda: NormalPosterior(0.0, 5e-324), "sd must be in"),
        (lambda: NormalPosterior(0.0, nan), "sd must be in"),
        (lambda: NormalPosterior(0.0, 1e301), "sd must be in"),
        (lambda: NormalPosterior(0.0, 1.0).interval(alpha=0.0), r"alpha must be in \(0, 1\)"),
        (lambda: NormalPosterior(0.0, 1.0).chance_above(nan), "value must be in"),
        (lambda: NormalPosterior(0.0, 1.0).loss_below(inf), "value must be in"),
        (lambda: BetaPosterior(0.0, 1.0), r"a must be in \[1e-06, 1e\+12\], got 0"),
        (lambda: BetaPosterior(1.0, inf), "b must be in"),
        (lambda: BetaPosterior(1.0, 1.0).interval(alpha=1.0), r"alpha must be in \(0, 1\)"),
        (lambda: normal_posterior(inf, 1.0), "estimate must be finite"),
        (lambda: normal_posterior(0.0, 0.0), "se must be finite and > 0"),
        (lambda: normal_posterior(0.0, 1.0, prior_mean=nan), "prior_mean must be finite"),
        (lambda: normal_posterior(0.0, 1.0, prior_sd=0.0), "prior_sd must be > 0, got 0"),
        (lambda: normal_posterior(0.0, 1.0, prior_sd=nan), "prior_sd must be > 0, got nan"),
        (lambda: beta_posterior(0, -1), "trials must be a whole number >= 0"),
        (lambda: beta_posterior(0.5, 1), "successes must be a whole number >= 0"),  # type: ignore[arg-type]
        (lambda: beta_posterior(3, 2), r"successes must be in \[0, 2\], got 3"),
        (lambda: beta_posterior(1, 2, prior_a=-1.0), "prior_a must be finite and >= 0"),
        (lambda: beta_posterior(0, 9, prior_a=0.0), "prior_a must be > 0 with 0 successes in 9"),
        (lambda: beta_posterior(9, 9, prior_b=0.0), "prior_b must be > 0 with 9 successes in 9"),
        (lambda: chance_to_be_best([BetaPosterior(1, 1)]), "arms must hold at least 2"),
        (
            lambda: chance_to_beat(BetaPosterior(1, 1), NormalPosterior(0, 1)),
            "posteriors must be all normal or all beta",
        ),
        (
            lambda: expected_loss(NormalPosterior(0, 1), BetaPosterior(1, 1)),
            "posteriors must be all normal or all beta",
        ),
    ],
)
def test_arguments_outside_the_range_are_named(call, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        call()
