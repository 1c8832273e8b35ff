"""Records of models, versions, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

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
from palio.testing.records.odd import ODD, WHEN

__all__ = ["RECORDS"]

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
_LIFECYCLE = Lifecycle(
    name="own",
    initial="new",
    production="live",
    retired="old",
    transitions={"new": ("live", "old"), "live": ("old",), "old": ()},
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
RECORDS: Mapping[str, Sequence[Any]] = {
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
    "feature_references": [_FIRST, replace(_FIRST, version="a", features={})],
    "feature_counts": [_FEATURES, replace(_FEATURES, process="a", features={})],
    "quality_sums": [_QUALITY, replace(_QUALITY, segment="", counts=QualityCounts())],
}
