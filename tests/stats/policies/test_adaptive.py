"""Two arms of a bandit: the sums by hand, what they keep, and coverage under Thompson sampling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import inf, nan, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import ndtr

from palio.stats.anytime.asymptotic import AsymptoticRule, tuned_rho2
from palio.stats.anytime.sequential import compare_paired
from palio.stats.moments import Moments
from palio.stats.policies.adaptive import AdaptiveSums, adaptive_interval

Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, Array], Array]
VERSION, ROUNDS = 50, 1_000
FIELDS = AdaptiveSums.__slots__


def numbers(sums: AdaptiveSums) -> list[float]:
    return [getattr(sums, name) for name in FIELDS]


def gauss(rng: np.random.Generator, means: Array) -> Array:
    return means + rng.standard_normal(means.shape)


def bernoulli(rng: np.random.Generator, means: Array) -> Array:
    return (rng.random(means.shape) < means).astype(float)


def best(means: Array, errors: Array) -> Array:
    """P(arm is best) under independent normal posteriors, shape (sims, K); 24 nodes an arm."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(24)
    shares = np.empty_like(means)
    for arm in range(means.shape[1]):
        points = means[:, [arm]] + errors[:, [arm]] * nodes
        below = [
            ndtr((points - means[:, [k]]) / errors[:, [k]])
            for k in range(means.shape[1])
            if k != arm
        ]
        shares[:, arm] = np.prod(below, axis=0) @ weights
    return shares / shares.sum(axis=1, keepdims=True)


@dataclass
class Bandit:
    """Thompson sampling with a floor of 0.05, a new policy version every 50 rounds.

    Arrays over simulations and rounds; per version the propensities (sims, K) and the guesses,
    arm means with one pseudo-unit at the mean of all.
    """

    outcomes: Array
    chosen: Array
    propensities: list[Array]
    guesses: list[Array]


def thompson(
    draw: Draw, truth: list[float], *, sims: int, seed: int, early: list[float] | None = None
) -> Bandit:
    """Run; for the first two versions with the shares ``early``, equal ones for the first."""
    rng, arms = np.random.default_rng(seed), len(truth)
    n, s1, s2 = (np.zeros((sims, arms)) for _ in range(3))
    run = Bandit(np.empty((sims, ROUNDS)), np.empty((sims, ROUNDS)), [], [])
    for version in range(ROUNDS // VERSION):
        overall = (s1.sum(axis=1, keepdims=True) + 0.5) / (n.sum(axis=1, keepdims=True) + 1)
        guess = (s1 + overall) / (n + 1)
        spread = np.maximum(s2 - s1**2 / np.maximum(n, 1), 0) + 0.25
        if version < 2 and early:
            shares = np.tile(np.array(early), (sims, 1))
        elif version == 0:
            shares = np.full((sims, arms), 1 / arms)
        else:
            shares = 0.05 + (1 - 0.05 * arms) * best(guess, np.sqrt(spread) / (n + 1))
        run.propensities.append(shares)
        run.guesses.append(guess)
        rounds = slice(version * VERSION, (version + 1) * VERSION)
        where = rng.random((sims, VERSION, 1)) > shares.cumsum(axis=1)[:, None, :-1]
        arm = where.sum(axis=2)
        y = draw(rng, np.array(truth)[arm])
        run.outcomes[:, rounds], run.chosen[:, rounds] = y, arm
        for k in range(arms):
            mine = arm == k
            n[:, k] += mine.sum(axis=1)
            s1[:, k] += (mine * y).sum(axis=1)
            s2[:, k] += (mine * y * y).sum(axis=1)
    return run


def looks(run: Bandit) -> list[list[AdaptiveSums]]:
    """Cumulative sums of every simulation, at the end of every version."""
    found = []
    for sim in range(len(run.outcomes)):
        sums, path = AdaptiveSums(), []
        for version in range(ROUNDS // VERSION):
            rounds = slice(version * VERSION, (version + 1) * VERSION)
            part = AdaptiveSums.of(
                run.outcomes[sim, rounds], run.chosen[sim, rounds],
                run.propensities[version][sim], means=run.guesses[version][sim],
            )  # fmt: skip
            sums = sums.merge(part)
            path.append(sums)
        found.append(path)
    return found


def naive(run: Bandit, *, start: int = 100) -> tuple[Array, Array]:
    """Difference of the plain arm means and 1.96 standard errors, at every round from start."""
    effects, squares = np.zeros(()), np.zeros(())
    for arm, sign in ((0, -1), (1, 1)):
        mine = run.chosen == arm
        n = np.maximum(mine.cumsum(axis=1), 2)
        mean = (mine * run.outcomes).cumsum(axis=1) / n
        var = ((mine * run.outcomes**2).cumsum(axis=1) - n * mean**2) / (n - 1)
        effects, squares = effects + sign * mean, squares + var / n
    return effects[:, start:], 1.96 * np.sqrt(squares[:, start:])


def textbook(run: Bandit) -> Array:
    """Half-width at the last round of rule 2 for the plain mean of the scores d, 95 %."""
    e = np.repeat(np.stack(run.propensities, axis=1), VERSION, axis=1)
    m = np.repeat(np.stack(run.guesses, axis=1), VERSION, axis=1)
    at = run.chosen[..., None] == np.arange(2)
    scores = m + at * (run.outcomes[..., None] - m) / e
    d = scores[..., 1] - scores[..., 0]
    rule = AsymptoticRule(0.05, tuned_rho2(0.05, ROUNDS))
    return d.std(axis=1) / sqrt(ROUNDS) * rule.radius(1.0, ROUNDS)


CELLS: dict[str, tuple[Draw, list[float], list[float] | None]] = {
    "gauss": (gauss, [0.0, 0.0], None),
    "bernoulli": (bernoulli, [0.3, 0.3], None),
    "unequal": (bernoulli, [0.3, 0.5], None),
    "three arms, heavy early": (gauss, [0.0, 0.2, 0.3], [0.8, 0.1, 0.1]),
}


@pytest.mark.parametrize("cell", CELLS)
def test_covers_at_all_looks_together(cell: str) -> None:
    """300 simulations, 19 looks from 100 rounds on: 95 % less three standard errors."""
    draw, truth, early = CELLS[cell]
    paths = looks(thompson(draw, truth, sims=300, seed=21, early=early))
    effect = truth[1] - truth[0]
    for plan in ({"horizon": ROUNDS}, {"planned": ROUNDS}):
        covered = 0
        for path in paths:
            found = [adaptive_interval(sums, **plan) for sums in path[1:]]
            assert all(one.rule != "none" for one in found)
            covered += all(one.lower <= effect <= one.upper for one in found)
        assert covered / 300 >= 0.95 - 3 * sqrt(0.95 * 0.05 / 300)


def test_narrower_than_the_textbook_where_plain_means_fail() -> None:
    """Equal arms: plain means miss in a third of the runs or more; benchmarks/bench_adaptive.py
    has ours at .79 of the textbook's half-width, 5 % is left for 400 simulations."""
    run = thompson(gauss, [0.0, 0.0], sims=400, seed=22)
    effects, halves = naive(run)
    assert (np.abs(effects) <= halves).all(axis=1).mean() < 0.75
    ends = [adaptive_interval(path[-1], horizon=ROUNDS) for path in looks(run)]
    ours = np.array([(one.upper - one.lower) / 2 for one in ends])
    assert ours.mean() <= 0.83 * textbook(run).mean()


def test_scores_are_unbiased_whatever_was_guessed() -> None:
    """2,000 runs with a guess of 5 where the truth is 0 and 0.3: within 4 standard errors."""
    run = thompson(gauss, [0.0, 0.3], sims=2_000, seed=23)
    effects = []
    for sim in range(2_000):
        sums = AdaptiveSums()
        for version in range(4):
            rounds = slice(version * VERSION, (version + 1) * VERSION)
            part = AdaptiveSums.of(
                run.outcomes[sim, rounds], run.chosen[sim, rounds],
                run.propensities[version][sim], means=[5.0, 5.0],
            )  # fmt: skip
            sums = sums.merge(part)
        effects.append(sums.total - 0.3 * sums.weight)
    assert abs(np.mean(effects)) < 4 * np.std(effects) / sqrt(2_000)


def test_sums_by_hand() -> None:
    """Propensities (.5, .25, .25), s^2 = 2: sigma^2 = 2 (2 + 4) = 12; guesses 1, 3 and 7.

    Drew 0 with outcome 2: scores 1 + 1/.5 = 3 and 3, d = 0. Drew 1 with outcome 4: scores 1 and
    3 + 1/.25 = 7, d = 6. Drew the third arm: d = 3 - 1 = 2.
    """
    sums = AdaptiveSums.of(
        [2.0, 4.0, 9.0], [0, 1, 2], [0.5, 0.25, 0.25], means=[1, 3, 7], variance=2.0
    )
    root = sqrt(12)
    assert (sums.n, sums.n_control, sums.n_treatment) == (3, 1, 1)
    assert numbers(sums)[3:] == pytest.approx(
        [3 / root, 8 / root, 40 / 12, 8 / 12, 3 / 12, 3 * 2 / 12, 3 * 4 / 12, 1.0, 1.0]
    )
    assert sums.effect == pytest.approx(8 / 3)
    assert sums.se == inf
    assert AdaptiveSums().effect == 0


def test_other_pairs_of_arms_are_the_same_contrast_with_arms_exchanged() -> None:
    y, arm, e = [2.0, 4.0, 9.0, 1.0], [0, 1, 2, 2], [0.5, 0.2, 0.3]
    last = AdaptiveSums.of(y, arm, e, means=[1, 3, 7], control=0, treatment=2)
    moved = AdaptiveSums.of(y, [2, 0, 1, 1], [0.2, 0.3, 0.5], means=[3, 7, 1], control=2)
    # control 2 and treatment 1 by default, after the arms were renamed 0 -> 2, 1 -> 0, 2 -> 1
    assert numbers(last) == pytest.approx(numbers(moved))


@pytest.mark.parametrize(
    ("few", "residuals", "squares", "expected"),
    [
        # loads of 30 and 20: own variances 4 and 1 give 140, their pooled 2.5 gives 125
        (500, (2_000.0, 500.0), 139.0, 140.0),
        (500, (500.0, 2_000.0), 0.0, 125.0),  # own 1 * 30 + 4 * 20 = 110, below the pooled 125
        (10_000, (10_000.0, 40_000.0), 0.0, 110.0),  # the pooled one no longer counts
        (500, (2_000.0, 500.0), 150.0, 150.0),  # squares observed about an effect of 0
    ],
)
def test_standard_error(
    few: int, residuals: tuple[float, float], squares: float, expected: float
) -> None:
    sums = AdaptiveSums(
        n=2 * few, n_control=few, n_treatment=few, weight=10.0, squares=squares,
        load_control=30.0, load_treatment=20.0,
        residuals_control=residuals[0], residuals_treatment=residuals[1],
    )  # fmt: skip
    assert sums.se == pytest.approx(sqrt(expected) / 10)


def test_large_arms_also_count_what_was_observed_about_the_effect() -> None:
    """The sum of ((d - effect) / sigma)^2 by numpy, where the noise grew after an arm got rare."""
    rng = np.random.default_rng(5)
    parts, d, sigma = [], [], []
    for share, noise, units in ((0.5, 1.0, 20_000), (0.05, 4.0, 60_000)):
        arm = (rng.random(units) < share).astype(int)
        y = 2.0 * arm + noise * rng.standard_normal(units)
        parts.append(AdaptiveSums.of(y, arm, [1 - share, share], means=[0, 2]))
        d.append(2 + np.where(arm == 1, (y - 2) / share, -y / (1 - share)))
        sigma.append(np.full(units, sqrt(1 / share + 1 / (1 - share))))
    sums, scores, scale = parts[0].merge(parts[1]), np.concatenate(d), np.concatenate(sigma)
    effect = (scores / scale).sum() / (1 / scale).sum()
    observed = sqrt((((scores - effect) / scale) ** 2).sum()) / (1 / scale).sum()
    assert sums.effect == pytest.approx(effect)
    assert sums.se == pytest.approx(observed)


def test_units_that_could_not_draw_both_arms_add_nothing() -> None:
    e = [[0.5, 0.5, 0.0], [0.4, 0.0, 0.6], [0.0, 0.3, 0.7], [0.3, 0.3, 0.4]]
    sums = AdaptiveSums.of([1, 2, 3, 4], [0, 2, 1, 1], e, means=[0, 0, 0])
    kept = AdaptiveSums.of([1, 4], [0, 1], [e[0], e[3]], means=[0, 0, 0])
    assert sums == kept
    ended = AdaptiveSums.of([2.0], [0], [0.4, 0.0, 0.6], means=[0, 0, 0])
    assert ended == AdaptiveSums()


def test_outcomes_near_1e9_lose_nothing() -> None:
    """Against the same less 1e9 with guesses to match; 1e-7 is what 1e9 leaves of a double."""
    rng = np.random.default_rng(6)
    arm = rng.integers(0, 2, 500)
    y = rng.normal(arm, 1.0)
    near = AdaptiveSums.of(y, arm, [0.5, 0.5], means=[0, 1])
    far = AdaptiveSums.of(y + 1e9, arm, [0.5, 0.5], means=[1e9, 1e9 + 1])
    assert far.effect == pytest.approx(near.effect, abs=1e-6)
    assert far.se == pytest.approx(near.se, rel=1e-6)


rows = st.tuples(st.floats(-100, 100), st.integers(0, 2), st.floats(0.05, 0.45))
samples = st.lists(rows, max_size=30).map(lambda found: np.array(found).reshape(-1, 3))


def sums_of(rows: Array, **more: Any) -> AdaptiveSums:
    y, arm, e = rows.T
    shares = np.stack([e, 0.9 - e, np.full_like(e, 0.1)], axis=1)
    return AdaptiveSums.of(y, arm, shares, means=[1.0, 2.0, 3.0], **more)


@given(samples, samples)
def test_merge_is_concatenation_and_subtract_takes_it_back(one: Array, two: Array) -> None:
    both = sums_of(np.concatenate([one, two]))
    merged = sums_of(one).merge(sums_of(two))
    assert numbers(merged) == pytest.approx(numbers(both), rel=1e-9, abs=1e-9)
    back = merged.subtract(sums_of(two))
    scale = max(map(abs, numbers(merged)))
    assert numbers(back) == pytest.approx(numbers(sums_of(one)), abs=1e-12 * scale + 1e-12)
    assert merged.subtract(both) == AdaptiveSums()


def test_what_rounding_leaves_below_0_is_0() -> None:
    """0.3 less (0.1 + 0.2) is -5.6e-17 in doubles, which the class would refuse."""
    left = AdaptiveSums(n=2, squares=0.3, total=0.3).subtract(
        AdaptiveSums(n=1, squares=0.1 + 0.2, total=0.1 + 0.2)
    )
    assert left.squares == 0
    assert left.total < 0


def drawn(seed: int, n: int, gap: float, share: float) -> tuple[AdaptiveSums, AdaptiveSums]:
    """One sample's contrast, and that of the exchanged arms."""
    rng = np.random.default_rng(seed)
    arm = (rng.random(n) < share).astype(int)
    y = gap * arm + rng.standard_normal(n)
    there, back = (
        AdaptiveSums.of(y, arm, [1 - share, share], means=[0, gap], control=c, treatment=1 - c)
        for c in (0, 1)
    )
    return there, back


healthy = st.builds(
    drawn,
    st.integers(0, 10**6), st.integers(100, 400), st.floats(-3, 3), st.floats(0.3, 0.7),
)  # fmt: skip
plans = st.sampled_from([{"horizon": 400}, {"horizon": 2_000}, {"horizon": 50}, {"planned": 300}])


@given(healthy, plans, st.floats(0.001, 0.2))
def test_properties(
    pair: tuple[AdaptiveSums, AdaptiveSums], plan: dict[str, int], alpha: float
) -> None:
    found, mirrored = (adaptive_interval(sums, alpha=alpha, **plan) for sums in pair)
    assert found.lower < found.effect < found.upper
    assert found.significant == (found.lower > 0 or found.upper < 0)
    if abs(found.p_value / alpha - 1) > 1e-6:
        assert found.significant == (found.p_value <= alpha)
    assert mirrored.p_value == pytest.approx(found.p_value, rel=1e-6)
    assert mirrored.lower == pytest.approx(-found.upper)
    assert adaptive_interval(pair[0], alpha=alpha / 2 + 0.0005, **plan).upper >= found.upper


@given(healthy, st.integers(2, 5), st.sampled_from([{"horizon": 2_500}, {"planned": 300}]))
def test_more_units_narrow_the_interval(
    pair: tuple[AdaptiveSums, AdaptiveSums], times: int, plan: dict[str, int]
) -> None:
    path = [AdaptiveSums(*(k * x for x in numbers(pair[0]))) for k in range(1, times + 1)]  # type: ignore[arg-type]  # counts stay whole
    found = [adaptive_interval(sums, **plan) for sums in path]
    assume(all(one.rule != "none" for one in found))
    for before, after in pairwise(found):
        assert after.upper - after.lower < before.upper - before.lower


@pytest.mark.parametrize(
    "plan",
    [
        {"horizon": 400},
        {"horizon": 390, "alpha": 0.01},
        {"planned": 300, "alternative": "larger", "null": -0.1},
        {"horizon": 800, "looks": 20, "alternative": "smaller"},
    ],
)
def test_the_rules_are_those_of_paired_differences(plan: dict[str, Any]) -> None:
    """As many units with the same mean and standard error, as `compare_paired` judges them."""
    sums, _ = drawn(1, 400, 0.1, 0.5)
    assert sums.moments == Moments(400, sums.effect, 400 * sums.se * sums.se)
    found = adaptive_interval(sums, **plan)
    assert found == compare_paired(sums.moments, **plan)
    assert found.se == pytest.approx(sums.se)
    if "horizon" in plan:
        assert found.information_share == pytest.approx(400 / plan["horizon"])
        assert found.rule == ("horizon" if plan["horizon"] >= 400 else "asymptotic")


ENOUGH: dict[str, Any] = {
    "n": 200, "n_control": 90, "n_treatment": 90, "weight": 1.0,
    "load_control": 1.0, "load_treatment": 1.0, "residuals_control": 1.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"n": 99}, "sample has 99 units, a verdict needs 100"),
        ({"n_control": 1}, "control has 1 units, a verdict needs 2"),
        ({"n_treatment": 0}, "treatment has 0 units, a verdict needs 2"),
        ({"residuals_control": 0.0}, "sample has no variance"),
        ({"load_control": 1e308, "residuals_control": 1e308}, "the sums are too large"),
        ({"total": 1e308, "weight": 1e-308}, "the sums are too large"),
        ({}, "below 1% of the planned information"),
    ],
)
def test_without_a_verdict_it_says_why(changed: dict[str, Any], says: str) -> None:
    found = adaptive_interval(AdaptiveSums(**(ENOUGH | changed)), horizon=10**6)
    assert (found.lower, found.upper, found.rule) == (-inf, inf, "none")
    assert not found.significant
    assert found.reason is not None
    assert found.reason.startswith(says)


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        ({"horizon": 10, "alpha": 0.3}, r"alpha must be in \[0.001, 0.2\], got 0.3"),
        ({"horizon": 10, "alpha": nan}, r"alpha must be in \[0.001, 0.2\], got nan"),
        ({}, "planned must be given without a horizon, got None for both"),
        ({"horizon": 0}, "horizon must be >= 1, got 0"),
    ],
)
def test_plans_outside_the_range_are_named(plan: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        adaptive_interval(AdaptiveSums(), **plan)


PAIR = [0.5, 0.5]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"outcomes": [1.0, nan]}, "outcomes must be finite"),
        ({"outcomes": [1e200, 1.0]}, "squares must be finite and >= 0, got inf"),
        ({"chosen": [0]}, "chosen must hold 2 values, got 1"),
        ({"chosen": [0, 2]}, r"chosen must be whole numbers in \[0, 2\)"),
        ({"chosen": [0, -1]}, r"chosen must be whole numbers in \[0, 2\)"),
        ({"chosen": [0, 0.5]}, r"chosen must be whole numbers in \[0, 2\)"),
        ({"propensities": [1.0]}, r"propensities must be of shape \(2, 2\), got \(1,\)"),
        ({"propensities": [[0.5, 0.5]]}, r"must be of shape \(2, 2\), got \(1, 2\)"),
        ({"propensities": [0.5, nan]}, r"propensities must be in \[0, 1\]"),
        ({"propensities": [1.5, -0.5]}, r"propensities must be in \[0, 1\]"),
        ({"propensities": [[0.5, 0.5], [0.5, 0.4]]}, "propensities must sum to 1"),
        ({"propensities": [1.0, 0.0]}, "propensities must be > 0 for the arm chosen, got 0"),
        ({"propensities": [0.96, 0.04]}, "propensities must be 0 or >= 0.05, got 0.04"),
        ({"means": [0.0, inf]}, "means must be finite"),
        ({"variance": 0.0}, "variance must be finite and > 0, got 0"),
        ({"variance": 5e-324}, "weight must be finite and >= 0, got inf"),
        ({"control": 1}, "treatment must differ from control, got 1 for both"),
        ({"control": -1}, r"control must be in \[0, 2\), got -1"),
        ({"treatment": 2}, r"treatment must be in \[0, 2\), got 2"),
        ({"floor": 0.0}, r"floor must be in \(0, 0.5\], got 0"),
        ({"floor": 0.6}, r"floor must be in \(0, 0.5\], got 0.6"),
    ],
)
def test_units_outside_the_range_are_named(changed: dict[str, Any], says: str) -> None:
    fine: dict[str, Any] = {
        "outcomes": [1.0, 2.0], "chosen": [0, 1], "propensities": PAIR, "means": [0.0, 0.0]
    }  # fmt: skip
    with pytest.raises(ValueError, match=says):
        AdaptiveSums.of(**(fine | changed))


def test_sums_outside_the_range_are_named() -> None:
    with pytest.raises(ValueError, match="total must be finite, got nan"):
        AdaptiveSums(total=nan)
    with pytest.raises(ValueError, match="n must be finite and >= 0, got -1"):
        AdaptiveSums().subtract(AdaptiveSums.of([1.0], [0], PAIR, means=[0, 0]))


def test_a_floor_may_be_declared_and_its_rounding_is_forgiven() -> None:
    assert AdaptiveSums.of([1.0], [0], [0.99, 0.01], means=[0, 0], floor=0.01).n == 1
    assert AdaptiveSums.of([1.0], [0], [0.95 + 1e-9, 0.05 - 1e-9], means=[0, 0]).n == 1
