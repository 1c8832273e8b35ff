"""What is seen of a store that serves, in one reading: for whoever tells it to other systems."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from typing import TypeVar

from palio.access.alerts import DeliveryState
from palio.delivery.ports import DeliveryUnit
from palio.delivery.service import routing_table
from palio.delivery.traffic import (
    ProcessUse,
    TrafficCounts,
    TrafficMetrics,
    TrafficSums,
    TrafficTotals,
    alive,
    summary,
)
from palio.experiments.domain import Experiment, State
from palio.experiments.judging.analysis import Look
from palio.registry.drift import FeatureCounts, VersionDrift, drift_of
from palio.registry.quality import DAY_S, QualityCounts, QualityFigures, figures_of

__all__ = ["Judged", "Observed", "Recent", "Served", "Watched", "observe"]

T = TypeVar("T", TrafficCounts, TrafficTotals)
RECENT_S = 60.0
"""Seconds that recent figures are of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """All that one server has answered with a version since it began."""

    endpoint: str
    model: str
    version: str
    sums: TrafficSums


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """How a version has done in the last minute, on all servers of the store."""

    endpoint: str
    model: str
    version: str
    metrics: TrafficMetrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """An open experiment, and what the last look at it showed, one for each challenger."""

    experiment: Experiment
    looks: tuple[Look, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """How good a version's answers of the last seven days were, in one segment or (``""``) all."""

    model: str
    version: str
    segment: str
    figures: QualityFigures


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What is seen at a moment.

    ``served`` and ``processes`` are those of one server: the processes behind one address.
    ``recent``, ``watched`` and ``shares`` are the same whichever server of a store is asked;
    the last are shares of requests by version, for each endpoint.
    """

    at: datetime
    served: tuple[Served, ...]
    processes: tuple[ProcessUse, ...]
    recent: tuple[Recent, ...]
    watched: tuple[Watched, ...]
    qualities: tuple[Judged, ...] = ()
    drifts: tuple[VersionDrift, ...] = ()
    alerts_waiting: int = 0
    shares: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def observe(unit: DeliveryUnit, *, server: str, now: datetime) -> Observed:
    """Return what is seen.

    Parameters
    ----------
    unit
        Where it is read.
    server
        Whose totals and processes.
    now
        The present moment.
    """
    counts = unit.traffic.since(int(now.timestamp() - RECENT_S))
    return Observed(
        at=now,
        served=tuple(_served(unit.traffic_totals.find(server=server))),
        processes=tuple(alive(unit.process_uses.find(server=server), now)),
        recent=tuple(_recent(counts, now)),
        watched=tuple(_watched(unit)),
        qualities=tuple(_judged(unit, now)),
        drifts=tuple(_drifts(unit, now)),
        alerts_waiting=len(unit.alert_deliveries.find(state=DeliveryState.WAITING)),
        shares={name: one.shares for name, one in routing_table(unit).routes.items()},
    )


def _served(totals: Iterable[TrafficTotals]) -> Iterable[Served]:
    for key, found in _by_version(totals).items():
        endpoint, model, version = key
        sums = reduce(TrafficSums.merge, (one.sums for one in found), TrafficSums())
        yield Served(endpoint=endpoint, model=model, version=version, sums=sums)


def _recent(counts: Iterable[TrafficCounts], now: datetime) -> Iterable[Recent]:
    for key, found in _by_version(counts).items():
        endpoint, model, version = key
        metrics = summary(found, RECENT_S, now)
        yield Recent(endpoint=endpoint, model=model, version=version, metrics=metrics)


def _judged(unit: DeliveryUnit, now: datetime) -> Iterable[Judged]:
    today = int(now.timestamp()) // DAY_S * DAY_S
    found: dict[tuple[str, str, str], QualityCounts] = {}
    for day in range(today - 6 * DAY_S, today + 1, DAY_S):
        for one in unit.quality_sums.find(cohort=day):
            key = (one.model, one.version, one.segment)
            found[key] = found.get(key, QualityCounts()).plus(one.counts)
    for (model, version, segment), counts in sorted(found.items()):
        yield Judged(model=model, version=version, segment=segment, figures=figures_of(counts))


def _drifts(unit: DeliveryUnit, now: datetime) -> Iterable[VersionDrift]:
    today = int(now.timestamp()) // DAY_S * DAY_S
    seen: dict[tuple[str, str], list[FeatureCounts]] = defaultdict(list)
    for day in range(today - 6 * DAY_S, today + 1, DAY_S):
        for one in unit.feature_counts.find(day=day):
            seen[one.model, one.version].append(one)
    for key, counts in sorted(seen.items()):
        yield drift_of(":".join(key), unit.feature_references.get(*key), counts)


def _by_version(counts: Iterable[T]) -> Mapping[tuple[str, str, str], list[T]]:
    found: dict[tuple[str, str, str], list[T]] = defaultdict(list)
    for one in counts:
        found[one.endpoint, one.model, one.version].append(one)
    return dict(sorted(found.items()))


def _watched(unit: DeliveryUnit) -> Iterable[Watched]:
    for state in (State.RUNNING, State.PAUSED):
        for one in unit.experiments.find(state=state):
            looks = unit.looks.find(experiment=one.key, last=len(one.challengers))
            last = max((look.watermark for look in looks), default=0)
            shown = tuple(look for look in looks if look.watermark == last)
            yield Watched(experiment=one, looks=shown)
