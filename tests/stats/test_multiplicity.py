"""Adjusted p-values: statsmodels is the witness; e-BH against its definition and by simulation."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import combinations, pairwise
from math import exp, inf, nan, sqrt
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, norm
from statsmodels.stats.multitest import multipletests

from palio.stats.multiplicity import Method, adjust, e_bh, sidak_alpha

Array = NDArray[np.float64]
METHODS: tuple[Method, ...] = get_args(Method)
STATSMODELS = {
    "bonferroni": "bonferroni", "sidak": "sidak", "holm": "holm", "hochberg": "simes-hochberg",
    "hommel": "hommel", "benjamini-hochberg": "fdr_bh", "benjamini-yekutieli": "fdr_by",
}  # fmt: skip
SCIPY = {"benjamini-hochberg": "bh", "benjamini-yekutieli": "by"}
FAMILYWISE: tuple[Method, ...] = METHODS[:5]

shares = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.001, 0.02, 0.5, 1.0]))
vectors = st.lists(shares, min_size=1, max_size=12)


def witness(p: list[float], method: Method) -> Array:
    with np.errstate(divide="ignore"):  # statsmodels takes the logarithm of 1 - p at p = 1
        return np.asarray(multipletests(p, method=STATSMODELS[method])[1])


@pytest.mark.parametrize("method", METHODS)
@given(p=vectors)
@settings(max_examples=60)
def test_equals_statsmodels(method: Method, p: list[float]) -> None:
    assert adjust(p, method) == pytest.approx(witness(p, method), rel=1e-12, abs=1e-300)


@pytest.mark.parametrize("method", METHODS)
def test_equals_statsmodels_on_many(method: Method) -> None:
    p = np.random.default_rng(5).beta(0.3, 2.0, 200)
    assert adjust(p, method) == pytest.approx(witness(p.tolist(), method), rel=1e-12)


@pytest.mark.parametrize("method", ["benjamini-hochberg", "benjamini-yekutieli"])
@given(p=vectors)
@settings(max_examples=60)
def test_equals_scipy(method: Method, p: list[float]) -> None:
    theirs = false_discovery_control(p, method=SCIPY[method])
    assert adjust(p, method) == pytest.approx(theirs, rel=1e-12, abs=1e-300)


def simes(p: list[float]) -> float:
    return min(len(p) * value / rank for rank, value in enumerate(sorted(p), start=1))


@given(st.lists(shares, min_size=1, max_size=6))
@settings(max_examples=60)
def test_hommel_closes_simes(p: list[float]) -> None:
    """The definition: the largest Simes p-value over all sets of hypotheses that hold one."""
    everyone = range(len(p))
    sets = [s for size in range(1, len(p) + 1) for s in combinations(everyone, size)]
    closed = [max(simes([p[at] for at in s]) for s in sets if one in s) for one in everyone]
    assert adjust(p, "hommel") == pytest.approx(closed, rel=1e-12, abs=1e-300)


@given(vectors)
@settings(max_examples=60)
def test_the_methods_rank_by_power(p: list[float]) -> None:
    """What rejects less has larger adjusted p-values, and none is below the p-value itself."""
    found = {method: np.array(adjust(p, method)) for method in METHODS}
    chain = ["benjamini-hochberg", "hommel", "hochberg", "holm", "bonferroni"]
    slack = 1 + 1e-12
    for stronger, weaker in pairwise(chain):
        assert (found[stronger] <= found[weaker] * slack).all()
    assert (found["sidak"] <= found["bonferroni"] * slack).all()
    assert (found["benjamini-hochberg"] <= found["benjamini-yekutieli"] * slack).all()
    assert all(((values >= p) & (values <= 1)).all() for values in found.values())


@pytest.mark.parametrize("method", METHODS)
def test_keeps_keys_and_order(method: Method) -> None:
    named = {"z": 0.03, "a": 0.001, "m": 0.03}
    found = adjust(named, method)
    assert list(found) == ["z", "a", "m"]
    assert tuple(found.values()) == adjust(list(named.values()), method)
    assert found["z"] == found["m"] > found["a"]
    assert adjust({}, method) == {}
    assert adjust([], method) == ()
    assert adjust([0.25], method) == pytest.approx((0.25,), rel=1e-15)


def common_factor(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Correlation 0.8 among all."""
    return sqrt(0.8) * rng.normal(size=(shape[0], 1)) + sqrt(0.2) * rng.normal(size=shape)


@pytest.mark.parametrize("method", FAMILYWISE)
def test_familywise_error_of_correlated_metrics(method: Method) -> None:
    """Five true nulls, correlation 0.8, one-sided: at most 5 % + three errors of 2,000 runs."""
    z, sims = common_factor(np.random.default_rng(17), (2_000, 5)), 2_000
    wrong = sum(min(adjust(p, method)) <= 0.05 for p in norm.sf(z))
    assert 0 < wrong / sims <= 0.05 + 3 * sqrt(0.05 * 0.95 / sims)


@pytest.mark.parametrize("method", ["holm", "benjamini-yekutieli"])
def test_running_minima_under_a_shared_stopping_time(method: Method) -> None:
    """Stop at the first look where anything is rejected, all nulls true: still at most 5 %.

    Running minima of 1/M, M the likelihood ratio exp(x_t/2 - t/8) of walks that share a factor.
    """
    rng, sims, looks = np.random.default_rng(23), 400, 30
    stopped = 0
    for _ in range(sims):
        walk = common_factor(rng, (looks, 4)).cumsum(axis=0)
        log_m = 0.5 * walk - 0.125 * np.arange(1, looks + 1)[:, None]
        p = np.minimum(1, np.exp(-np.maximum.accumulate(log_m)))
        stopped += any(min(adjust(at_look, method)) <= 0.05 for at_look in p)
    assert 0 < stopped / sims <= 0.05 + 3 * sqrt(0.05 * 0.95 / sims)


evidence = st.one_of(st.floats(0, 1e6), st.sampled_from([0.0, 1.0, 20.0, 40.0, 60.0]))


@given(st.lists(evidence, max_size=8), st.sampled_from([0.01, 0.05, 0.25]))
def test_e_bh_is_its_definition(e: list[float], alpha: float) -> None:
    """The largest k for which k hypotheses have e >= m / (alpha k), in exact fractions."""
    bar = Fraction(str(alpha))
    counts = [
        k for k in range(1, len(e) + 1)
        if sum(Fraction(value) * k * bar >= len(e) for value in e) >= k
    ]  # fmt: skip
    k = max(counts, default=0)
    expected = tuple(k > 0 and Fraction(value) * k * bar >= len(e) for value in e)
    assert e_bh(e, alpha=alpha) == expected


def test_e_bh_equals_bh_of_the_inverse() -> None:
    """E-BH is Benjamini-Hochberg on p = min(1, 1/e): the equivalence in Wang and Ramdas."""
    e = np.random.default_rng(2).lognormal(2, 3, 50)
    adjusted = adjust(np.minimum(1, 1 / e), "benjamini-hochberg")
    assert e_bh(e) == tuple(value <= 0.05 for value in adjusted)
    assert 0 < sum(e_bh(e)) < 50


def independent(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    return rng.normal(size=shape)


def alternating(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Every other metric is the mirror image of its neighbour."""
    return rng.normal(size=(shape[0], 1)) * np.resize([1.0, -1.0], shape)


@pytest.mark.parametrize("draw", [independent, common_factor, alternating])
def test_e_bh_keeps_the_false_discovery_rate(
    draw: Callable[[np.random.Generator, tuple[int, int]], Array],
) -> None:
    """Ten metrics, six null, e = exp(2 z - 2): mean share <= 6/10 of 20 % + three errors."""
    z = draw(np.random.default_rng(31), (3_000, 10)) + np.repeat([0.0, 3.0], [6, 4])
    found = np.array([e_bh([exp(2 * v - 2) for v in row], alpha=0.2) for row in z])
    false = found[:, :6].sum(axis=1) / np.maximum(found.sum(axis=1), 1)
    assert false.mean() <= 0.12 + 3 * false.std() / sqrt(len(false))
    assert found[:, 6:].mean() > 0.2


def test_e_bh_keeps_keys() -> None:
    assert e_bh({"b": 1.0, "a": 100.0}) == {"b": False, "a": True}
    assert e_bh({}) == {}
    assert e_bh([]) == ()


@given(st.floats(1e-6, 0.5), st.integers(1, 1000))
def test_sidak_alpha_is_the_level_of_independent_intervals(alpha: float, m: int) -> None:
    each = sidak_alpha(alpha, m)
    assert (1 - each) ** m == pytest.approx(1 - alpha, rel=1e-12)
    assert alpha / m <= each * (1 + 1e-12)
    assert each <= alpha * (1 + 1e-12)
    assert adjust([each] * m, "sidak") == pytest.approx([alpha] * m, rel=1e-9)


def test_arguments_outside_the_range_are_named() -> None:
    with pytest.raises(ValueError, match=r"p_values\['a'\] must be in \[0, 1\], got 1.5"):
        adjust({"a": 1.5}, "holm")
    for wrong in (-0.1, nan, inf):
        with pytest.raises(ValueError, match=r"p_values\[1\] must be in"):
            adjust([0.1, wrong], "holm")
    with pytest.raises(ValueError, match=r"method must be one of bonf.* got 'fisher'"):
        adjust([0.1], "fisher")  # type: ignore[arg-type]
    for wrong in (-1.0, nan, inf):
        with pytest.raises(ValueError, match=r"e_values\[0\] must be finite and >= 0"):
            e_bh([wrong])
    with pytest.raises(ValueError, match=r"alpha must be in \(0, 1\), got 0"):
        e_bh([1.0], alpha=0)
    with pytest.raises(ValueError, match=r"alpha must be in \(0, 1\), got 1"):
        sidak_alpha(1.0, 2)
    with pytest.raises(ValueError, match="m must be a whole number >= 1, got 0"):
        sidak_alpha(0.05, 0)
