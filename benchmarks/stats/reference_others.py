"""What Palio shares with tea-tasting, spotify-confidence, ville and confseq."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import ville
from reference_cases import Arm, Experiment
from spotify_confidence import StudentsTTest, ZTest
from tea_tasting import Mean, Proportion, RatioOfMeans
from tea_tasting.aggr import Aggregates
from tea_tasting.metrics import MannWhitneyU

from palio.stats.adjusted.cuped import cuped
from palio.stats.anytime.asymptotic import AsymptoticRule, tuned_rho2
from palio.stats.anytime.sample_ratio import sample_ratio_log_evalue
from palio.stats.estimate import Estimate, conclude
from palio.stats.multiplicity import adjust, e_bh
from palio.stats.one_look.means import relative, welch
from palio.stats.one_look.proportions import two_proportions
from palio.stats.one_look.ranks import mann_whitney
from palio.stats.ratios import ratio

__all__ = ["confseq_checks", "spotify_checks", "tea_checks", "ville_checks"]

Check = tuple[tuple[str, str, str], list[float], list[float]]
THETA = "theta over both arms as one sample there, within the arms here"

# confseq 0.0.11 has no wheel, its source needs Boost and its Python half numpy 1; these come from
# its compiled `boundaries`: n, planned, alpha, two-sided normal_mixture_bound, and the
# normal_log_mixture at s = 3.2 sqrt(n).
CONFSEQ = (
    (100, 20000, 0.05, 125.69911549170892, 0.17595462075061447),
    (5000, 20000, 0.05, 230.82039790007514, 2.8575657121630957),
    (20000, 20000, 0.05, 429.2433718826846, 3.4519939368189103),
    (100000, 20000, 0.01, 1162.435662017344, 2.996777067826462),
)


def _aggregates(arm: Arm, *names: str) -> Aggregates:
    columns = {name: getattr(arm, name) for name in names}
    return Aggregates(
        count_=arm.n,
        mean_={name: float(x.mean()) for name, x in columns.items()},
        var_={name: float(x.var(ddof=1)) for name, x in columns.items()},
        cov_={
            (one, two): float(np.cov(columns[one], columns[two])[0, 1])
            for one, two in pairwise(names)
        },
    )


def _numbers(found: Estimate) -> list[float]:
    return [found.effect, found.lower, found.upper, found.p_value]


def _absolute(result: object) -> list[float]:
    bounds = result.effect_size_ci_lower, result.effect_size_ci_upper
    return [result.effect_size, *bounds, result.pvalue]


def tea_checks(one: Experiment) -> Iterator[Check]:
    """Compare means, ratios, CUPED, rates and ranks."""
    peer = "tea-tasting"
    control, treatment = (arm.moments for arm in one.arms)
    said = Mean("metric").analyze_aggregates(*(_aggregates(arm, "metric") for arm in one.arms))
    own = _numbers(welch(control, treatment))
    yield ("Welch, effect, interval, p", peer, ""), own, _absolute(said)
    lift = relative(control, treatment, scale="log")
    bounds = [said.rel_effect_size_ci_lower, said.rel_effect_size_ci_upper]
    own = [lift.effect, lift.lower, lift.upper]
    yield ("relative lift, log, effect, interval", peer, ""), own, [said.rel_effect_size, *bounds]
    said = RatioOfMeans("metric", "denominator").analyze_aggregates(
        *(_aggregates(arm, "metric", "denominator") for arm in one.arms)
    )
    own = _numbers(welch(*(ratio(arm.as_ratio) for arm in one.arms)))
    yield ("ratio of means, effect, interval, p", peer, ""), own, _absolute(said)
    for arms, name, note in (
        (one.balanced, "CUPED, covariate means equal", ""),
        (one.arms, "CUPED, covariate means as drawn", THETA),
    ):
        said = Mean("metric", "covariate").analyze_aggregates(
            *(_aggregates(arm, "metric", "covariate") for arm in arms)
        )
        found = cuped(*(arm.with_covariate for arm in arms))
        yield (name, peer, note), _numbers(welch(found.control, found.treatment)), _absolute(said)
    yield from _tea_rates_and_ranks(one, peer)


def _tea_rates_and_ranks(one: Experiment, peer: str) -> Iterator[Check]:
    counts = [number for arm in one.arms for number in (int(arm.success.sum()), arm.n)]
    rates = Proportion("success", method="norm", equal_var=True, correction=False)
    said = rates.analyze_aggregates(*(_aggregates(arm, "success") for arm in one.arms))
    own = [two_proportions(*counts).p_value]
    yield ("two rates, pooled z, p", peer, ""), own, [said.pvalue]
    ranks = MannWhitneyU("metric").analyze_granular(
        *(pa.table({"metric": arm.metric}) for arm in one.arms)
    )
    found = mann_whitney(*(arm.metric for arm in one.arms))
    own, theirs = [found.effect, found.p_value], [ranks.treatment, ranks.pvalue]
    yield ("Mann-Whitney, effect, p", peer, ""), own, theirs


def spotify_checks(one: Experiment) -> Iterator[Check]:
    """Compare the tests at one look."""
    found = welch(*(arm.moments for arm in one.arms))
    frame = pd.DataFrame(
        {
            "arm": ["control", "treatment"],
            "n": [arm.n for arm in one.arms],
            "sum": [arm.metric.sum() for arm in one.arms],
            "squares": [arm.metric @ arm.metric for arm in one.arms],
        }
    )
    for test, name, own in (
        (StudentsTTest, "Welch, effect, interval, p", found),
        (ZTest, "z-test, effect, interval, p", conclude(found.effect, found.se)),
    ):
        said = test(
            frame,
            numerator_column="sum",
            numerator_sum_squares_column="squares",
            denominator_column="n",
            categorical_group_columns="arm",
            interval_size=0.95,
        ).difference(level_1="control", level_2="treatment", absolute=True)
        row = said.iloc[0]
        theirs = [float(row[key]) for key in ("difference", "ci_lower", "ci_upper", "p-value")]
        yield (name, "spotify-confidence", ""), _numbers(own), theirs


def ville_checks(one: Experiment) -> Iterator[Check]:
    """Compare confidence sequences, e-processes and procedures for many hypotheses."""
    peer, arm = "ville", one.treatment
    n, moments = arm.n, arm.moments
    sequence = ville.AsymptoticCS(alpha=0.05, t_opt=1000).fit(arm.metric)
    rule, se = AsymptoticRule(0.05, 1 / sequence.rho_), (moments.var / n) ** 0.5
    own = list(rule.interval(moments.mean, se, n))
    yield ("asymptotic confidence sequence", peer, ""), own, list(sequence.interval())
    bound = float(ville.normal_mixture(n, 0.05, 1 / tuned_rho2(0.05, 5000)))
    tuned = AsymptoticRule(0.05, tuned_rho2(0.05, 5000))
    yield ("normal mixture boundary", peer, ""), [tuned.radius(1.0, n) * n**0.5], [bound]
    assigned = (np.arange(n) % 7 < 3).astype(float)
    prior = 1000 * 0.4, 1000 * 0.6
    test = ville.BernoulliTest(0.4, prior=prior).fit(assigned)
    counts = {"a": int(assigned.sum()), "b": n - int(assigned.sum())}
    own = [sample_ratio_log_evalue(counts, {"a": 0.4, "b": 0.6})]
    key = "sample ratio e-process of two arms, ln e", peer, ""
    yield key, own, [float(test.log_e_values_[-1])]
    p = np.clip(np.abs(arm.covariate[:40]) / 20, 0, 1) ** 3
    adjusted = np.array(adjust(p.tolist(), "benjamini-hochberg")) <= 0.05
    own = [*adjusted.astype(float), *np.array(e_bh((1 / (p + 1e-3)).tolist())).astype(float)]
    theirs = [*ville.evalues.bh(p).astype(float), *ville.evalues.ebh(1 / (p + 1e-3)).astype(float)]
    yield ("Benjamini-Hochberg and e-BH, decisions", peer, ""), own, theirs


def confseq_checks() -> Iterator[Check]:
    """Compare the boundary and the e-process behind the asymptotic sequence."""
    for n, planned, alpha, bound, log_e in CONFSEQ:
        rule = AsymptoticRule(alpha, tuned_rho2(alpha, planned))
        own = [rule.radius(1.0, n) * n**0.5, rule.log_e_value(3.2, n)]
        yield ("normal mixture boundary, ln e", "confseq (stored values)", ""), own, [bound, log_e]
