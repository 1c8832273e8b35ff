"""Records of experiments, how they were seen and decided, and weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from palio.experiments.designs.assignment import Namespace
from palio.experiments.designs.audience import Condition, Test
from palio.experiments.designs.design import ExperimentDraft, Metrics, Stopping, Type, Variant
from palio.experiments.designs.metrics import Direction, Metric
from palio.experiments.domain import Experiment, State
from palio.experiments.judging.analysis import (
    Arm,
    Contrast,
    Crossing,
    Decision,
    DecisionKind,
    FixedFigures,
    Look,
    MetricFigures,
    MetricRole,
    Record,
    Report,
    SampleRatio,
    Verdict,
)
from palio.experiments.lease import Lease
from palio.experiments.privacy.marks import StoreMark
from palio.experiments.weights.published import Published
from palio.experiments.weights.sticky import StickyAssignment
from palio.testing.records.odd import ODD, WHEN

__all__ = ["RECORDS"]

_DESIGN = ExperimentDraft(
    key="exp-1",
    endpoint="credit",
    variants=(Variant("control", "v1", 0.9), Variant("challenger", "v2", 0.1)),
    metrics=Metrics(
        goal="brier",
        secondary=("revenue",),
        guardrails=("latency_ms",),
        declared=(
            Metric(
                "revenue",
                Direction.HIGHER,
                margin=0.05,
                window_s=0.5,
                limits=(-0.25, 1e9),
                winsorise=True,
            ),
        ),
    ),
    type=Type.AB,
    stopping=Stopping(alpha=0.1, horizon=None, min_duration_s=0.5, max_duration_s=86_400.0),
    hypothesis=ODD,
    unit="user_id",
    coverage=0.1 + 0.2,
    holdout=0.05,
    namespace=Namespace("pricing", 0, 5_000),
    audience=(
        Condition("age", Test.AT_LEAST, 18),
        Condition("country", Test.IN, (ODD, True, 1, 0.5)),
        Condition("email", Test.EXISTS, value=False),
    ),
)
_EXPERIMENT = Experiment(
    key="exp-1",
    design=_DESIGN,
    model="credit-risk",
    salt="salt",
    state=State.COMPLETED,
    created_at=WHEN,
    created_by="ann",
    epoch=2,
    started_at=WHEN + timedelta(seconds=1),
    ended_at=WHEN + timedelta(seconds=2),
    champion="v1",
    frozen=_DESIGN.digest,
    winner="challenger",
    chosen="control",
    reason=ODD,
    policy_version=2**40,
    published={"control": 0.1, "challenger": 0.9},
)
_CONTRAST = Contrast(
    metric="brier",
    role=MetricRole.GOAL,
    variant="challenger",
    alpha=0.05,
    null=0.0,
    effect=-0.1,
    relative=None,
    lower=-0.2,
    upper=-1e-17,
    p_value=1e-300,
    rule="horizon",
    verdict=Verdict.BETTER,
    fixed=FixedFigures(-0.2, 0.0, 0.01),
    note=ODD,
)
_REPORT = Report(
    experiment="exp-1",
    at=WHEN,
    watermark=2**53,
    progress=1 / 3,
    arms=(
        Arm(
            variant="control",
            version="v1",
            weight=0.9,
            units=1,
            requests=2,
            errors=3,
            labelled=4,
            outcomes=5,
            crossovers=6,
            metrics={"brier": MetricFigures(1, 0.25, 0.0)},
        ),
    ),
    contrasts=(_CONTRAST, replace(_CONTRAST, effect=None, lower=None, upper=None, fixed=None)),
    sample_ratio=SampleRatio(1.0, mismatch=False),
    decision=Decision(DecisionKind.SHIP, (ODD, "two"), "challenger"),
)
_LOOK = Look(
    experiment="exp-1",
    watermark=1,
    variant="challenger",
    at=WHEN,
    units=1,
    requests=2,
    labelled=3,
    effect=-0.1,
    lower=-0.2,
    upper=0.3,
    fixed_lower=-0.15,
    fixed_upper=-0.05,
    p_value=0.1 + 0.2,
    decision=DecisionKind.KEEP_RUNNING,
    counts={"control": 1, "challenger": 2**40},
    known={"control": 1},
    weights={"control": 0.1, "challenger": 0.9},
)
_PUBLISHED = Published(
    experiment="exp-1",
    policy_version=2**40,
    epoch=2,
    at=WHEN,
    by=ODD,
    watermark=2**53,
    weights={"control": 0.1, "challenger": 0.9},
    guesses={ODD: {"control": 0.1 + 0.2}},
    rewards=2**40,
    totals={"control": (1.0, 0.1 + 0.2, 0.0)},
    evidence={"control": (0.5, 0.1 + 0.2, 0.0)},
    retired=("challenger",),
)
_STICKY = StickyAssignment(
    experiment="exp-1",
    unit=ODD,
    variant="control",
    epoch=1,
    policy_version=2**40,
    propensity=0.1 + 0.2,
    at=WHEN,
)
_CROSSING = Crossing(
    experiment="exp-1",
    metric="brier",
    variant="challenger",
    verdict=Verdict.BETTER,
    at=WHEN,
    watermark=1,
)
RECORDS: Mapping[str, Sequence[Any]] = {
    "experiments": [
        _EXPERIMENT,
        replace(
            _EXPERIMENT,
            key="a",
            state=State.DRAFT,
            started_at=None,
            ended_at=None,
            champion=None,
            frozen=None,
            winner=None,
            chosen=None,
            published=None,
        ),
    ],
    "published": [
        _PUBLISHED,
        replace(_PUBLISHED, policy_version=1, guesses={}, totals={}, evidence={}, retired=()),
    ],
    "sticky": [_STICKY, replace(_STICKY, unit="a")],
    "leases": [Lease(name="z", holder=ODD, until=WHEN), Lease(name="a", holder="b", until=WHEN)],
    "marks": [StoreMark(name=ODD, value=ODD, at=WHEN), StoreMark(name="a", value="", at=WHEN)],
    "crossings": [_CROSSING, replace(_CROSSING, verdict=Verdict.WORSE, variant="")],
    "looks": [
        _LOOK,
        replace(
            _LOOK,
            variant="a",
            effect=None,
            lower=None,
            upper=None,
            fixed_lower=None,
            fixed_upper=None,
        ),
    ],
    "records": [
        Record(experiment="exp-1", at=WHEN, digest=_REPORT.digest, report=_REPORT),
        Record(experiment="a", at=WHEN, digest="", report=replace(_REPORT, progress=None)),
    ],
}
