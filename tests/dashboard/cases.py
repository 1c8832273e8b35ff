"""Experiments made by hand, to be rendered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from palio.access.audit import GENESIS, AuditEntry, Change, seal
from palio.experiments.designs.design import ExperimentDraft, Metrics, Stopping, Variant
from palio.experiments.domain import Experiment, State
from palio.experiments.folding.statistics import MetricSums, VariantCounts
from palio.experiments.judging.analysis import Look, Report, Statistics, looks_of
from palio.experiments.judging.decision import report_of

START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


def experiment(*challengers: str, key: str = "case") -> Experiment:
    """Return a running one with equal weights."""
    keys = ["control", *challengers]
    design = ExperimentDraft(
        key=key,
        endpoint="credit",
        variants=tuple(Variant(name, f"v-{name}", 1 / len(keys)) for name in keys),
        metrics=Metrics("brier", ("accuracy",), ("error",)),
        stopping=Stopping(horizon=10_000, min_sample=100),
        hypothesis="<script>alert('no')</script> & better",
    )
    return Experiment(
        key=key,
        design=design,
        model="credit",
        salt="salt",
        state=State.RUNNING,
        created_at=START,
        created_by="ann",
        started_at=START,
        champion="v-control",
        frozen=design.digest,
    )


def statistics(one: Experiment, n: int, *, effect: float) -> Statistics:
    """Return what n units in each variant leave, when every challenger has an effect on brier."""
    means = {
        variant.key: 0.2 + effect * (variant.key != "control") for variant in one.design.variants
    }
    sums = [
        MetricSums(
            experiment=one.key,
            epoch=1,
            variant=variant,
            metric=metric,
            n=n,
            shift=(0.0,),
            sums=(n * mean,),
            products=(n * (mean**2 + 0.04),),
        )
        for variant, brier in means.items()
        for metric, mean in (("brier", brier), ("accuracy", 0.8))
    ]
    counts = [
        VariantCounts(
            experiment=one.key,
            epoch=1,
            variant=variant,
            units=n,
            requests=n,
            labelled=n,
            outcomes=n,
        )
        for variant in means
    ]
    return Statistics(2 * n, sums, counts)


def history(one: Experiment, *, effect: float) -> tuple[Report, list[Look]]:
    """Return the last of several reports, and the looks of all."""
    looks: list[Look] = []
    for number in range(1, 9):
        now = START + timedelta(minutes=number)
        report, _ = report_of(one, statistics(one, 150 * number, effect=effect), now)
        looks += looks_of(one, report)
    return report, looks


def audit() -> list[AuditEntry]:
    """Return a chain of two entries."""
    first = seal(
        Change(at=START, actor="<b>ann</b>", action="experiment.start", subject="case"),
        seq=1,
        prev_hash=GENESIS,
    )
    second = seal(
        Change(
            at=START,
            actor="bob",
            action="experiment.ship",
            subject="case",
            before={"champion": "v-control"},
            after={"champion": "v-b", "analysis": "f" * 64, "reasons": ["because"]},
            reason="it won",
        ),
        seq=2,
        prev_hash=first.hash,
    )
    return [first, second]
