"""Weights: a distribution within bounds that keeps the order, the same in every process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from math import fsum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palio.bandits import (
    BetaBelief,
    Bounds,
    Counts,
    EpsilonGreedy,
    Evidence,
    Fixed,
    NormalBelief,
    Policy,
    Seed,
    Thompson,
    TopTwoThompson,
    Ucb,
    Weights,
    allocate,
)
from palio.bucketing import Split
from palio.stats.moments import Moments

SEED = Seed("weights", 7)
POLICIES: list[Policy] = [
    Thompson(BetaBelief()),
    TopTwoThompson(BetaBelief()),
    Ucb(),
    EpsilonGreedy(0.1),
]
counts = st.lists(
    st.builds(Counts, st.integers(0, 50), st.integers(0, 50)), min_size=2, max_size=5
)
raw = st.lists(st.floats(0, 1), min_size=1, max_size=8).filter(lambda found: sum(found) > 1e-6)


def named(seen: list[Counts]) -> dict[str, Evidence]:
    return {f"arm{at}": evidence for at, evidence in enumerate(seen)}


@given(raw, st.floats(0, 1), st.floats(0, 1))
def test_bounds_hold_sum_and_order(shares: list[float], low: float, high: float) -> None:
    arms, total = len(shares), fsum(shares)
    floor, ceiling = low / arms, 1 / arms + high * (1 - 1 / arms)
    given_ = {f"arm{at}": share / total for at, share in enumerate(shares)}
    found = Bounds(floor, ceiling).hold(given_)
    assert fsum(found.values()) == pytest.approx(1, abs=1e-11)
    assert min(found.values()) >= floor - 1e-12
    assert max(found.values()) <= ceiling + 1e-12
    for one, p in given_.items():
        for other, q in given_.items():
            assert p < q or found[one] >= found[other] - 1e-12
    turned = Bounds(floor, ceiling).hold(dict(reversed(given_.items())))
    assert turned == pytest.approx(found, abs=1e-12)


@pytest.mark.parametrize(
    ("bounds", "shares", "expected"),
    [
        # f + (1 - K f) p by hand
        (Bounds(0.1), {"a": 1.0, "b": 0.0, "c": 0.0}, [0.8, 0.1, 0.1]),
        # 0.3 cut from a goes 3 to 1
        (Bounds(ceiling=0.5), {"a": 0.8, "b": 0.15, "c": 0.05}, [0.5, 0.375, 0.125]),
        # b fills up as well
        (Bounds(ceiling=0.4), {"a": 0.8, "b": 0.15, "c": 0.05}, [0.4, 0.4, 0.2]),
        # nothing to go by: evenly
        (Bounds(ceiling=0.5), {"a": 1.0, "b": 0.0, "c": 0.0}, [0.5, 0.25, 0.25]),
        (Bounds(0.5, 0.5), {"a": 1.0, "b": 0.0}, [0.5, 0.5]),
        # too few arms left for the ceiling
        (Bounds(ceiling=0.4), {"a": 1.0, "b": 0.0}, [0.5, 0.5]),
        (Bounds(ceiling=0.4), {"a": 1.0}, [1.0]),
    ],
)
def test_bounds_by_hand(bounds: Bounds, shares: dict[str, float], expected: list[float]) -> None:
    assert list(bounds.hold(shares).values()) == pytest.approx(expected)


@given(counts, st.sampled_from(POLICIES), st.integers(0, 3))
def test_weights_are_a_split_whatever_the_order(
    seen: list[Counts], policy: Policy, forced: int
) -> None:
    arms, bounds = named(seen), Bounds(0.02, 0.7, forced)
    found = allocate(policy, arms, control="arm0", seed=SEED, bounds=bounds)
    split = Split.of(salt="any", weights=found.weights)
    assert [split.propensity(key) for key in arms] == list(found.weights.values())
    assert all(0.02 - 1e-12 <= weight <= 0.7 + 1e-12 for weight in found.weights.values())
    turned = dict(reversed(arms.items()))
    other = allocate(policy, turned, control="arm0", seed=SEED, bounds=bounds)
    assert other.weights == pytest.approx(found.weights, abs=1e-12)
    assert found.policy_version == SEED.policy_version


def test_forced_pulls_come_before_the_policy() -> None:
    bounds, policy = Bounds(forced_pulls=2), EpsilonGreedy(0)
    short: dict[str, Evidence] = {"a": Counts(9, 0), "b": Counts(0, 1)}
    found = allocate(policy, short, control="a", seed=SEED, bounds=bounds)
    assert found.weights == {"a": 0.5, "b": 0.5}
    enough: dict[str, Evidence] = {"a": Counts(9, 0), "b": Counts(0, 2)}
    found = allocate(policy, enough, control="a", seed=SEED, bounds=bounds)
    assert found.weights == {"a": 1.0, "b": 0.0}


def test_a_retired_arm_gets_nothing_and_forces_no_pull() -> None:
    arms: dict[str, Evidence] = {"a": Counts(5, 5), "b": Counts(0, 0), "c": Counts(6, 4)}
    bounds = Bounds(0.1, forced_pulls=2)
    found = allocate(EpsilonGreedy(0), arms, control="a", seed=SEED, bounds=bounds, retired={"b"})
    assert found.weights == pytest.approx({"a": 0.1, "b": 0.0, "c": 0.9})


def test_the_other_arms_are_the_same_without_the_retired_one() -> None:
    arms: dict[str, Evidence] = {"a": Counts(5, 5), "b": Counts(50, 0), "c": Counts(6, 4)}
    policy = Thompson(BetaBelief())
    found = allocate(policy, arms, control="a", seed=SEED, retired={"b"}).weights
    alone = allocate(policy, {"a": arms["a"], "c": arms["c"]}, control="a", seed=SEED).weights
    assert {key: found[key] for key in alone} == alone


CODE = """
import json
from palio.bandits import *
from palio.stats.moments import Moments
real = {key: Moments(40 + at, at / 30, 1.0 + at) for at, key in enumerate("abc")}
rates = {key: Counts(9 + at, 30) for at, key in enumerate("abc")}
found = [
    dict(allocate(policy, arms, control="a", seed=Seed("two processes", 11)).weights)
    for policy, arms in [
        (Thompson(NormalBelief(b0=0.5)), real), (Thompson(BetaBelief()), rates),
        (TopTwoThompson(NormalBelief(b0=0.5)), real),
    ]
]
print(json.dumps(found))
"""


def test_two_processes_compute_exactly_the_same() -> None:
    """Under different hash seeds, so that no set's or dict's order can matter."""
    said = [
        subprocess.run(
            [sys.executable, "-c", CODE],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert said[0] == said[1]
    real: dict[str, Evidence] = {
        key: Moments(40 + at, at / 30, 1.0 + at) for at, key in enumerate("abc")
    }
    here = allocate(
        Thompson(NormalBelief(b0=0.5)), real, control="a", seed=Seed("two processes", 11)
    )
    assert json.loads(said[0])[0] == here.weights


def test_the_bit_stream_of_an_arm_is_this_one() -> None:
    """Philox under sha256 of salt, version and key: numpy keeps it (NEP 19), and so do we."""
    first = int(Seed("salt", 3).generator("control").bit_generator.random_raw())
    assert first == FIRST


FIRST = 16827752156418086108


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda arms: allocate(Ucb(), arms, control="z", seed=SEED), "control must be one of"),
        (
            lambda arms: allocate(Ucb(), arms, control="a", seed=SEED, retired=["a"]),
            "must not hold the control",
        ),
        (
            lambda arms: allocate(Ucb(), arms, control="a", seed=SEED, retired=["z"]),
            "retired must be among",
        ),
        (
            lambda arms: allocate(Ucb(), arms, control="a", seed=SEED, bounds=Bounds(0.6)),
            "floor must be at most 1/2 with 2 arms, got 0.6: lower it",
        ),
        (
            lambda arms: allocate(Ucb(), arms, control="a", seed=SEED, bounds=Bounds(0, 0.4)),
            "ceiling must be at least 1/2 with 2 arms, got 0.4: raise it",
        ),
        (lambda _: Bounds(0.5, 0.4), "floor must not be above ceiling"),
        (lambda _: Bounds(-0.1), "floor must be in"),
        (lambda _: Bounds(0, 1.1), "ceiling must be in"),
        (lambda _: Bounds(forced_pulls=-1), "forced_pulls must be"),
        (lambda _: Weights(1, {"a": 0.5, "b": 0.4}), "weights must sum to 1, got 0.9"),
        (lambda _: Weights(1, {"a": 1.5, "b": -0.5}), "weight of 'a'"),
        (lambda _: Weights(-1, {"a": 1.0}), "policy_version must be"),
    ],
)
def test_what_is_out_of_range_is_refused(call: object, says: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=says):
        call({"a": Counts(1, 1), "b": Counts(1, 2)})


def test_fixed_weights_stay_whatever_the_evidence() -> None:
    policy = Fixed({"a": 0.95, "b": 0.05})
    for seen in (Counts(0, 0), Counts(9, 0)):
        found = allocate(policy, {"a": Counts(0, 9), "b": seen}, control="a", seed=SEED)
        assert found.weights == pytest.approx({"a": 0.95, "b": 0.05})
