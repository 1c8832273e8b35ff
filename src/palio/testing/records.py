"""Records of every collection, with every field filled in, and with none that need not be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from palio.access.alerts import Alert, AlertDelivery, DeliveryState, Severity
from palio.access.domain import ApiKey, Role
from palio.delivery.deployments.domain import Deployment, Health
from palio.delivery.deployments.domain import State as Standing
from palio.delivery.deployments.domain import Verdict as Shown
from palio.delivery.deployments.evidence import Counts, Settled
from palio.delivery.deployments.wanted import (
    Canary,
    GuardAction,
    Guarded,
    Guardrail,
    HealthCheck,
    Resources,
    Scaling,
)
from palio.delivery.domain import Endpoint, OnError
from palio.delivery.traffic import ProcessUse, TrafficCounts, TrafficSums, TrafficTotals
from palio.experiments.designs.assignment import Namespace
from palio.experiments.designs.audience import Condition, Test
from palio.experiments.designs.design import ExperimentDraft, Metrics, Stopping, Type, Variant
from palio.experiments.designs.metrics import Direction, Metric
from palio.experiments.domain import Experiment, State
from palio.experiments.events import Exposure, Outcome, Prediction
from palio.experiments.folding.statistics import (
    ContrastSums,
    Cursor,
    Falls,
    MetricSums,
    ReportedSums,
    UnitValues,
    VariantCounts,
)
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
from palio.registry.domain import (
    AliasMove,
    ArtifactFile,
    Attestation,
    Manifest,
    Model,
    MoveKind,
    Version,
)
from palio.registry.drift import FeatureCounts, FeatureReference, Profile
from palio.registry.lifecycle import Lifecycle
from palio.registry.quality import QualityCounts, QualitySums
from palio.registry.signature import Feature, FeatureType, Signature, Task

__all__ = [
    "KEYS",
    "ODD",
    "PARENTS",
    "RECORDS",
    "UNORDERED",
    "WHEN",
    "design",
    "exposure",
    "outcome",
    "prediction",
]

WHEN = datetime(2026, 3, 29, 1, 59, 59, 123457, tzinfo=timezone(timedelta(hours=5, minutes=45)))
"""A moment with microseconds, in a zone that is not UTC."""
ODD = "Zürich 日本 🦉 \u202e 'quoted' \"too\" %s :name; --"
"""A text that breaks what is not quoted, bound and encoded as it should be."""

_KEY = ApiKey(
    id="key_1",
    name=ODD,
    role=Role.OPERATOR,
    digest="0" * 64,
    created_at=WHEN,
    created_by="admin",
    expires_at=WHEN + timedelta(days=1),
    revoked_at=WHEN + timedelta(microseconds=1),
)
_VERSION = Version(
    model="credit-risk",
    version="v1",
    ordinal=1,
    stage="production",
    flavor="sklearn",
    signature=Signature(
        (Feature("age", FeatureType.INTEGER), Feature(ODD, FeatureType.NUMBER, nullable=True)),
        Task.CLASSIFICATION,
        (0, 1),
    ),
    manifest=Manifest((ArtifactFile("a/b.bin", 2**40, "ab" * 32),), "cd" * 32),
    metrics={"auc": 0.1 + 0.2, "brier": 1.0},
    training={"rows": 1_000, "notes": [ODD, None, {"seed": 7}]},
    tags={ODD: ODD},
    description=ODD,
    created_at=WHEN,
    created_by="ann",
    approved_by="bea",
    type="classification",
    framework=ODD,
    architecture="linear",
    dataset_version="2026-01",
    policy={"max_leverage": 3.0, "symbols": [ODD, None, {"deep": True}]},
    backtest={"sharpe": 0.1 + 0.2},
    parent="credit-risk:v0",
    source={"run": "1", "commit": "ab" * 20},
    external_ref=ODD,
    card=f"# {ODD}",
    deleted_at=WHEN + timedelta(days=1),
    purged_at=WHEN + timedelta(days=2),
)
_MOVE = AliasMove(
    model="credit-risk",
    alias="champion",
    seq=1,
    kind=MoveKind.ROLLBACK,
    version="v1",
    previous="v0",
    at=WHEN,
    actor=ODD,
    reason=ODD,
)
_ATTESTATION = Attestation(
    model="credit-risk",
    version="v1",
    seq=1,
    bundle=f'{{"payload": "{ODD}"}}',
    key_id="ef" * 32,
    at=WHEN,
    actor=ODD,
)
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
_SUMS = MetricSums(
    experiment="exp-1",
    epoch=1,
    variant="control",
    metric="brier",
    segment=ODD,
    n=2**40,
    shift=(0.1 + 0.2, 1e300),
    sums=(-1e-17, 0.0),
    products=(5e-324, 1.0, 2.0),
    bins=((-7, 2**40), (3, 1)),
)
_ADAPTIVE = ContrastSums(
    experiment="exp-1", epoch=1, variant="challenger", metric=ODD, sums=(1.0, 0.1 + 0.2)
)
_FALLS = Falls(
    experiment="exp-1", variant="control", total=0.1 + 0.2, highest=1.0, lowest=-1e-17, deepest=2.0
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
_COUNTS = VariantCounts(
    experiment="exp-1",
    epoch=1,
    variant="control",
    units=1,
    requests=2,
    errors=3,
    labelled=4,
    outcomes=5,
    crossovers=6,
    overdue=7,
    expected=0.1 + 0.2,
)
_REPORTED = ReportedSums(
    experiment="exp-1", variant="control", metric=ODD, n=2**40, total=0.1 + 0.2
)
_VALUES = UnitValues(
    experiment="exp-1",
    epoch=1,
    unit=ODD,
    variant="control",
    values={"brier": (3, 0.1 + 0.2), "error": (1, 0.0)},
    first_at=WHEN,
    first_seq=2**53,
    policy_version=2**40,
    segments=(ODD, "b"),
)
_CROSSING = Crossing(
    experiment="exp-1",
    metric="brier",
    variant="challenger",
    verdict=Verdict.BETTER,
    at=WHEN,
    watermark=1,
)
_LIFECYCLE = Lifecycle(
    name="own",
    initial="new",
    production="live",
    retired="old",
    transitions={"new": ("live", "old"), "live": ("old",), "old": ()},
)
_ALERT = Alert.of(
    "experiment.rolled_back",
    ODD,
    occasion="1",
    severity=Severity.CRITICAL,
    at=WHEN,
    text=ODD,
    evidence={ODD: [1, None, {"deep": True}]},
)
_DELIVERY = AlertDelivery(
    alert=_ALERT.id,
    target="ab" * 8,
    host="example.org",
    state=DeliveryState.DELIVERED,
    attempts=2,
    due_at=WHEN,
    at=WHEN,
    error=ODD,
)
_QUALITY = QualitySums(
    model="m",
    version=ODD,
    cohort=2**40,
    segment=ODD,
    counts=QualityCounts(
        rows=2**40,
        brier=0.1 + 0.2,
        held={"0": 1, "9": 2**40},
        hits={"9": 1},
        sums={"0": 0.1 + 0.2},
    ),
)
_FIRST = FeatureReference(
    model="m",
    version=ODD,
    at=WHEN,
    rows=2**40,
    features={
        ODD: Profile(edges=(-1e300, 0.1 + 0.2), counts=(1, 2, 2**40, 0)),
        "b": Profile(words=(ODD, ""), counts=(1, 0, 0, 1)),
    },
)
_FEATURES = FeatureCounts(
    day=2**40, process=ODD, model="m", version=ODD, rows=2**40, features={ODD: (1, 2**40), "b": ()}
)
_TRAFFIC = TrafficSums(
    requests=2**40,
    rows=2**41,
    errors=1,
    latency_ms=0.1 + 0.2,
    latencies=((-7, 2**40), (3, 1)),
    outcomes={ODD: 2**40, "1": 1},
    failures={"ValueError": 1},
)
_PER_SECOND = TrafficCounts(
    second=2**33, process=ODD, endpoint="e", model="m", version=ODD, sums=_TRAFFIC
)
_TOTALS = TrafficTotals(
    server=ODD, process=ODD, endpoint="e", model="m", version=ODD, sums=_TRAFFIC
)
_USE = ProcessUse(
    process=ODD, server=ODD, at=WHEN, rss_bytes=2**40, cpu_share=0.1 + 0.2, loaded=("m:v", ODD)
)

_BARE_DEPLOYMENT = Deployment(
    name="z",
    model="m",
    version="v",
    endpoint="pay",
    state=Standing.PENDING,
    since=WHEN,
    created_at=WHEN,
    created_by="ann",
)
_DEPLOYMENT = Deployment(
    name="y",
    model="m",
    version="w",
    endpoint="pay",
    environment="staging",
    resources=Resources(cpu=0.5, memory_bytes=2**33, gpu=1),
    scaling=Scaling(min_replicas=2, max_replicas=10, target_cpu=0.7),
    health_check=HealthCheck(
        interval_s=30.0, timeout_s=0.25, failure_threshold=4, row={ODD: 0.1 + 0.2}
    ),
    traffic_share=0.1 + 0.2,
    rollback_on_error=False,
    guardrails=(
        Guardrail(limit=0.1 + 0.2, alpha=0.01, window_s=60),
        Guardrail(metric=Guarded.LATENCY, margin=0.5, action=GuardAction.WARN),
    ),
    canary=Canary(start_share=0.1, success_threshold=0.9, duration_s=60.5, min_sample=7),
    reason=ODD,
    state=Standing.CANARY,
    since=WHEN,
    created_at=WHEN,
    created_by=ODD,
    verdict=Shown.INCONCLUSIVE,
    revision=2**40,
    weights_before={"v": 0.75, "w": 0.25},
    holds=False,
    health=Health(
        at=WHEN,
        healthy=False,
        failures=4,
        reason=ODD,
        latency_ms=0.1 + 0.2,
        rss_bytes=2**40,
        waiting=(ODD,),
        loading=True,
    ),
    settled=Settled(
        second=2**33,
        own=Counts(requests=3, errors=1, latencies=((700, 3),)),
        others=Counts(requests=2),
    ),
    not_honoured=(ODD,),
)
RECORDS: Mapping[str, Sequence[Any]] = {
    "keys": [_KEY, replace(_KEY, id="key_2", role=Role.VIEWER, expires_at=None, revoked_at=None)],
    "models": [
        Model("m", "standard", WHEN, "ann", ODD, {ODD: ODD}, 2, WHEN + timedelta(days=1)),
        Model("credit-risk", "own", WHEN, "bea"),
    ],
    "lifecycles": [_LIFECYCLE, replace(_LIFECYCLE, name="also"), replace(_LIFECYCLE, revision=2)],
    "versions": [
        _VERSION,
        replace(
            _VERSION,
            version="a",
            ordinal=2,
            signature=None,
            metrics={},
            training={},
            tags={},
            approved_by=None,
            policy=None,
            backtest={},
            parent=None,
            source={},
            deleted_at=None,
            purged_at=None,
        ),
    ],
    "attestations": [_ATTESTATION, replace(_ATTESTATION, seq=2)],
    "alias_moves": [
        _MOVE,
        replace(_MOVE, alias="a", kind=MoveKind.SET, previous=None),
        replace(_MOVE, alias="b", kind=MoveKind.CLEARED, version=None),
    ],
    "endpoints": [
        Endpoint(
            name="pay", model="m", created_at=WHEN, created_by="ann", description=ODD, override="v"
        ),
        Endpoint(
            name="shared",
            model="m",
            created_at=WHEN,
            created_by="ann",
            weights={"v": 0.75, "w": 0.25},
            held=("v", "w"),
            on_error=OnError.FALLBACK,
            timeout_s=1.5,
        ),
        Endpoint(name="an", model="m", created_at=WHEN, created_by="ann"),
    ],
    "deployments": [_BARE_DEPLOYMENT, _DEPLOYMENT],
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
    "cursors": [Cursor("exp-1", 2**53, 2**52, 2**51, 2**50), Cursor("a", 0)],
    "unit_values": [_VALUES, replace(_VALUES, unit="a", values={}, first_at=None)],
    "metric_sums": [
        _SUMS,
        replace(_SUMS, epoch=2, shift=(), sums=(), products=(), bins=()),
        replace(_SUMS, metric="accuracy"),
        replace(_SUMS, segment=""),
    ],
    "contrast_sums": [_ADAPTIVE, replace(_ADAPTIVE, epoch=2, sums=())],
    "falls": [_FALLS, replace(_FALLS, variant="a")],
    "published": [
        _PUBLISHED,
        replace(_PUBLISHED, policy_version=1, guesses={}, totals={}, evidence={}, retired=()),
    ],
    "sticky": [_STICKY, replace(_STICKY, unit="a")],
    "leases": [Lease(name="z", holder=ODD, until=WHEN), Lease(name="a", holder="b", until=WHEN)],
    "marks": [StoreMark(name=ODD, value=ODD, at=WHEN), StoreMark(name="a", value="", at=WHEN)],
    "alerts": [_ALERT, replace(_ALERT, id="a", evidence={}, handed_on=1)],
    "alert_deliveries": [_DELIVERY, replace(_DELIVERY, target="a", at=None)],
    "feature_references": [_FIRST, replace(_FIRST, version="a", features={})],
    "feature_counts": [_FEATURES, replace(_FEATURES, process="a", features={})],
    "quality_sums": [_QUALITY, replace(_QUALITY, segment="", counts=QualityCounts())],
    "traffic": [_PER_SECOND, replace(_PER_SECOND, second=1, sums=TrafficSums())],
    "traffic_totals": [_TOTALS, replace(_TOTALS, version="a", sums=TrafficSums())],
    "process_uses": [_USE, replace(_USE, process="a", loaded=())],
    "variant_counts": [_COUNTS, replace(_COUNTS, variant="a")],
    "reported_sums": [_REPORTED, replace(_REPORTED, metric="a")],
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
"""At least two of each, not in the order of their keys, and after the records they name."""

PARENTS: Mapping[str, tuple[str, ...]] = {
    "versions": ("models",),
    "alias_moves": ("models", "versions"),
    "attestations": ("models", "versions"),
    "endpoints": ("models",),
    "deployments": ("models", "endpoints"),
    "experiments": ("models",),
    **dict.fromkeys(
        (
            *("cursors", "unit_values", "metric_sums", "variant_counts", "reported_sums"),
            *("contrast_sums", "falls", "published", "crossings", "looks"),
        ),
        ("models", "experiments"),
    ),
    "records": ("models", "experiments"),
    "alert_deliveries": ("alerts",),
}
"""The collections that a collection's records name records of."""

KEYS: Mapping[str, tuple[str, ...]] = {
    "keys": ("id",),
    "models": ("name",),
    "lifecycles": ("name", "revision"),
    "versions": ("model", "version"),
    "alias_moves": ("model", "alias", "seq"),
    "attestations": ("model", "version", "seq"),
    "endpoints": ("name",),
    "experiments": ("key",),
    "cursors": ("experiment",),
    "unit_values": ("experiment", "epoch", "unit"),
    "metric_sums": ("experiment", "epoch", "variant", "metric", "segment"),
    "contrast_sums": ("experiment", "epoch", "variant", "metric"),
    "falls": ("experiment", "variant"),
    "published": ("experiment", "policy_version"),
    "sticky": ("experiment", "unit"),
    "leases": ("name",),
    "marks": ("name",),
    "alerts": ("id",),
    "alert_deliveries": ("alert", "target"),
    "feature_references": ("model", "version"),
    "feature_counts": ("day", "process", "model", "version"),
    "quality_sums": ("model", "version", "cohort", "segment"),
    "traffic": ("second", "process", "endpoint", "model", "version"),
    "traffic_totals": ("server", "process", "endpoint", "model", "version"),
    "process_uses": ("process",),
    "deployments": ("name",),
    "variant_counts": ("experiment", "epoch", "variant"),
    "reported_sums": ("experiment", "variant", "metric"),
    "crossings": ("experiment", "metric", "variant", "verdict"),
    "looks": ("experiment", "watermark", "variant"),
    "records": ("experiment",),
}
"""The fields of each collection's key."""

UNORDERED = frozenset(
    {
        *("cursors", "unit_values", "metric_sums", "variant_counts", "reported_sums"),
        *("contrast_sums", "falls", "sticky", "leases", "marks"),
        *("traffic", "traffic_totals", "process_uses", "alert_deliveries", "quality_sums"),
        *("feature_references", "feature_counts"),
    }
)
"""Statistics, which come in any order."""


def prediction(request_id: str, **fields: Any) -> Prediction:
    """Return a prediction of one row; fields that are not given have plain values."""
    plain: dict[str, Any] = {
        "unit": request_id,
        "at": datetime(2026, 1, 1, tzinfo=UTC),
        "endpoint": "credit",
        "model": "credit-risk",
        "version": "v1",
        "values": [1],
        "probabilities": [[0.25, 0.75]],
        "classes": (0, 1),
        "latency_ms": 1.5,
    }
    return Prediction(request_id=request_id, **{**plain, **fields})


def exposure(unit: str, **fields: Any) -> Exposure:
    """Return an exposure; fields that are not given have plain values."""
    plain: dict[str, Any] = {
        "at": datetime(2026, 1, 1, tzinfo=UTC),
        "endpoint": "credit",
        "model": "credit-risk",
        "version": "v1",
        "experiment": "exp",
        "variant": "control",
        "epoch": 1,
        "propensity": 0.5,
    }
    return Exposure(unit=unit, **{**plain, **fields})


def design(key: str = "exp", **fields: Any) -> ExperimentDraft:
    """Return a design on the endpoint ``credit``: versions 1 and 2, half and half, by Brier."""
    plain: dict[str, Any] = {
        "endpoint": "credit",
        "variants": (Variant("control", "1", 0.5), Variant("challenger", "2", 0.5)),
        "metrics": Metrics("brier"),
        "stopping": Stopping(horizon=4_000, min_sample=100),
    }
    return ExperimentDraft(key=key, **{**plain, **fields})


def outcome(outcome_id: str, **fields: Any) -> Outcome:
    """Return an outcome; fields that are not given have plain values."""
    plain: dict[str, Any] = {
        "revision": 1,
        "name": "label",
        "value": 1,
        "at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return Outcome(outcome_id=outcome_id, **{**plain, **fields})
