"""Chances to be best against quadrature, posteriors against scipy's distributions."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, stats

from palio.bandits import BetaBelief, Counts, Evidence, NormalBelief, Seed, Thompson, chances
from palio.bandits.beliefs import DRAWS, draws, winners
from palio.stats.moments import Moments
from palio.stats.posterior.bayes import BetaPosterior, chance_to_be_best

FOUR_SE = 4 * 0.5 / DRAWS**0.5


def student(belief: NormalBelief, seen: Moments) -> stats.rv_continuous:
    """The posterior of the mean: Murphy (2007), equation 110, Student's t with 2 a degrees."""
    kappa = belief.kappa0 + seen.n
    a = belief.a0 + seen.n / 2
    b = belief.b0 + seen.var * (seen.n - 1) / 2
    b += belief.kappa0 * seen.n * (seen.mean - belief.m0) ** 2 / (2 * kappa)
    mean = (belief.kappa0 * belief.m0 + seen.n * seen.mean) / kappa
    return stats.t(2 * a, loc=mean, scale=(b / (a * kappa)) ** 0.5)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (Moments(10, 0.0, 1.0), Moments(12, 0.3, 4.0)),
        (Moments(2, 1.0, 0.1), Moments(2, 1.2, 3.0)),
        (Moments(900, 0.05, 0.04), Moments(90, 0.10, 1.0)),
    ],
)
def test_the_chance_of_real_rewards_is_the_integral(one: Moments, two: Moments) -> None:
    belief = NormalBelief(b0=0.5, m0=0.2)
    first, second = student(belief, one), student(belief, two)
    exact, _ = integrate.quad(
        lambda q: second.sf(first.ppf(q)), 0, 1, limit=200, epsabs=1e-6, points=[0.01, 0.99]
    )
    found = chances(belief, {"one": one, "two": two}, Seed("quadrature", 1))
    assert found["two"] == pytest.approx(exact, abs=FOUR_SE)
    assert sum(found.values()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("counts", [[(3, 7), (5, 5)], [(30, 70), (40, 60), (41, 59)]])
def test_the_chance_of_rates_is_the_integral(counts: list[tuple[int, int]]) -> None:
    exact = chance_to_be_best([BetaPosterior(1 + s, 1 + f) for s, f in counts])
    arms: dict[str, Evidence] = {f"arm{at}": Counts(*pair) for at, pair in enumerate(counts)}
    found = chances(BetaBelief(), arms, Seed("quadrature", 2))
    assert list(found.values()) == pytest.approx(exact, abs=FOUR_SE)


def test_draws_follow_the_posterior() -> None:
    """Kolmogorov-Smirnov against scipy's t and beta, fixed seeds, p above 0.001."""
    belief, seen = NormalBelief(b0=0.5), Moments(10, 0.4, 1.5)
    drawn = belief.draw(seen, Seed("ks", 0).generator("a"), DRAWS)
    assert stats.kstest(drawn, student(belief, seen).cdf).pvalue > 0.001
    rates = BetaBelief(2, 3).draw(Counts(4, 5), Seed("ks", 0).generator("a"), DRAWS)
    assert stats.kstest(rates, stats.beta(6, 8).cdf).pvalue > 0.001


def test_a_pilot_gives_mean_and_scale() -> None:
    belief = NormalBelief.from_pilot(Moments(50, 3.0, 4.0))
    assert (belief.m0, belief.b0 / belief.a0) == (3.0, 4.0)


def test_the_chance_of_an_arm_does_not_ask_for_its_place() -> None:
    arms: dict[str, Evidence] = {"a": Counts(1, 4), "b": Counts(2, 3), "c": Counts(2, 4)}
    seed = Seed("order", 3)
    turned = dict(reversed(arms.items()))
    assert chances(BetaBelief(), arms, seed) == chances(BetaBelief(), turned, seed)


def test_draws_that_are_equal_share_the_win() -> None:
    assert winners(np.array([[1.0, 2.0], [1.0, 0.0]])).tolist() == [0.75, 0.25]


def test_arms_and_versions_have_their_own_streams() -> None:
    same: dict[str, Evidence] = {"a": Counts(1, 1), "b": Counts(1, 1)}
    first, second = draws(BetaBelief(), same, Seed("s", 0))
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / DRAWS**0.5
    assert not np.array_equal(first, draws(BetaBelief(), same, Seed("s", 1))[0])
    assert not np.array_equal(first, draws(BetaBelief(), same, Seed("t", 0))[0])


def test_more_success_never_costs_chance() -> None:
    seed, policy = Seed("monotone", 0), Thompson(BetaBelief())
    found = [
        policy.shares({"a": Counts(10, 20), "b": Counts(wins, 20)}, seed)["b"]
        for wins in range(2, 30, 3)
    ]
    assert all(later > sooner for sooner, later in pairwise(found))


def test_rewards_without_a_rate_are_refused() -> None:
    with pytest.raises(ValueError, match="count wins if the win rate is the goal"):
        chances(BetaBelief(), {"a": Moments(2, 0.5, 0.1)}, Seed("s", 0))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: NormalBelief(b0=0), "b0 must be"),
        (lambda: NormalBelief(b0=1, kappa0=0), "kappa0 must be"),
        (lambda: NormalBelief(b0=1, a0=-1), "a0 must be"),
        (lambda: NormalBelief(b0=1, m0=float("nan")), "m0 must be"),
        (lambda: NormalBelief.from_pilot(Moments(5, 1.0, 0.0)), "variance of the pilot"),
        (lambda: BetaBelief(0, 1), "a0 must be"),
        (lambda: BetaBelief(1, 0), "b0 must be"),
        (lambda: Seed("s", -1), "policy_version must be"),
        (
            lambda: chances(NormalBelief(1), {"a": Moments(9, 1e200, 1.0)}, Seed("s", 0)),
            "posterior scale",
        ),
    ],
)
def test_what_is_out_of_range_is_refused(call: object, says: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=says):
        call()
