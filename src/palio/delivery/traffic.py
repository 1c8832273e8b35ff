"""Traffic: what serving processes have answered, counted per second and since they began."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import reduce
from math import floor

from palio.errors import InvalidInput
from palio.stats.quality.histogram import LogHistogram

__all__ = [
    "COUNTED_S",
    "LATENCY_ACCURACY",
    "EndpointMetrics",
    "ProcessUse",
    "TrafficCounts",
    "TrafficMetrics",
    "TrafficSums",
    "TrafficTotals",
    "alive",
    "bounded",
    "check_window",
    "ended",
    "summary",
]

COUNTED_S = 15 * 60
"""Seconds for which counts per second are kept."""
LATENCY_ACCURACY = 0.01
"""Relative accuracy of latency quantiles."""
OTHER = "other"
"""The class that stands for all beyond the most that are told apart."""
_MOST_CLASSES = 50
_SILENT_S = 15.0  # after which a process that says nothing of itself is gone


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficSums:
    """What was answered in some stretch of time; adds up over processes and stretches.

    ``latency_ms`` is the sum over requests, ``latencies`` their `LogHistogram`. ``outcomes``
    counts rows by the class they were given, ``value`` where answers are numbers; ``failures``
    counts requests by the kind of error. ``skipped`` counts the rows that an ensemble answered
    without a member, by member; of all its endpoints, whichever of them these sums are of.
    """

    requests: int = 0
    rows: int = 0
    errors: int = 0
    latency_ms: float = 0.0
    latencies: tuple[tuple[int, int], ...] = ()
    outcomes: Mapping[str, int] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)

    @property
    def histogram(self) -> LogHistogram:
        """Latencies in milliseconds."""
        return LogHistogram(LATENCY_ACCURACY, self.latencies)

    def merge(self, other: TrafficSums) -> TrafficSums:
        """Return what was answered in both."""
        return TrafficSums(
            requests=self.requests + other.requests,
            rows=self.rows + other.rows,
            errors=self.errors + other.errors,
            latency_ms=self.latency_ms + other.latency_ms,
            latencies=_added(self.latencies, other.latencies),
            outcomes=bounded(Counter(self.outcomes) + Counter(other.outcomes)),
            failures=bounded(Counter(self.failures) + Counter(other.failures)),
            skipped=dict(Counter(self.skipped) + Counter(other.skipped)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficCounts:
    """What one process has answered with one version within one ``second`` of Unix time."""

    second: int
    process: str
    endpoint: str
    model: str
    version: str
    sums: TrafficSums


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficTotals:
    """What one process has answered with one version since it began.

    ``server`` names the processes that answer at one address: their totals are read together,
    and those of a process that is gone stay among them.
    """

    server: str
    process: str
    endpoint: str
    model: str
    version: str
    sums: TrafficSums


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessUse:
    """What a serving process takes of its machine, as it stood ``at`` a moment.

    ``cpu_share`` is its share of one core since the last time, above 1 when it is busy on
    several; ``loaded`` names the versions in its memory.
    """

    process: str
    server: str
    at: datetime
    rss_bytes: int
    cpu_share: float
    loaded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficMetrics:
    """How a version has done of late; what nothing is known of is ``None``.

    Quantiles of latency are within 1 % of the value.
    """

    requests_per_s: float
    mean_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    error_rate: float | None
    requests: int
    errors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointMetrics:
    """How an endpoint has done within the last ``window_s`` seconds, by version.

    ``processes`` are those that serve now, whichever endpoint.
    """

    endpoint: str
    at: datetime
    window_s: float
    versions: Mapping[str, TrafficMetrics]
    processes: tuple[ProcessUse, ...]


def alive(uses: Iterable[ProcessUse], now: datetime) -> Sequence[ProcessUse]:
    """Return the processes that have said something of late."""
    return [one for one in uses if (now - one.at).total_seconds() <= _SILENT_S]


def ended(use: ProcessUse, now: datetime) -> ProcessUse:
    """Return the last word of a process: it is among the living no more."""
    return replace(use, at=now - timedelta(seconds=_SILENT_S + 1), cpu_share=0.0, loaded=())


def check_window(window_s: float) -> None:
    """Raise ``InvalidInput`` unless counts are kept for so many seconds."""
    if not 1 <= window_s <= COUNTED_S:
        raise InvalidInput(
            f"window_s is {window_s}; counts are kept for {COUNTED_S // 60} minutes, so take 1 to "
            f"{COUNTED_S}",
            field="window_s",
            value=window_s,
        )


def summary(counts: Iterable[TrafficCounts], window_s: float, now: datetime) -> TrafficMetrics:
    """Sum up the last seconds, over all processes.

    Parameters
    ----------
    counts
        Of what shall be summed up, such as one version on one endpoint; those from before the
        window are left out.
    window_s
        Length of the window in seconds, above 0. The second that has begun is part of it.
    now
        Its end.

    Returns
    -------
    TrafficMetrics
        Rates per second are over the whole window.
    """
    end = floor(now.timestamp())
    within = [one.sums for one in counts if end - window_s < one.second <= end]
    return _metrics(reduce(TrafficSums.merge, within, TrafficSums()), window_s)


def _metrics(sums: TrafficSums, window_s: float) -> TrafficMetrics:
    n, latencies = sums.requests, sums.histogram
    return TrafficMetrics(
        requests_per_s=n / window_s,
        mean_ms=sums.latency_ms / n if n else None,
        p95_ms=latencies.quantile(0.95) if n else None,
        p99_ms=latencies.quantile(0.99) if n else None,
        error_rate=sums.errors / n if n else None,
        requests=n,
        errors=sums.errors,
    )


def bounded(counts: Mapping[str, int]) -> Mapping[str, int]:
    """Return counts by class of at most 50 classes: the rarest become one, ``other``."""
    if len(counts) <= _MOST_CLASSES:
        return dict(counts)
    own = Counter({name: n for name, n in counts.items() if name != OTHER})
    ranked: Sequence[tuple[str, int]] = sorted(own.items(), key=lambda one: (-one[1], one[0]))
    kept = dict(ranked[: _MOST_CLASSES - 1])
    return kept | {OTHER: sum(counts.values()) - sum(kept.values())}


def _added(
    one: tuple[tuple[int, int], ...], other: tuple[tuple[int, int], ...]
) -> tuple[tuple[int, int], ...]:
    counts = Counter(dict(one))
    counts.update(dict(other))
    return tuple(sorted(counts.items()))
