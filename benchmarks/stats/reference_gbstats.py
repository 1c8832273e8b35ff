"""What Palio shares with gbstats."""

from __future__ import annotations

from collections.abc import Iterator

from gbstats.bayesian.tests import EffectBayesianABTest, EffectBayesianConfig, GaussianPrior
from gbstats.frequentist.tests import (
    FrequentistConfig,
    SequentialConfig,
    SequentialTwoSidedTTest,
    TwoSidedTTest,
)
from gbstats.models.statistics import (
    ProportionStatistic,
    RatioStatistic,
    RegressionAdjustedStatistic,
    SampleMeanStatistic,
)
from reference_cases import Arm, Experiment

from palio.stats.adjusted.cuped import cuped
from palio.stats.anytime.asymptotic import AsymptoticRule, tuned_rho2
from palio.stats.estimate import Estimate
from palio.stats.moments import Moments
from palio.stats.one_look.means import relative, welch
from palio.stats.posterior.bayes import chance_to_beat, expected_loss, normal_posterior
from palio.stats.ratios import ratio

__all__ = ["gbstats_checks"]

PEER = "gbstats"
THETA = "theta over both arms as one sample there, within the arms here"
DF = "degrees of freedom of the difference there, of the ratio here"
Check = tuple[tuple[str, str, str], list[float], list[float]]


def _mean(values: object) -> SampleMeanStatistic:
    return SampleMeanStatistic(
        n=len(values), sum=float(values.sum()), sum_squares=float(values @ values)
    )


def _ratio(arm: Arm) -> RatioStatistic:
    return RatioStatistic(
        n=arm.n,
        m_statistic=_mean(arm.metric),
        d_statistic=_mean(arm.denominator),
        m_d_sum_of_products=float(arm.metric @ arm.denominator),
    )


def _adjusted(arm: Arm) -> RegressionAdjustedStatistic:
    return RegressionAdjustedStatistic(
        n=arm.n,
        post_statistic=_mean(arm.metric),
        pre_statistic=_mean(arm.covariate),
        post_pre_sum_of_products=float(arm.metric @ arm.covariate),
        theta=0,
    )


def _numbers(found: Estimate) -> list[float]:
    return [found.effect, found.se, found.lower, found.upper, found.p_value]


def _theirs(result: object) -> list[float]:
    return [result.expected, result.uplift.stddev, *result.ci, result.p_value]


def _test(one: object, two: object, kind: str = "absolute") -> list[float]:
    config = FrequentistConfig(difference_type=kind)
    return _theirs(TwoSidedTTest(one, two, config).compute_result())


def gbstats_checks(one: Experiment) -> Iterator[Check]:
    """Compare the frequentist, the sequential and the Bayesian tests."""
    control, treatment = (arm.moments for arm in one.arms)
    sums = [_mean(arm.metric) for arm in one.arms]
    own = _numbers(welch(control, treatment))
    yield ("Welch, effect, se, interval, p", PEER, ""), own, _test(*sums)
    own, theirs = _numbers(relative(control, treatment)), _test(*sums, "relative")
    yield ("relative lift, linear, effect, se", PEER, ""), own[:2], theirs[:2]
    yield ("relative lift, linear, interval, p", PEER, DF), own[2:], theirs[2:]
    ratios = [ratio(arm.as_ratio) for arm in one.arms]
    yield (
        ("ratio of means, effect, se, interval, p", PEER, ""),
        _numbers(welch(*ratios)),
        _test(*(_ratio(arm) for arm in one.arms)),
    )
    for arms, name, note in (
        (one.balanced, "CUPED, covariate means equal", ""),
        (one.arms, "CUPED, covariate means as drawn", THETA),
    ):
        found = cuped(*(arm.with_covariate for arm in arms))
        own = _numbers(welch(found.control, found.treatment))
        yield (name, PEER, note), own, _test(*(_adjusted(arm) for arm in arms))
    yield from _sequential(one, sums)
    yield from _bayesian(one, sums)
    yield from _rates(one)


def _sequential(one: Experiment, sums: list[SampleMeanStatistic]) -> Iterator[Check]:
    found = welch(*(arm.moments for arm in one.arms))
    units = sum(arm.n for arm in one.arms)
    for tuning in (500, 5000):
        rule = AsymptoticRule(0.05, tuned_rho2(0.05, tuning))
        config = SequentialConfig(difference_type="absolute", sequential_tuning_parameter=tuning)
        said = SequentialTwoSidedTTest(*sums, config).compute_result()
        own = rule.interval(found.effect, found.se, units)
        p_value = rule.p_value(found.effect / found.se, units)
        key = "asymptotic confidence sequence, interval, p", PEER, ""
        yield key, [*own, p_value], [*said.ci, said.p_value]


def _bayesian(one: Experiment, sums: list[SampleMeanStatistic]) -> Iterator[Check]:
    found = welch(*(arm.moments for arm in one.arms))
    posteriors = [
        normal_posterior(arm.moments.mean, (arm.moments.var / arm.n) ** 0.5) for arm in one.arms
    ]
    loss = expected_loss(*posteriors)
    flat = EffectBayesianConfig(difference_type="absolute")
    said = EffectBayesianABTest(*sums, flat).compute_result()
    own = [chance_to_beat(*posteriors), loss.control, loss.treatment]
    yield ("chance to beat, expected losses", PEER, ""), own, [said.chance_to_win, *said.risk]
    prior = GaussianPrior(mean=0.02, variance=0.01, proper=True)
    config = EffectBayesianConfig(
        difference_type="absolute", prior_type="absolute", prior_effect=prior
    )
    said = EffectBayesianABTest(*sums, config).compute_result()
    after = normal_posterior(found.effect, found.se, prior_mean=0.02, prior_sd=0.1)
    theirs = [said.uplift.mean, said.uplift.stddev]
    yield ("normal posterior of an effect, mean, sd", PEER, ""), [after.mean, after.sd], theirs


def _rates(one: Experiment) -> Iterator[Check]:
    counts = [(arm.n, float(arm.success.sum())) for arm in one.arms]
    found = welch(*(_binary(n, ones) for n, ones in counts))
    theirs = _test(*(ProportionStatistic(n=n, sum=ones) for n, ones in counts))
    note = "divisor n there, n - 1 here"
    yield ("difference of rates by Welch, effect, se", PEER, note), _numbers(found)[:2], theirs[:2]


def _binary(n: int, ones: float) -> Moments:
    return Moments(n, ones / n, ones * (n - ones) / n / (n - 1))
