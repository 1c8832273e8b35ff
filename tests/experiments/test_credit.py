"""`make bench-credit` in small: two of its shuffles, and how it counts."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

BENCH = Path(__file__).parents[2] / "benchmarks" / "experiments"
NAMES = ("credit", "designs", "loans", "prose", "report")


@pytest.fixture(scope="module")
def bench() -> Iterator[SimpleNamespace]:
    """Import the benchmark's modules, and forget them afterwards: their names are short."""
    sys.path.insert(0, str(BENCH))
    yield SimpleNamespace(**{name: import_module(name) for name in NAMES})
    sys.path.remove(str(BENCH))
    for name in NAMES:
        del sys.modules[name]


@pytest.fixture(scope="module", params=[0, 1])
def stream(bench: SimpleNamespace, request: pytest.FixtureRequest) -> object:
    """Requests of a shuffle of the real clients (UCI, Yeh and Lien 2009)."""
    path = bench.loans.find()
    if path is None and not os.environ.get("PALIO_CI"):
        pytest.skip("needs ../shared/data/credit_default.csv")
    assert path is not None, "needs ../shared/data/credit_default.csv"
    return bench.loans.replay(bench.loans.read(path), request.param)


def test_a_paired_request_tells_as_much_as_ten_apart(
    bench: SimpleNamespace, stream: SimpleNamespace
) -> None:
    """At equal traffic the ratio of variances is ``2 (v_c + v_t) / v_d``, here by numpy.

    `docs/statistics.md` has the formula with all requests counted once: n_paired / n_arm =
    v_d / (v_c + v_t). The arms have half of the requests each, within 5 % in variance.
    """
    control, treatment = (
        (scores - stream.labels) ** 2 for scores in (stream.control, stream.treatment)
    )
    known = 2 * (control.var() + treatment.var()) / (treatment - control).var()
    apart, together = bench.designs.ab(stream, "test"), bench.designs.paired(stream)
    assert apart.variance / together.variance == pytest.approx(known, rel=0.05)
    assert apart.variance / together.variance > 10


def test_pairing_decides_for_boosting_within_a_tenth_of_the_horizon(
    bench: SimpleNamespace, stream: SimpleNamespace
) -> None:
    """Brier on all 20,000 requests says that boosting is better: the decision must agree."""
    control, treatment = (
        ((scores - stream.labels) ** 2).mean() for scores in (stream.control, stream.treatment)
    )
    assert len(stream.units) == 20_000
    assert treatment < control
    for found in (bench.designs.paired(stream), bench.designs.paired(stream, 2_000)):
        assert found.effect < 0
        assert found.requests < 2_000


def test_covariates_take_something_out_but_not_what_pairing_does(
    bench: SimpleNamespace, stream: SimpleNamespace
) -> None:
    apart = bench.designs.ab(stream, "test").variance
    adjusted = bench.designs.ab_with_cuped(stream, "test").variance
    assert bench.designs.paired(stream).variance < adjusted / 10 < apart / 10


@pytest.mark.parametrize(
    ("decided", "requests", "effect"),
    [([False, True, False, True], 400, 2), ([True], 200, 1), ([False] * 100, 20_000, None)],
)
def test_a_run_counts_to_its_first_look_that_decides(
    bench: SimpleNamespace, decided: list[bool], requests: int, effect: int | None
) -> None:
    """By hand: a look is 1 % of 20,000, and an undecided run counts as its horizon."""
    looks = [SimpleNamespace(significant=it, effect=at) for at, it in enumerate(decided, start=1)]
    assert bench.designs.Run.of(looks, 20_000, 0.1) == bench.designs.Run(requests, effect, 0.1)


@pytest.mark.parametrize(("gap", "least", "most"), [(0.0, 20_000, 20_000), (0.1, 200, 400)])
def test_the_gap_decides(bench: SimpleNamespace, gap: float, least: int, most: int) -> None:
    """Differences of ``gap`` +- 0.01 by turns: their mean is the gap at every look.

    Rule 1 allows a verdict from 1 % of the horizon on, which is the first look or the second.
    """
    brier = np.full(20_000, 0.3)
    other = brier + gap + np.tile([0.01, -0.01], 10_000)
    units, labels = np.arange(20_000).astype(str), np.zeros(20_000, int)
    stream = bench.loans.Stream(units, labels, brier**0.5, other**0.5, {})
    assert least <= bench.designs.paired(stream).requests <= most
