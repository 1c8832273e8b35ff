"""The exact binary test: enumeration of all outcomes is the proof, simulations the check."""

from __future__ import annotations

from itertools import product
from math import inf, log, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.stats import binom, fisher_exact

from palio.stats.anytime.binary import BinaryBlocks, BinaryCounts, BinaryEProcess, block_evidence
from palio.stats.estimate import Alternative

PASTS = [
    BinaryCounts(),
    BinaryCounts(1, 1, 0, 1),
    BinaryCounts(3, 7, 19, 20),
    BinaryCounts(2, 900, 31, 8000),
    BinaryCounts(50, 50, 0, 450),
]
SHAPES = [(1, 1), (1, 9), (9, 1), (2, 3), (5, 8)]
SIDES: list[Alternative] = ["two-sided", "larger", "smaller"]
FLIPPED: dict[Alternative, Alternative] = {
    "two-sided": "two-sided",
    "larger": "smaller",
    "smaller": "larger",
}


def inside(alternative: Alternative, null: float) -> list[tuple[float, float]]:
    """Pairs of rates under the null, on a grid of 1/40 and along its edge on one of 1/400."""
    grid = np.linspace(0, 1, 41)
    edge = [(x, x + null) for x in np.linspace(0, 1, 401) if 0 <= x + null <= 1]
    if alternative == "two-sided":
        return edge
    sign = 1 if alternative == "larger" else -1
    return edge + [(x, y) for x, y in product(grid, grid) if sign * (y - x - null) <= 0]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("alternative", SIDES)
@pytest.mark.parametrize("null", [0.0, 0.02, -0.3])
def test_a_block_of_evidence_is_worth_at_most_1_under_the_null(
    shape: tuple[int, int], alternative: Alternative, null: float
) -> None:
    """All 2x2 outcomes of a block are enumerated, over all rates of the null: exact, any past."""
    s_c, s_t = np.arange(shape[0] + 1), np.arange(shape[1] + 1)
    x, y = np.array(inside(alternative, null)).T
    chance_c, chance_t = binom.pmf(s_c, shape[0], x[:, None]), binom.pmf(s_t, shape[1], y[:, None])
    for past in PASTS:
        before = BinaryEProcess(alternative, null, counts=past)
        e = np.exp([[before.update(a, b, shape=shape).log_e for b in s_t] for a in s_c])
        worth = np.einsum("ia,ab,ib->i", chance_c, e, chance_t)
        assert worth.max() <= 1 + 1e-12


@pytest.mark.parametrize("past", PASTS[1:])
def test_one_unit_an_arm_is_worth_less_than_1_only_by_the_spread_of_the_rates(
    past: BinaryCounts,
) -> None:
    """Under equal rates f_c + f_t = 2 exactly, so the mean of e is 1 where f_c = f_t alone."""
    e = np.exp([[BinaryEProcess(counts=past).update(a, b).log_e for b in (0, 1)] for a in (0, 1)])
    at_half = e.sum() / 4
    p_c, p_t = ((s + 0.18) / (n + 0.36) for s, n in (
        (past.successes_control, past.units_control),
        (past.successes_treatment, past.units_treatment)))  # fmt: skip
    q = (p_c + p_t) / 2
    f_c = 0.5 * p_c / q + 0.5 * (1 - p_c) / (1 - q)
    assert at_half == pytest.approx(f_c * (2 - f_c), rel=1e-12)


def test_equals_a_plain_recomputation() -> None:
    """The formula of the module's docstring, unit by unit in plain Python."""
    rng = np.random.default_rng(5)
    n_c, n_t = 2, 3
    control, treatment = rng.binomial(n_c, 0.3, 40), rng.binomial(n_t, 0.6, 40)
    log_e, best, a, b, n = 0.0, 0.0, 0, 0, 0
    for s_c, s_t in zip(control.tolist(), treatment.tolist(), strict=True):
        p_c, p_t = (a + 0.18) / (n * n_c + 0.36), (b + 0.18) / (n * n_t + 0.36)
        q = (n_c * p_c + n_t * p_t) / (n_c + n_t)
        for p, s, units in ((p_c, s_c, n_c), (p_t, s_t, n_t)):
            log_e += s * log(p / q) + (units - s) * log((1 - p) / (1 - q))
        best, a, b, n = max(best, log_e), a + s_c, b + s_t, n + 1
    found = BinaryEProcess().update(control, treatment, shape=(n_c, n_t))
    assert found.log_e == pytest.approx(log_e, rel=1e-10)
    assert found.max_log_e == pytest.approx(best, rel=1e-10)
    assert found.p_value == pytest.approx(min(1, np.exp(-best)), rel=1e-10)
    assert found.counts == BinaryCounts(a, 80, b, 120)


@given(
    st.sampled_from(PASTS), st.sampled_from(SHAPES), st.floats(-0.9, 0.9), st.floats(0, 1),
)  # fmt: skip
def test_the_point_of_the_null_is_the_nearest(
    past: BinaryCounts, shape: tuple[int, int], null: float, share: float
) -> None:
    """scipy's bounded minimiser of the divergence is the witness: ours is never further."""
    s_c, s_t = round(share * shape[0]), round((1 - share) * shape[1])
    p_c = (past.successes_control + 0.18) / (past.units_control + 0.36)
    p_t = (past.successes_treatment + 0.18) / (past.units_treatment + 0.36)

    def loss(x: float) -> float:
        parts = ((shape[0], p_c, x), (shape[1], p_t, x + null))
        return sum(n * (p * log(p / q) + (1 - p) * log((1 - p) / (1 - q))) for n, p, q in parts)

    ends = max(0.0, -null) + 1e-12, min(1.0, 1 - null) - 1e-12
    x = minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-12}).x
    gain = 0.0
    for s, n, p, q in ((s_c, shape[0], p_c, x), (s_t, shape[1], p_t, x + null)):
        gain += s * log(p / q) + (n - s) * log((1 - p) / (1 - q))
    ours, beyond = block_evidence(
        past, np.array([float(s_c)]), np.array([float(s_t)]), shape=shape, null=null
    )
    assert ours[0] == pytest.approx(gain, rel=1e-4, abs=1e-4)
    assert beyond[0] == (p_t > p_c + null)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5)), max_size=30),
    st.integers(0, 30),
    st.sampled_from(SIDES),
    st.sampled_from([0.0, 0.1, -0.25]),
)
def test_splitting_and_exchanging_the_arms(
    blocks: list[tuple[int, int]], at: int, side: Alternative, null: float
) -> None:
    control, treatment = [c for c, _ in blocks], [t for _, t in blocks]
    whole = BinaryEProcess(side, null).update(control, treatment, shape=(2, 5))
    first = BinaryEProcess(side, null).update(control[:at], treatment[:at], shape=(2, 5))
    split = first.update(control[at:], treatment[at:], shape=(2, 5))
    assert split.counts == whole.counts
    assert (split.log_e, split.max_log_e) == pytest.approx((whole.log_e, whole.max_log_e))
    assert 0 <= whole.p_value <= 1
    assert whole.max_log_e >= max(0.0, whole.log_e)
    swapped = BinaryEProcess(FLIPPED[side], -null).update(treatment, control, shape=(5, 2))
    assert swapped.log_e == pytest.approx(whole.log_e, rel=1e-9, abs=1e-9)


def rates_of_rejection(
    rates: tuple[float, float], shape: tuple[int, int], *, seed: int, units: int, sims: int,
    alpha: float = 0.05, **null: Any,
) -> NDArray[np.bool_]:  # fmt: skip
    """Whether each simulation ever rejects, looking after each block of about that many units."""
    rng, blocks = np.random.default_rng(seed), units // sum(shape)
    control = rng.binomial(shape[0], rates[0], (sims, blocks))
    treatment = rng.binomial(shape[1], rates[1], (sims, blocks))
    start = BinaryEProcess(**null)
    return np.array([
        start.update(c, t, shape=shape).p_value <= alpha
        for c, t in zip(control, treatment, strict=True)
    ])  # fmt: skip


@pytest.mark.parametrize("rate", [0.001, 0.05, 0.5])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9)])
def test_constant_looking_keeps_the_error_rate(rate: float, shape: tuple[int, int]) -> None:
    """2,000 simulations of 2,000 units, a look after each block: .001 to .035 against .05."""
    sims = 2_000
    found = rates_of_rejection((rate, rate), shape, seed=301, units=2_000, sims=sims)
    assert found.mean() <= 0.05


@pytest.mark.parametrize("side", ["larger", "smaller"])
def test_constant_looking_at_a_margin_keeps_the_error_rate(side: Alternative) -> None:
    """Rates exactly the margin apart, in blocks of unlike arms: about .02 against .05."""
    sims = 1_000
    found = rates_of_rejection(
        (0.2, 0.15), (2, 1), seed=302, units=1_200, sims=sims, alternative=side, null=-0.05
    )
    assert found.mean() <= 0.05


def test_what_constant_looking_costs_against_fisher() -> None:
    """.1 against .2 at 400 an arm: Fisher's exact test, one look, has power .97 (scipy).

    The e-process is looked at after each pair and could go on: .73, one-sided .80 (4,000
    simulations on another seed), less what 400 simulations miss by, 3 x .022.
    """
    rng, sims, n = np.random.default_rng(303), 400, 400
    control, treatment = rng.random((sims, n)) < 0.1, rng.random((sims, n)) < 0.2
    found = np.array([
        [BinaryEProcess(side).update(c, t).p_value <= 0.05 for side in ("two-sided", "larger")]
        for c, t in zip(control, treatment, strict=True)
    ])  # fmt: skip
    fisher = np.array([
        fisher_exact([[a, n - a], [b, n - b]]).pvalue <= 0.05
        for a, b in zip(control.sum(axis=1), treatment.sum(axis=1), strict=True)
    ])  # fmt: skip
    assert fisher.mean() == pytest.approx(0.97, abs=0.026)
    assert found.mean(axis=0) == pytest.approx([0.73, 0.80], abs=0.066)


def test_it_acts_on_20_units() -> None:
    """Ten failures against ten successes, in pairs: no minimum stands in the way."""
    assert BinaryEProcess().update(np.zeros(10), np.ones(10)).p_value < 0.01
    assert BinaryEProcess("larger").update(np.zeros(10), np.ones(10)).p_value < 0.01
    assert BinaryEProcess("smaller").update(np.zeros(10), np.ones(10)).p_value == 1.0


def test_evidence_grows_without_overflow() -> None:
    found = BinaryEProcess().update(np.zeros(10**5), np.ones(10**5))
    assert 1e4 < found.log_e < inf
    assert found.p_value == 0.0


@given(
    st.sampled_from([(1, 1), (1, 9), (3, 2)]),
    st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60),
    st.integers(0, 60),
)
def test_blocks_hold_every_unit_once_and_in_order(
    shape: tuple[int, int], units: list[tuple[bool, bool]], at: int
) -> None:
    arms, outcomes = [arm for arm, _ in units], [y for _, y in units]
    queue, control, treatment = BinaryBlocks(shape).add(arms, outcomes)
    for line, done, size, side in (
        (queue.control, control, shape[0], False),
        (queue.treatment, treatment, shape[1], True),
    ):
        mine = [y for arm, y in units if arm == side]
        cut = done.size * size
        assert done.tolist() == [sum(mine[i : i + size]) for i in range(0, cut, size)]
        assert list(line) == mine[cut:]
    assert control.size == treatment.size
    assert len(queue.control) < shape[0] or len(queue.treatment) < shape[1]
    first, c1, t1 = BinaryBlocks(shape).add(arms[:at], outcomes[:at])
    second, c2, t2 = first.add(arms[at:], outcomes[at:])
    assert second == queue
    assert [*c1, *c2] == control.tolist()
    assert [*t1, *t2] == treatment.tolist()


def test_what_the_queue_gives_is_what_the_process_takes() -> None:
    _, control, treatment = BinaryBlocks((1, 2)).add([1, 0, 1, 1, 1, 0], [1, 0, 1, 0, 1, 1])
    assert (control.tolist(), treatment.tolist()) == ([0.0, 1.0], [2.0, 1.0])
    found = BinaryEProcess().update(control, treatment, shape=(1, 2))
    assert found.counts == BinaryCounts(1, 2, 3, 4)


@settings(max_examples=50)
@given(st.integers(0, 10**6), st.integers(0, 10**12), st.floats(-0.999, 0.999), st.booleans())
def test_extremes_stay_finite(block: int, units: int, null: float, low: bool) -> None:
    seen = BinaryCounts(0 if low else units // 2, units // 2, units // 2, units // 2)
    shape = (block + 1, 1) if block < 10**6 else (1, block)
    start = BinaryEProcess("two-sided", null, counts=seen)
    if units <= 10**12 - 2 * 10**6:
        assert np.isfinite(start.update(0, 1, shape=shape).log_e)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: BinaryEProcess("up"), "alternative must be two-sided, larger or smaller"),  # type: ignore[arg-type]
        (lambda: BinaryEProcess(null=1.0), r"null must be in \[-0.999, 0.999\], got 1.0"),
        (lambda: BinaryEProcess(log_e=1.0), r"log_e must be in \[-inf, 0\], got 1.0"),
        (lambda: BinaryEProcess(log_e=nan), "log_e must be finite, got nan"),
        (lambda: BinaryEProcess(max_log_e=-1.0), "max_log_e must be finite and >= 0, got -1"),
        (lambda: BinaryCounts(2, 1), r"successes_control must be in \[0, 1\], got 2"),
        (lambda: BinaryCounts(0, -1), "units_control must be a whole number >= 0, got -1"),
        (lambda: BinaryCounts(0, 0, -1, 1), "successes_treatment must be a whole number >= 0"),
        (lambda: BinaryCounts(0, 10**13), r"units_control must be in \[0, 1e\+12\]"),
        (lambda: BinaryEProcess().update(2, 0), r"successes_control must be .* \[0, 1\], got 2"),
        (lambda: BinaryEProcess().update(0, 0.5), "successes_treatment must be whole .* got 0.5"),
        (lambda: BinaryEProcess().update(0, nan), "successes_treatment must be finite"),
        (lambda: BinaryEProcess().update([0], [0, 1]), "of as many blocks, got 1 and 2"),
        (lambda: BinaryEProcess().update([[0]], [[1]]), "must have one dimension"),
        (lambda: BinaryEProcess().update(0, 0, shape=(0, 1)), r"shape\[0\] must be a whole"),
        (lambda: BinaryEProcess().update(0, 0, shape=(1, 10**7)), r"shape\[1\] must be in \[1,"),
        (lambda: BinaryBlocks((1,)), "shape must be of control and treatment"),  # type: ignore[arg-type]
        (lambda: BinaryBlocks().add([2], [1]), "treated must be 0 or 1, got 2"),
        (lambda: BinaryBlocks().add([1], [nan]), "successes must be finite"),
        (lambda: BinaryBlocks().add([1], [1, 0]), "of equal length, got 1 and 2"),
    ],
)
def test_arguments_outside_the_range_are_named(make: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make()
