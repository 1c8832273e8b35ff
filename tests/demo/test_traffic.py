"""The plan of requests and labels: everything once, late, out of order, from a seed."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from palio.demo.traffic import Stretch, batches_of, plan_of


def labels(stretch: Stretch) -> list[int]:
    return [number for batch in stretch.late for number in batch]


@given(n=st.integers(1, 900), look_every=st.integers(20, 400), seed=st.integers(0, 99))
@settings(max_examples=40)
def test_every_request_once_and_no_label_before_its_stretch(
    n: int, look_every: int, seed: int
) -> None:
    plan = plan_of(n, look_every=look_every, seed=seed)
    assert [number for stretch in plan for number in stretch.requests] == list(range(n))
    assert all(0 < len(stretch.requests) <= look_every for stretch in plan)
    for stretch in plan:
        assert set(stretch.early) <= set(stretch.requests)
        assert all(number < stretch.requests.start for number in labels(stretch))
    times = Counter(number for stretch in plan for number in (*stretch.early, *labels(stretch)))
    assert max(times.values(), default=0) <= 2


def test_labels_are_late_out_of_order_some_twice_some_early() -> None:
    plan = plan_of(6_000, look_every=300, seed=0)
    late = labels(plan[5])
    assert late != sorted(late)
    assert {number // 300 for number in late} >= {2, 3, 4}  # of several stretches before
    assert 30 < sum(len(stretch.early) for stretch in plan) < 90  # 1 % of 6,000 is 60
    times = Counter(number for stretch in plan for number in (*stretch.early, *labels(stretch)))
    assert 60 < sum(count == 2 for count in times.values()) < 180  # 2 % are 120


def test_the_same_seed_gives_the_same_plan() -> None:
    assert plan_of(500, look_every=100, seed=3) == plan_of(500, look_every=100, seed=3)
    assert plan_of(500, look_every=100, seed=3) != plan_of(500, look_every=100, seed=4)


def test_batches_hold_everything_once() -> None:
    batches = batches_of(range(120), np.random.default_rng(0))
    assert [len(batch) for batch in batches] == [50, 50, 20]
    assert sorted(number for batch in batches for number in batch) == list(range(120))
    assert batches_of([], np.random.default_rng(0)) == ()
