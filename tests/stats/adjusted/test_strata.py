"""Strata: formulas on raw rows, statsmodels' meta-analysis and simulations are the witnesses."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import chi2, ttest_ind
from statsmodels.stats.meta_analysis import combine_effects

from palio.stats.adjusted.strata import heterogeneity, post_stratify, worst_segment
from palio.stats.anytime.sequential import compare
from palio.stats.moments import Moments
from palio.stats.one_look.means import welch

Array = NDArray[np.float64]
Pair = tuple[Moments, Moments]

numbers = st.floats(-1e3, 1e3)
arm = st.builds(Moments, st.integers(2, 10**6), numbers, st.floats(1e-3, 1e3))
strata = st.lists(st.tuples(arm, arm), min_size=1, max_size=6)


def rows(seed: int) -> list[tuple[Array, Array]]:
    rng = np.random.default_rng(seed)
    sizes = ((50, 7), (200, 300), (3, 90))
    return [
        (rng.normal(at, 1 + at, c), rng.normal(at + 0.3, 2, t)) for at, (c, t) in enumerate(sizes)
    ]


def moments(raw: list[tuple[Array, Array]]) -> list[Pair]:
    return [(Moments.of(c), Moments.of(t)) for c, t in raw]


@pytest.mark.parametrize("weights", [None, (0.2, 0.5, 0.3), (1.0, 0.0, 0.0)])
def test_equals_the_formula_on_raw_rows(weights: tuple[float, ...] | None) -> None:
    raw = rows(1)
    sizes = np.array([c.size + t.size for c, t in raw])
    w = sizes / sizes.sum() if weights is None else np.array(weights)
    effects = np.array([t.mean() - c.mean() for c, t in raw])
    squares = np.array([c.var(ddof=1) / c.size + t.var(ddof=1) / t.size for c, t in raw])
    found = post_stratify(moments(raw), weights=weights)
    look = welch(found.control, found.treatment)
    assert found.weights == pytest.approx(w)
    assert look.effect == pytest.approx(w @ effects, rel=1e-9)
    assert look.se == pytest.approx(sqrt(w**2 @ squares), rel=1e-9)
    assert (found.control.n, found.treatment.n) == (253, 397)


def test_one_stratum_is_the_arms_themselves() -> None:
    pair = moments(rows(2))[0]
    found = post_stratify([pair])
    assert (found.control, found.treatment) == pair


def test_changed_weights_do_not_turn_the_sign() -> None:
    """Simpson: 10 % treatment in good times, 50 % in bad ones, and it is better in both."""
    good = Moments(9_000, 10.0, 4.0), Moments(1_000, 10.2, 4.0)
    bad = Moments(5_000, 5.0, 4.0), Moments(5_000, 5.2, 4.0)
    pooled = welch(good[0].merge(bad[0]), good[1].merge(bad[1]))
    found = post_stratify([good, bad])
    apart = welch(found.control, found.treatment)
    assert pooled.upper < 0 < apart.lower
    assert apart.effect == pytest.approx(0.2)
    assert compare(found.control, found.treatment, planned=20_000).significant


def test_constant_looking_keeps_the_error_rate_under_changed_weights() -> None:
    """20 looks, the level falling as treatment's share goes from 20 % to 50 %: at most 5 %.

    400 simulations with seed 3, three errors; the pooled means are always wrong about it.
    """
    rng, sims, wrong, pooled_wrong = np.random.default_rng(3), 400, 0, 0
    plan = {"planned": 6_000}
    for _ in range(sims):
        epochs: list[Pair] = []
        found = []
        for level, sizes in ((1.0, (240, 60)), (0.0, (150, 150))):
            raw = [rng.normal(level, 1, (10, n)) for n in sizes]
            for at in range(1, 11):
                now = (Moments.of(raw[0][:at].ravel()), Moments.of(raw[1][:at].ravel()))
                both = post_stratify([*epochs, now])
                found.append(compare(both.control, both.treatment, **plan).significant)
            epochs.append(now)
        together = [a.merge(b) for a, b in zip(*epochs, strict=True)]
        wrong += any(found)
        pooled_wrong += compare(together[0], together[1], **plan).significant
    assert wrong / sims <= 0.05 + 3 * sqrt(0.05 * 0.95 / sims)
    assert pooled_wrong == sims


@given(strata)
def test_post_stratify_properties(pairs: list[Pair]) -> None:
    found, turned = post_stratify(pairs), post_stratify([(t, c) for c, t in pairs])
    assert (turned.control, turned.treatment) == (found.treatment, found.control)
    assert sum(found.weights) == pytest.approx(1)
    means = [c.mean for c, _ in pairs]
    assert min(means) - 1e-9 <= found.control.mean <= max(means) + 1e-9
    more = [tuple(Moments(a.n * 4, a.mean, a.var) for a in pair) for pair in pairs]
    half = post_stratify([(c, t) for c, t in more])
    before, after = (welch(f.control, f.treatment).se for f in (found, half))
    assert after == pytest.approx(before / 2)


def test_heterogeneity_equals_meta_analysis() -> None:
    """statsmodels.stats.meta_analysis.combine_effects; p-value by scipy's chi-square."""
    pairs = moments(rows(4))
    looks = [welch(c, t) for c, t in pairs]
    theirs = combine_effects(
        np.array([k.effect for k in looks]), np.array([k.se for k in looks]) ** 2
    )
    ours = heterogeneity(pairs)
    assert (ours.q, ours.df) == (pytest.approx(theirs.q, rel=1e-9), 2)
    assert ours.i2 == pytest.approx(max(0, theirs.i2), rel=1e-9)
    assert ours.p_value == pytest.approx(chi2.sf(theirs.q, 2), rel=1e-9)
    turned = heterogeneity([(t, c) for c, t in pairs])
    assert turned.q == pytest.approx(ours.q)


def test_heterogeneity_where_the_effect_differs_and_where_not() -> None:
    same = [(Moments(100, m, 1.0), Moments(100, m + 1, 1.0)) for m in (0.0, 7.0, 3.0)]
    assert (heterogeneity(same).q, heterogeneity(same).p_value) == (0.0, 1.0)
    assert heterogeneity(same).i2 == 0
    differs = [*same, (Moments(100, 0.0, 1.0), Moments(100, 2.0, 1.0))]
    found = heterogeneity(differs)
    # by hand: se^2 = 1/50, effects 1, 1, 1, 2 about 1.25
    assert found.q == pytest.approx(50 * (3 * 0.0625 + 0.5625))
    assert found.i2 == pytest.approx(1 - 3 / 37.5)
    assert found.p_value < 1e-6


def test_strata_without_variance_say_nothing_about_heterogeneity() -> None:
    still = (Moments(9, 0.0, 0.0), Moments(9, 5.0, 0.0))
    pairs = moments(rows(5))
    assert heterogeneity([*pairs, still]) == heterogeneity(pairs)
    for few in ([still], [pairs[0]], [pairs[0], still]):
        found = heterogeneity(few)
        assert (found.q, found.df, found.p_value, found.i2) == (0.0, 0, 1.0, 0.0)


def test_heterogeneity_keeps_its_error_rate() -> None:
    """2,000 simulations of 6 strata without a difference between effects: 5 % +- 3 errors."""
    rng, sims, found = np.random.default_rng(6), 2_000, 0
    n = 400
    for means in rng.normal(0, 1 / sqrt(n), (sims, 6, 2)).tolist():
        pairs = [(Moments(n, c, 1.0), Moments(n, t, 1.0)) for c, t in means]
        found += heterogeneity(pairs).p_value <= 0.05
    assert found / sims == pytest.approx(0.05, abs=3 * sqrt(0.05 * 0.95 / sims))


def test_the_worst_segment_by_hand() -> None:
    """scipy's Welch on raw rows at Sidak's level for three segments."""
    raw = rows(7)
    raw[1][1][:] -= 4.0
    named = dict(zip("abc", moments(raw), strict=True))
    found = worst_segment(named, alpha=0.1)
    each = 1 - 0.9 ** (1 / 3)
    theirs = ttest_ind(raw[1][1], raw[1][0], equal_var=False)
    interval = theirs.confidence_interval(1 - each)
    assert (found.segment, found.alpha) == ("b", pytest.approx(each))
    assert found.estimate.effect == pytest.approx(raw[1][1].mean() - raw[1][0].mean())
    assert (found.estimate.lower, found.estimate.upper) == pytest.approx(tuple(interval))
    assert found.estimate.p_value == pytest.approx(1 - (1 - theirs.pvalue) ** 3, abs=1e-12)
    best = worst_segment(named, direction="smaller")
    assert best.segment == max(named, key=lambda k: named[k][1].mean - named[k][0].mean)


def test_the_choice_is_paid_for() -> None:
    """8 segments with the effect 0.1; 2,000 simulations, three errors.

    The least of 8 misses only by lying too low: unadjusted bounds hold with 0.975^8 = 82 %, the
    simultaneous ones with (1 - each / 2)^8, about 97.5 %, as the other 2.5 % are the largest's.
    """
    rng, sims, n = np.random.default_rng(8), 2_000, 400
    names = "abcdefgh"
    hold = bare = 0
    for means in rng.normal([0.0, 0.1], 1 / sqrt(n), (sims, 8, 2)).tolist():
        named = {
            name: (Moments(n, c, 1.0), Moments(n, t, 1.0))
            for name, (c, t) in zip(names, means, strict=True)
        }
        found = worst_segment(named)
        hold += found.estimate.lower <= 0.1 <= found.estimate.upper
        alone = welch(*named[found.segment])
        bare += alone.lower <= 0.1 <= alone.upper
    assert hold / sims == pytest.approx(0.975, abs=3 * sqrt(0.025 * 0.975 / sims))
    assert bare / sims == pytest.approx(0.975**8, abs=3 * sqrt(0.82 * 0.18 / sims))


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.tuples(arm, arm), min_size=1),
    st.floats(0.001, 0.5),
)
def test_worst_segment_properties(named: dict[str, Pair], alpha: float) -> None:
    found = worst_segment(named, alpha=alpha)
    estimate = found.estimate
    assert estimate.lower <= estimate.effect <= estimate.upper
    assert found.alpha <= alpha * (1 + 1e-12)
    assert all(t.mean - c.mean >= estimate.effect for c, t in named.values())
    if abs(estimate.p_value / alpha - 1) > 1e-6:
        assert (estimate.p_value <= alpha) == (estimate.lower > 0 or estimate.upper < 0)
    turned = worst_segment({k: (t, c) for k, (c, t) in named.items()}, alpha=alpha,
                           direction="smaller")  # fmt: skip
    assert turned.estimate.upper == pytest.approx(-estimate.lower)
    assert worst_segment({"z": named[found.segment]}, alpha=alpha).estimate.se == estimate.se


def test_a_segment_without_variance_is_chosen_last() -> None:
    still = (Moments(9, 0.0, 0.0), Moments(9, -5.0, 0.0))
    varied = (Moments(9, 0.0, 1.0), Moments(9, 5.0, 1.0))
    assert worst_segment({"still": still, "varied": varied}).segment == "varied"
    found = worst_segment({"still": still, "other": (still[1], still[0])})
    assert (found.segment, found.estimate.lower, found.estimate.p_value) == ("still", -inf, 1.0)


GOOD: Pair = (Moments(9, 0.0, 1.0), Moments(9, 1.0, 1.0))
SMALL: Pair = (Moments(9, 0.0, 1.0), Moments(1, 1.0, 0.0))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: post_stratify([]), "strata must hold at least one, got none"),
        (lambda: heterogeneity([]), "strata must hold at least one, got none"),
        (lambda: worst_segment({}), "strata must hold at least one, got none"),
        (lambda: post_stratify([GOOD, SMALL]), "n of treatment in stratum 1 must be >= 2, got 1"),
        (
            lambda: heterogeneity([(Moments(0, 0, 0), GOOD[1])]),
            "n of control in stratum 0 must be >= 2, got 0; leave the stratum out or merge it",
        ),
        (lambda: worst_segment({"uk": SMALL}), "n of treatment in stratum 'uk' must be >= 2"),
        (lambda: post_stratify([GOOD], weights=[0.5, 0.5]), "weights must be 1 as .* got 2"),
        (lambda: post_stratify([GOOD] * 2, weights=[0.5, 0.6]), "weights must sum to 1, got 1.1"),
        (
            lambda: post_stratify([GOOD] * 2, weights=[1.5, -0.5]),
            r"weights\[0\] must be in \[0, 1\], got 1.5",
        ),
        (lambda: post_stratify([GOOD], weights=[nan]), r"weights\[0\] must be in"),
        (lambda: worst_segment({"a": GOOD}, alpha=0), r"alpha must be in \(0, 1\), got 0"),
        (
            lambda: worst_segment({"a": GOOD}, direction=_any("up")),
            "direction must be larger or smaller, got 'up'",
        ),
        (
            lambda: heterogeneity([GOOD, (Moments(9, 0.0, 1.0), Moments(9, 1e200, 1.0))]),
            "Q of strata must be finite, got inf",
        ),
        (
            lambda: post_stratify([(Moments(9, 0.0, 1e308), GOOD[1])] * 2, weights=[1.0, 0.0]),
            "var must be finite",
        ),
    ],
)
def test_arguments_outside_the_range_are_named(call: Callable[[], object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        call()


def _any(value: object) -> Any:
    return value
