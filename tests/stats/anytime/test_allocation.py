"""Units against their propensities: scipy's quadrature, a supermartingale and simulations."""

from __future__ import annotations

from math import asinh, cosh, exp, expm1, hypot, inf, log, log1p, nan, pi, sinh, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.stats import cauchy

from palio.stats import allocation_ratio

Array = NDArray[np.float64]
HALVES = {"a": 0.5, "b": 0.5}


def scale_of(planned: float) -> float:
    """Of the prior: twice the root of rule 2's mixture variance at 0.001, for a bounded unit has
    a variance of 1/4 at most."""
    evidence = -2 * log(0.001)
    return 2 * sqrt((evidence + log1p(evidence)) / planned)


def log_evalue(n: int, gaps: dict[str, int], weights: dict[str, float] = HALVES) -> float:
    """Of counts that are off by so much, under the same weights for all units."""
    expected = {key: n * weight for key, weight in weights.items()}
    counts = {key: round(total) + gaps.get(key, 0) for key, total in expected.items()}
    return allocation_ratio(counts, expected, n=n, planned=5_000).log_evalue


@pytest.mark.parametrize(("n", "gap", "share"), [(900, 30, 0.5), (5_000, -60, 0.1), (50, 1, 0.9)])
def test_equals_the_integral_over_tilts(n: int, gap: int, share: float) -> None:
    """scipy integrates the binomial likelihood ratio over a Cauchy prior, cut at sinh(6) of its
    scales and divided by what is inside; the grid's ends are 1e-4 of it."""
    scale, total = scale_of(5_000), n * share
    end, inside = scale * sinh(6), 1 - 2 * cauchy.sf(sinh(6))

    def mixed(sign: int, part: float) -> float:
        count = round(n * part) + sign * gap

        def density(u: float) -> float:
            x = scale * sinh(u)
            ratio = x * count - n * log1p(part * expm1(x))
            return float(cauchy.pdf(x, scale=scale) * scale * cosh(u) * exp(ratio))

        return float(quad(density, -asinh(end / scale), asinh(end / scale), limit=200)[0]) / inside

    counts = {"a": round(total) + gap, "b": n - round(total) - gap}
    found = allocation_ratio(counts, {"a": total, "b": n - total}, n=n, planned=5_000)
    expected = log((mixed(1, share) + mixed(-1, 1 - share)) / 2)
    assert found.log_evalue == pytest.approx(expected, abs=2e-4)
    assert found.p_value == pytest.approx(min(1.0, exp(-expected)), rel=2e-4)


@given(st.integers(1, 20_000), st.integers(-400, 400), st.floats(0.05, 0.95))
def test_the_best_tilt_is_at_least_as_much_evidence_as_hoeffding_allows(
    n: int, gap: int, share: float
) -> None:
    """By a variance of 1/4 a unit it is 4 S/n, worth 2 S^2/n, of which the prior leaves the weight
    of its node, ``0.06 / (pi cosh(u))``, and at most 0.8 is lost as it lies between two."""
    count = min(max(round(n * share) + gap, 0), n)
    expected = {"a": n * share, "b": n - n * share}
    found = allocation_ratio({"a": count, "b": n - count}, expected, n=n, planned=5_000)
    off = count - n * share
    weight = 0.06 / pi / hypot(1, 4 * off / n / scale_of(5_000))
    assert found.log_evalue >= 2 * off * off / n + log(weight / 2) - 0.8


@given(
    st.lists(st.tuples(st.integers(0, 3_000), st.floats(0, 1)), min_size=2, max_size=4),
    st.lists(st.floats(0.001, 1), min_size=4, max_size=4),
)
def test_no_next_unit_makes_it_grow_on_average(
    arms: list[tuple[int, float]], raw: list[float]
) -> None:
    """The mean of e-values after a unit, under its own propensities, is at most the present one:
    whatever was expected so far, whatever the bandit does next."""
    n, k = sum(count for count, _ in arms), len(arms)
    parts = np.array([part for _, part in arms]) + 0.01
    before, chances = parts / parts.sum() * n, np.array(raw[:k]) / sum(raw[:k])
    keys = [str(at) for at in range(k)]
    counts = {key: count for key, (count, _) in zip(keys, arms, strict=True)}

    def e(counts: dict[str, int], sums: Array, n: int) -> float:
        expected = dict(zip(keys, sums.tolist(), strict=True))
        return allocation_ratio(counts, expected, n=n, planned=1_000).log_evalue

    now = e(counts, before, n)
    after = [e(counts | {key: counts[key] + 1}, before + chances, n + 1) for key in keys]
    assert sum(c * exp(a - now) for c, a in zip(chances, after, strict=True)) <= 1 + 1e-9


@given(st.integers(0, 40), st.integers(0, 40), st.floats(0.1, 0.9))
def test_it_does_not_matter_which_arm_is_which(first: int, second: int, share: float) -> None:
    n = first + second
    one = allocation_ratio({"a": first, "b": second}, {"a": n * share, "b": n - n * share}, n=n)
    two = allocation_ratio({"b": first, "a": second}, {"b": n * share, "a": n - n * share}, n=n)
    assert one.log_evalue == pytest.approx(two.log_evalue, abs=1e-9)
    assert 0 <= one.p_value <= 1


def thompson(
    rng: np.random.Generator, sims: int, units: int, *, lost: float = 0.0
) -> tuple[Array, Array, Array]:
    """Three arms that succeed with 0.2, 0.3 and 0.4, under weights from 64 posterior draws.

    The weights change after every 20 units; ``lost`` is the chance that a unit of the last arm
    never gets into the log. Returns counts and expected (sims, units, 3) and n (sims, units) after
    every unit that came.
    """
    rates, row = np.array([0.2, 0.3, 0.4]), np.arange(sims)
    wins, losses = np.ones((2, sims, 3))
    counts, expected = np.zeros((2, sims, 3))
    seen: tuple[list[Array], list[Array]] = ([], [])
    for at in range(units):
        if at % 20 == 0:
            draws = rng.beta(wins[:, None], losses[:, None], (sims, 64, 3)).argmax(axis=2)
            shares = (draws[:, :, None] == np.arange(3)).mean(axis=1)
            weights = 0.9 * shares + 0.1 / 3
        arm = (rng.random(sims)[:, None] > weights.cumsum(axis=1)[:, :2]).sum(axis=1)
        success = rng.random(sims) < rates[arm]
        wins[row, arm] += success
        losses[row, arm] += ~success
        kept = ~((arm == 2) & (rng.random(sims) < lost))
        counts[row, arm] += kept
        expected += weights * kept[:, None]
        seen[0].append(counts.copy())
        seen[1].append(expected.copy())
    table = [np.stack(rows, axis=1) for rows in seen]
    return table[0], table[1], table[0].sum(axis=2)


def log_evalues(counts: Array, expected: Array, n: Array, *, planned: float) -> Array:
    """The formula on arrays (..., 3), for a million of them; equality is tested below."""
    steps = np.linspace(-6, 6, 201)
    tilts, weights = scale_of(planned) * np.sinh(steps), 1 / np.cosh(steps)
    share = (expected / np.maximum(n, 1)[..., None])[..., None]
    logs = counts[..., None] * tilts
    logs -= n[..., None, None] * np.log1p(share * np.expm1(tilts))
    found = np.exp(logs, out=logs) @ (weights / weights.sum())
    return np.asarray(np.log(found.mean(axis=-1)))


def test_looking_after_every_unit_keeps_the_error_rate() -> None:
    """300 bandits of 1,000 units, seed 41, most sensitive at 500: at most 5 % ever alarm, within
    three standard errors."""
    sims = 300
    counts, expected, n = thompson(np.random.default_rng(41), sims, 1_000)
    assert expected[:, -1].max() > 4 * expected[:, -1].min()  # the allocation did change
    rows = zip(counts, expected, n, strict=True)
    most = np.array([log_evalues(*row, planned=500).max() for row in rows])
    assert 0 < np.mean(most >= log(20)) <= 0.05 + 3 * sqrt(0.05 * 0.95 / sims)
    for sim, at in ((0, 10), (1, 500), (2, 999)):
        ours = allocation_ratio(
            dict(enumerate(counts[sim, at].astype(int).tolist())),  # type: ignore[arg-type]
            dict(enumerate(expected[sim, at].tolist())),  # type: ignore[arg-type]
            n=int(n[sim, at]), planned=500,
        )  # fmt: skip
        theirs = log_evalues(counts[sim, at], expected[sim, at], n[sim, at], planned=500)
        assert ours.log_evalue == pytest.approx(float(theirs), abs=1e-9)


@pytest.mark.parametrize(
    ("weights", "units"), [((0.5, 0.5), 200_000), ((0.9, 0.1), 500_000), ((0.2,) * 5, 400_000)]
)
def test_a_loss_of_2_percent_of_an_arm_is_found(weights: tuple[float, ...], units: int) -> None:
    """At 0.001, looked at after every 5,000 units, in more than half of 100 simulations."""
    rng, named = np.random.default_rng(43), [str(at) for at in range(len(weights))]
    kept = np.array(weights) * np.where(np.arange(len(weights)) == 1, 0.98, 1.0)
    found = 0
    for _ in range(100):
        rows = rng.multinomial(5_000, kept / kept.sum(), units // 5_000).cumsum(axis=0)
        found += any(
            allocation_ratio(
                dict(zip(named, row, strict=True)),
                dict(zip(named, [sum(row) * weight for weight in weights], strict=True)),
                n=sum(row),
            ).p_value <= 0.001
            for row in rows.tolist()
        )  # fmt: skip
    assert found > 50


def test_a_bandit_that_loses_units_is_found() -> None:
    """A quarter of the best arm's units is lost: 2,000 units, seed 47, most of 60 are found."""
    counts, expected, n = thompson(np.random.default_rng(47), 60, 2_000, lost=0.25)
    last = log_evalues(counts[:, -1], expected[:, -1], n[:, -1], planned=1_000)
    assert np.mean(last >= log(20)) > 0.5


def test_gaps_are_evidence_and_their_absence_is_none() -> None:
    found = [log_evalue(10_000, {"a": gap, "b": -gap}) for gap in (0, 100, 200, 400)]
    assert found[0] < 0
    assert found == sorted(found)
    assert allocation_ratio({}, {"a": 0.0, "b": 0.0}, n=0).p_value == pytest.approx(1)
    assert allocation_ratio({"a": 7}, {"a": 7.0}, n=7).log_evalue == pytest.approx(0, abs=1e-12)


def test_units_without_propensity_are_certain_evidence() -> None:
    found = allocation_ratio({"a": 9, "b": 1}, {"a": 10.0, "b": 0.0}, n=10)
    assert (found.log_evalue, found.p_value) == (inf, 0.0)


@pytest.mark.parametrize(
    ("counts", "expected", "options", "says"),
    [
        ({"a": 1}, {"a": 1.0}, {"n": -1}, "n must be a whole number >= 0, got -1"),
        ({}, {}, {"n": 0}, "expected must hold one arm at least, got none"),
        ({"a": 5}, {"a": -1.0, "b": 6.0}, {"n": 5}, r"expected\['a'\] must be in \[0, 5"),
        ({"a": 5}, {"a": nan, "b": 5.0}, {"n": 5}, r"expected\['a'\] must be .*got nan"),
        ({"a": 5}, {"a": 4.0}, {"n": 5}, "expected must sum to n = 5, got 4"),
        ({"a": 5}, {"a": 5.0}, {"n": 6}, "counts must sum to n = 6, got 5"),
        ({"a": 5, "b": -1}, {"a": 4.0, "b": 0.0}, {"n": 4}, r"counts\['b'\] must be a whole"),
        ({"a": 5, "c": 1}, {"a": 6.0}, {"n": 6}, r"counts\['c'\] must be of an arm with a"),
        ({"a": 5}, {"a": 5.0}, {"n": 5, "planned": 99}, r"planned must be in \[100, 1e\+12\]"),
    ],
)
def test_arguments_outside_the_range_are_named(
    counts: dict[str, int], expected: dict[str, float], options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        allocation_ratio(counts, expected, **options)
