"""Posteriors, and what they say of the arms: chance to beat, expected loss, chance to be best.

These are reported and never a stopping rule: who looks often and stops once the chance to beat
passes 95 % is wrong in more than half of the experiments without any effect. `compare` decides.

A mean or an effect has a normal posterior (of a normal prior or a flat one), a rate a beta
posterior. With densities f and distribution functions F of independent arms,

- chance to beat: ``P(T > C) = integral of f_T F_C``
- expected loss of choosing treatment: ``E[(C - T)+] = integral of F_T (1 - F_C)``
- chance to be best: ``integral of f_i prod_{j != i} F_j``

in closed form for two normals, else by quadrature (`quadrature.py`). Nothing random is drawn.

"Better" means larger. Of a metric that is better when smaller, exchange the two losses and take
``1 - chance``; among several arms, negate the means or exchange a and b.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, hypot, inf, pi, sqrt
from typing import TypeAlias

from scipy.special import (  # type: ignore[import-untyped]  # no stubs
    betainccinv,
    betaincinv,
    ndtr,
    ndtri,
)

from palio.stats import ranges
from palio.stats.posterior.quadrature import (
    Axis,
    beta_axis,
    chance_above_all,
    mean_excess,
    normal_axis,
)

__all__ = [
    "BetaPosterior",
    "ExpectedLoss",
    "NormalPosterior",
    "Posterior",
    "beta_posterior",
    "chance_to_be_best",
    "chance_to_beat",
    "expected_loss",
    "normal_posterior",
]

_LARGEST = 1e300  # so that nothing about two normals overflows or, inverted, underflows
_MIXED = "posteriors must be all normal or all beta, got some of both"
_SHAPES = 1e-6, 1e12  # of a beta: beyond, doubles do not resolve the axis


@dataclass(frozen=True, slots=True)
class NormalPosterior:
    """What is believed of a mean, or of an effect.

    Attributes
    ----------
    mean
        Posterior mean, within +-1e300.
    sd
        Posterior standard deviation, in [1e-300, 1e300].

    Raises
    ------
    ValueError
        If a field is out of its range.
    """

    mean: float
    sd: float

    def __post_init__(self) -> None:
        ranges.within("mean", self.mean, -_LARGEST, _LARGEST)
        ranges.within("sd", self.sd, 1 / _LARGEST, _LARGEST)

    def interval(self, *, alpha: float = 0.05) -> tuple[float, float]:
        """Give the central credible interval, which holds 1 - alpha of the belief."""
        ranges.open_unit("alpha", alpha)
        reach = -float(ndtri(alpha / 2)) * self.sd
        return self.mean - reach, self.mean + reach

    def chance_above(self, value: float = 0.0) -> float:
        """Give the probability that it exceeds a value: of an effect, the chance to beat."""
        ranges.within("value", value, -_LARGEST, _LARGEST)
        return float(ndtr((self.mean - value) / self.sd))

    def loss_below(self, value: float = 0.0) -> float:
        """Give the mean of ``(value - x)+``: of an effect, the expected loss of treatment.

        It is ``sd phi(z) - (mean - value) Phi(-z)`` with ``z = (mean - value) / sd``.
        """
        ranges.within("value", value, -_LARGEST, _LARGEST)
        ahead = self.mean - value
        z = ahead / self.sd
        loss = self.sd * exp(-z * z / 2) / sqrt(2 * pi) - ahead * float(ndtr(-z))
        return max(loss, 0.0)


@dataclass(frozen=True, slots=True)
class BetaPosterior:
    """What is believed of a rate.

    Attributes
    ----------
    a, b
        Successes and failures, the prior's among them, both in [1e-6, 1e12].

    Raises
    ------
    ValueError
        If a field is out of its range.
    """

    a: float
    b: float

    def __post_init__(self) -> None:
        ranges.within("a", self.a, *_SHAPES)
        ranges.within("b", self.b, *_SHAPES)

    @property
    def mean(self) -> float:
        """Posterior mean of the rate, in (0, 1)."""
        return self.a / (self.a + self.b)

    @property
    def sd(self) -> float:
        """Posterior standard deviation of the rate."""
        n = self.a + self.b
        return sqrt(self.a / n * (self.b / n) / (n + 1))

    def interval(self, *, alpha: float = 0.05) -> tuple[float, float]:
        """Give the central credible interval, which holds 1 - alpha of the belief, in [0, 1]."""
        ranges.open_unit("alpha", alpha)
        tail = alpha / 2
        return float(betaincinv(self.a, self.b, tail)), float(betainccinv(self.a, self.b, tail))


Posterior: TypeAlias = NormalPosterior | BetaPosterior
"""What is believed of one arm; the arms of a comparison are of one kind."""


@dataclass(frozen=True, slots=True)
class ExpectedLoss:
    """What a choice is expected to cost, in units of the metric.

    Attributes
    ----------
    control
        Mean of ``(T - C)+``: what is forgone by choosing control.
    treatment
        Mean of ``(C - T)+``: what is forgone by choosing treatment.
    """

    control: float
    treatment: float


def normal_posterior(
    estimate: float, se: float, *, prior_mean: float = 0.0, prior_sd: float = inf
) -> NormalPosterior:
    """Update a normal prior by an estimate with a normal error.

    Parameters
    ----------
    estimate
        The mean of an arm or the effect of treatment, finite.
    se
        Its standard error, in [1e-300, 1e300]. Values that were all the same so far have none and
        say nothing about those to come, so 0 is refused.
    prior_mean
        Mean of the prior, finite.
    prior_sd
        Standard deviation of the prior, > 0; inf for the flat (improper) prior, under which the
        posterior is the estimate with its standard error.

    Returns
    -------
    NormalPosterior
        Precisions add up and means are weighted by them.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    References
    ----------
    Gelman et al. (2013), Bayesian Data Analysis, 3rd ed., section 2.5.
    """
    ranges.finite("estimate", estimate)
    ranges.positive("se", se)
    ranges.finite("prior_mean", prior_mean)
    if not prior_sd > 0:
        raise ValueError(f"prior_sd must be > 0, got {prior_sd}")
    if prior_sd == inf:
        return NormalPosterior(estimate, se)
    small, large = sorted((se, prior_sd))
    ratio = small / large
    sd = small / sqrt(1 + ratio * ratio)
    of_small, of_large = 1 / (1 + ratio * ratio), ratio * ratio / (1 + ratio * ratio)
    own, prior = (of_small, of_large) if se < prior_sd else (of_large, of_small)
    return NormalPosterior(own * estimate + prior * prior_mean, sd)


def beta_posterior(
    successes: int, trials: int, *, prior_a: float = 1.0, prior_b: float = 1.0
) -> BetaPosterior:
    """Update a beta prior of a rate by counts.

    Parameters
    ----------
    successes, trials
        Event counts, 0 <= successes <= trials.
    prior_a, prior_b
        Successes and failures the prior is worth, finite and >= 0: 1 and 1 is uniform, 1/2 and
        1/2 Jeffreys', 0 and 0 Haldane's, which is improper.

    Returns
    -------
    BetaPosterior
        ``a = prior_a + successes``, ``b = prior_b + trials - successes``.

    Raises
    ------
    ValueError
        If an argument is out of its range, or an improper prior meets counts that leave the
        posterior improper, too: no success or no failure.

    References
    ----------
    Gelman et al. (2013), Bayesian Data Analysis, 3rd ed., section 2.4.
    """
    ranges.whole("trials", trials, 0)
    ranges.whole("successes", successes, 0)
    ranges.within("successes", successes, 0, trials)
    failures = trials - successes
    for name, prior, seen in (("prior_a", prior_a, successes), ("prior_b", prior_b, failures)):
        ranges.not_negative(name, prior)
        if prior + seen == 0:
            raise ValueError(
                f"{name} must be > 0 with {successes} successes in {trials} trials, got {prior}: "
                "the posterior is improper; take a proper prior, 0.5 is Jeffreys'"
            )
    return BetaPosterior(prior_a + successes, prior_b + failures)


def chance_to_beat(control: Posterior, treatment: Posterior) -> float:
    """Give the probability that treatment is larger than control.

    Parameters
    ----------
    control, treatment
        Posteriors of the arms, independent and both normal or both beta.

    Returns
    -------
    float
        In [0, 1]; exact for normals, within 1e-10 for betas of up to 10^7 counts.

    Raises
    ------
    ValueError
        If the posteriors are of different kinds.

    References
    ----------
    Miller (2015), Formulas for Bayesian A/B Testing, has a finite sum for whole counts.
    """
    if isinstance(control, NormalPosterior) and isinstance(treatment, NormalPosterior):
        return _difference(control, treatment).chance_above()
    return chance_above_all(*reversed(_axes((control, treatment))))


def expected_loss(control: Posterior, treatment: Posterior) -> ExpectedLoss:
    """Give what either choice is expected to cost.

    Parameters
    ----------
    control, treatment
        Posteriors of the arms, independent and both normal or both beta.

    Returns
    -------
    ExpectedLoss
        Both at least 0; they differ by the difference of the posterior means. For betas the
        smaller one is right within 1e-8 of itself or 1e-15, whichever is larger.

    Raises
    ------
    ValueError
        If the posteriors are of different kinds.

    References
    ----------
    Stucchio (2015), Bayesian A/B Testing at VWO.
    """
    if isinstance(control, NormalPosterior) and isinstance(treatment, NormalPosterior):
        gap = _difference(control, treatment)
        back = NormalPosterior(-gap.mean, gap.sd)
        return ExpectedLoss(control=back.loss_below(), treatment=gap.loss_below())
    if isinstance(control, NormalPosterior) or isinstance(treatment, NormalPosterior):
        raise ValueError(_MIXED)  # noqa: TRY004 -- stats raises ValueError only
    one, two = (control.a, control.b), (treatment.a, treatment.b)
    gain = treatment.mean - control.mean
    if gain >= 0:
        loss = mean_excess(one, two)
        return ExpectedLoss(control=loss + gain, treatment=loss)
    loss = mean_excess(two, one)
    return ExpectedLoss(control=loss, treatment=loss - gain)


def chance_to_be_best(arms: Sequence[Posterior]) -> tuple[float, ...]:
    """Give each arm's probability of being the largest.

    Parameters
    ----------
    arms
        Posteriors of two arms or more, independent and all normal or all beta.

    Returns
    -------
    tuple of float
        In the order of the arms, each in [0, 1], adding up to 1 within 1e-9.

    Raises
    ------
    ValueError
        If there are fewer than two arms or they are of different kinds.
    """
    if len(arms) < 2:  # noqa: PLR2004 -- one arm has nothing to beat
        raise ValueError(f"arms must hold at least 2 posteriors, got {len(arms)}")
    axes = _axes(arms)
    return tuple(chance_above_all(a, *axes[:at], *axes[at + 1 :]) for at, a in enumerate(axes))


def _difference(control: NormalPosterior, treatment: NormalPosterior) -> NormalPosterior:
    return NormalPosterior(treatment.mean - control.mean, hypot(control.sd, treatment.sd))


def _axes(arms: Sequence[Posterior]) -> list[Axis]:
    normal = [normal_axis(arm.mean, arm.sd) for arm in arms if isinstance(arm, NormalPosterior)]
    beta = [beta_axis(arm.a, arm.b) for arm in arms if isinstance(arm, BetaPosterior)]
    if normal and beta:
        raise ValueError(_MIXED)
    return normal or beta
