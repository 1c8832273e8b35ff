"""What traffic shows of a version: counts, and whether harm has begun at some moment of late.

A version that was well for an hour and fails now must not be excused by that hour. Each second of
a window may be the one at which harm began: from each of them on, bounds hold at every look, each
at its share of the error probability, and harm is shown where one of them is beyond the limit.
All is exact: there is no least number of requests.

References
----------
Shin, Ramdas and Rinaldo (2023), "E-detectors: a nonparametric framework for sequential change
detection", New England Journal of Statistics in Data Science 2(2), 229-260.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from palio.delivery.deployments.wanted import Guarded, Guardrail
from palio.delivery.traffic import LATENCY_ACCURACY, TrafficCounts
from palio.stats import rate_sequence
from palio.stats.quality.histogram import LogHistogram

__all__ = ["Counts", "Harm", "Second", "Settled", "harm_of", "seconds_of", "settled_with"]

_TAIL = 0.05  # of requests that a 95th percentile leaves above it
_LONGER = 1.2  # each stretch that is looked at than the one before it, once it is long


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Requests, those that failed, and latencies in milliseconds by bins of `LogHistogram`."""

    requests: int = 0
    errors: int = 0
    latencies: tuple[tuple[int, int], ...] = ()

    def plus(self, other: Counts) -> Counts:
        """Return both together."""
        bins = Counter(dict(self.latencies))
        bins.update(dict(other.latencies))
        return Counts(
            requests=self.requests + other.requests,
            errors=self.errors + other.errors,
            latencies=tuple(sorted(bins.items())),
        )

    def above(self, latency_ms: float) -> int:
        """Return how many requests certainly took longer."""
        lower, _, counts = LogHistogram(LATENCY_ACCURACY, self.latencies).steps()
        return int(counts[lower >= latency_ms].sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """One second of Unix time: what the version and the endpoint's others have answered."""

    second: int
    own: Counts = Counts()
    others: Counts = Counts()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What was answered before a ``second``, which will not change any more."""

    second: int
    own: Counts
    others: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """A guardrail that is shown to be crossed, with all that shows it.

    Parameters
    ----------
    guardrail
        Which one, in words.
    since, until
        From the first second to the last one, in Unix time.
    requests, bad
        Requests of the version, and how many of them failed or took too long.
    bound
        The least that their share can be.
    limit
        The share that is borne.
    slower_than_ms
        What is too long, where latency is watched.
    baseline_requests, baseline_bad
        The same of the endpoint's other versions, where they are what is compared with.
    """

    guardrail: str
    since: int
    until: int
    requests: int
    bad: int
    bound: float
    limit: float
    slower_than_ms: float | None = None
    baseline_requests: int | None = None
    baseline_bad: int | None = None

    @property
    def words(self) -> str:
        """What is shown."""
        slow = self.slower_than_ms
        how = "failed" if slow is None else f"took longer than {slow:.4g} ms"
        said = (
            f"{self.guardrail} is shown to be crossed: {self.bad} of {self.requests} requests "
            f"{how} within {self.until - self.since + 1} s, a share of at least {self.bound:.4g} "
            f"where {self.limit:.4g} is borne"
        )
        if self.baseline_requests is None:
            return said
        return f"{said}; {self.baseline_bad} of {self.baseline_requests} of the others did"


def seconds_of(counts: Iterable[TrafficCounts], version: str) -> list[Second]:
    """Return one endpoint's traffic, second by second in order, a version beside the others."""
    found: dict[int, dict[bool, Counts]] = {}
    for one in counts:
        sums = found.setdefault(one.second, {True: Counts(), False: Counts()})
        more = Counts(
            requests=one.sums.requests, errors=one.sums.errors, latencies=one.sums.latencies
        )
        sums[one.version == version] = sums[one.version == version].plus(more)
    return [Second(second=s, own=found[s][True], others=found[s][False]) for s in sorted(found)]


def settled_with(settled: Settled, seconds: Iterable[Second], *, before: int) -> Settled:
    """Return what was answered before a later second."""
    new = [one for one in seconds if settled.second <= one.second < before]
    return Settled(
        second=max(before, settled.second),
        own=reduce(Counts.plus, (one.own for one in new), settled.own),
        others=reduce(Counts.plus, (one.others for one in new), settled.others),
    )


def harm_of(
    guardrail: Guardrail, seconds: Sequence[Second], total: Settled | None = None
) -> Harm | None:
    """Return harm that is shown, of the stretch that shows it best.

    Parameters
    ----------
    guardrail
        What is borne.
    seconds
        The endpoint's traffic of late, in order; what is before the window does not count.
    total
        All that was answered since ``total.second`` and before ``seconds``, if that is to be
        judged as a whole, too: half of the error probability is for it.
    """
    if not seconds:
        return None
    end = seconds[-1].second
    stretches = list(_stretches([s for s in seconds if s.second > end - guardrail.window_s]))
    alpha = guardrail.alpha / (2 if total else 1)
    found = [_shown(guardrail, one, alpha / guardrail.window_s, end) for one in stretches]
    if total is not None:
        found.append(_shown(guardrail, total, alpha, end))
    shown = [one for one in found if one is not None]
    return max(shown, key=lambda one: one.bound - one.limit, default=None)


def _stretches(seconds: Sequence[Second]) -> Iterator[Settled]:
    """Return what ends with the last second: each short stretch, and some of the longer ones."""
    own, others, due = Counts(), Counts(), 1.0
    for length, one in enumerate(reversed(seconds), 1):
        own, others = own.plus(one.own), others.plus(one.others)
        if length >= due or length == len(seconds):
            due = max(due + 1, due * _LONGER)
            yield Settled(second=one.second, own=own, others=others)


def _shown(guardrail: Guardrail, seen: Settled, alpha: float, end: int) -> Harm | None:
    of = _failed if guardrail.metric is Guarded.ERROR_RATE else _slow
    found = of(guardrail, seen, alpha)
    if found is None:
        return None
    bad, limit, also = found
    requests, compared = seen.own.requests, "baseline_requests" in also
    if bad <= limit * requests:
        return None
    bound = rate_sequence(bad, requests, alpha=alpha / 2 if compared else alpha)[0]
    if bound <= limit:
        return None
    return Harm(
        guardrail=guardrail.words,
        since=seen.second,
        until=end,
        requests=requests,
        bad=bad,
        bound=bound,
        limit=limit,
        **also,
    )


_Found = tuple[int, float, dict[str, Any]] | None


def _failed(guardrail: Guardrail, seen: Settled, alpha: float) -> _Found:
    """Return failures, the share that is borne, and what it was made of."""
    if guardrail.limit is not None:
        return seen.own.errors, guardrail.limit, {}
    others = seen.others
    most = rate_sequence(others.errors, others.requests, alpha=alpha / 2)[1]
    also = {"baseline_requests": others.requests, "baseline_bad": others.errors}
    return seen.own.errors, most * (1 + guardrail.margin), also


def _slow(guardrail: Guardrail, seen: Settled, alpha: float) -> _Found:
    """Return slow requests, of which a twentieth is borne: that is what a 95th percentile says."""
    if guardrail.limit is not None:
        return seen.own.above(guardrail.limit), _TAIL, {"slower_than_ms": guardrail.limit}
    slowest = _most_of_p95(seen.others, alpha / 2)
    if slowest is None:
        return None
    limit = slowest * (1 + guardrail.margin)
    also: dict[str, Any] = {
        "slower_than_ms": limit,
        "baseline_requests": seen.others.requests,
        "baseline_bad": seen.others.above(limit),
    }
    return seen.own.above(limit), _TAIL, also


def _most_of_p95(counts: Counts, alpha: float) -> float | None:
    """Return the least latency that is shown to be exceeded by less than a twentieth."""
    _, upper, sizes = LogHistogram(LATENCY_ACCURACY, counts.latencies).steps()
    above, found = 0, None
    for edge, size in zip(upper[::-1].tolist(), sizes[::-1].tolist(), strict=True):
        if rate_sequence(above, counts.requests, alpha=alpha)[1] >= _TAIL:
            return found
        found, above = float(edge), above + size
    return found
