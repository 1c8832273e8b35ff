"""Versions that do not differ are hardly ever shipped, however often one looks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from palio.experiments.designs.design import Stopping
from palio.experiments.domain import Experiment, State
from palio.experiments.folding.statistics import MetricSums, VariantCounts
from palio.experiments.judging.analysis import Crossing, DecisionKind, Statistics
from palio.experiments.judging.decision import report_of
from palio.testing.records import design

SEEDS, LOOKS, UNITS = 200, 50, 4_000
START = datetime(2026, 1, 1, tzinfo=UTC)
# two versions by name, so that it may be shipped; one process that makes the data of both
EXPERIMENT = Experiment(
    key="exp",
    design=design(stopping=Stopping(alpha=0.05, horizon=UNITS, min_sample=100)),
    model="credit",
    salt="s",
    state=State.RUNNING,
    created_at=START,
    created_by="ann",
    started_at=START,
)


def simulated() -> NDArray[np.float64]:
    """Return n, sum and sum of squares of Brier values, shape (3, seeds, looks, 2 variants)."""
    rng = np.random.default_rng(20260101)
    shares = rng.beta(2, 3, size=(SEEDS, UNITS))
    truths = rng.random((SEEDS, UNITS)) < shares
    values = (shares - truths) ** 2
    arms = np.stack([rng.random((SEEDS, UNITS)) < 0.5] * 2, axis=-1)
    arms[..., 1] = ~arms[..., 0]
    powers = np.stack([np.ones_like(values), values, values**2])
    sums: NDArray[np.float64] = (powers[..., None] * arms).cumsum(axis=2)
    step = UNITS // LOOKS
    return sums[:, :, step - 1 :: step]


def statistics(sums: NDArray[np.float64], watermark: int) -> Statistics:
    variants = ("control", "challenger")
    rows = [
        MetricSums(
            experiment="exp",
            epoch=1,
            variant=variant,
            metric="brier",
            n=int(sums[0, place]),
            shift=(0.0,),
            sums=(float(sums[1, place]),),
            products=(float(sums[2, place]),),
        )
        for place, variant in enumerate(variants)
    ]
    counts = [
        VariantCounts(experiment="exp", epoch=1, variant=row.variant, units=row.n) for row in rows
    ]
    return Statistics(watermark, rows, counts)


def decisions(sums: NDArray[np.float64]) -> set[DecisionKind]:
    """Return every decision of one seed, over all looks."""
    known: list[Crossing] = []
    seen = set()
    for look in range(LOOKS):
        now = START + timedelta(hours=look + 1)
        seen_now = statistics(sums[:, look], look + 1)
        report, fresh = report_of(EXPERIMENT, seen_now, now, known=known)
        known += fresh
        seen.add(report.decision.kind)
    return seen


def test_an_aa_run_ships_nothing_in_19_of_20_seeds() -> None:
    sums = simulated()
    seen = [decisions(sums[:, seed]) for seed in range(SEEDS)]
    shipped = sum(DecisionKind.SHIP in kinds for kinds in seen) / SEEDS
    rolled_back = sum(DecisionKind.ROLLBACK in kinds for kinds in seen) / SEEDS
    told = f"shipped in {shipped:.1%}, rolled back in {rolled_back:.1%} of {SEEDS} seeds"
    assert shipped <= 0.05, told
    assert shipped + rolled_back <= 0.05, told  # alpha holds for the two sides together
    ended = sum(DecisionKind.INCONCLUSIVE in kinds for kinds in seen) / SEEDS
    assert ended >= 0.9, told  # and the others say so at the horizon
