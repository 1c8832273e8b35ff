"""Records of sums that events are folded into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from palio.experiments.folding.statistics import (
    ContrastSums,
    Cursor,
    Falls,
    MetricSums,
    ReportedSums,
    UnitValues,
    VariantCounts,
)
from palio.testing.records.odd import ODD, WHEN

__all__ = ["RECORDS"]

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
RECORDS: Mapping[str, Sequence[Any]] = {
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
    "variant_counts": [_COUNTS, replace(_COUNTS, variant="a")],
    "reported_sums": [_REPORTED, replace(_REPORTED, metric="a")],
}
