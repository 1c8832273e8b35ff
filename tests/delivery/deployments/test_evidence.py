"""What traffic shows: harm of late is not excused by what was before, and seldom seen wrongly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from palio.delivery.deployments.evidence import (
    Counts,
    Second,
    Settled,
    harm_of,
    seconds_of,
    settled_with,
)
from palio.delivery.deployments.wanted import Guarded, Guardrail
from palio.delivery.traffic import LATENCY_ACCURACY, TrafficCounts
from palio.stats import rate_sequence
from palio.stats.quality.histogram import LogHistogram

from .cases import sums

LIMIT = Guardrail(limit=0.05)


def counts(requests: int, errors: int = 0, latency_ms: float = 1.0) -> Counts:
    bins = LogHistogram.of([latency_ms] * requests, accuracy=LATENCY_ACCURACY).bins
    return Counts(requests=requests, errors=errors, latencies=bins)


def traffic(own: Sequence[Counts], others: Counts | None = None) -> list[Second]:
    rest = others or Counts()
    return [Second(second=n, own=one, others=rest) for n, one in enumerate(own, 1_000)]


def test_nothing_is_shown_by_nothing() -> None:
    assert harm_of(LIMIT, []) is None
    assert harm_of(LIMIT, traffic([Counts()] * 9)) is None
    assert harm_of(LIMIT, traffic([counts(1, 1)])) is None  # one failure may be chance


def test_an_hour_without_failure_excuses_nothing() -> None:
    well, failing = [counts(100)] * 290, [counts(2, 2)] * 4
    harm = harm_of(LIMIT, traffic([*well, *failing]))
    assert harm is not None
    assert (harm.requests, harm.bad) == (8, 8)
    assert (harm.since, harm.until) == (1_290, 1_293)
    together = rate_sequence(8, 29_008, alpha=LIMIT.alpha)[0]
    assert together < 0.05  # all of the window together would show nothing


def test_the_bound_is_that_of_its_stretch_at_its_share_of_alpha() -> None:
    harm = harm_of(LIMIT, traffic([counts(20, 10)]))
    assert harm is not None
    assert harm.bound == rate_sequence(10, 20, alpha=LIMIT.alpha / LIMIT.window_s)[0]
    assert harm.words == (
        "error_rate <= 0.05 is shown to be crossed: 10 of 20 requests failed within 1 s, a share "
        f"of at least {harm.bound:.4g} where 0.05 is borne"
    )


def test_small_harm_is_borne_where_the_limit_says_so() -> None:
    failing = traffic([counts(20, 10)])
    assert harm_of(Guardrail(limit=0.05), failing) is not None
    assert harm_of(Guardrail(limit=0.5), failing) is None


def test_what_is_before_the_window_does_not_count() -> None:
    failing = traffic([counts(50, 50), *[counts(1)] * 20])
    assert harm_of(LIMIT, failing) is not None
    assert harm_of(Guardrail(limit=0.05, window_s=10), failing) is None


def test_a_larger_alpha_sees_it_sooner() -> None:
    few = traffic([counts(5, 4)])
    assert harm_of(Guardrail(limit=0.05, alpha=0.2), few) is not None
    assert harm_of(Guardrail(limit=0.05, alpha=1e-9), few) is None


def test_small_harm_is_shown_by_all_of_a_canary() -> None:
    """A rate of 7 % where 5 % are borne, over 30,000 requests long ago."""
    total = Settled(second=0, own=counts(30_000, 2_100), others=Counts())
    late = traffic([counts(10)])
    assert harm_of(LIMIT, late) is None
    harm = harm_of(LIMIT, late, total)
    assert harm is not None
    assert harm.bound == rate_sequence(2_100, 30_000, alpha=LIMIT.alpha / 2)[0]


def test_errors_compare_with_the_others_at_the_same_time() -> None:
    """The store is down for all: a version that fails as the others do is not at fault."""
    baseline = Guardrail()
    failing = [counts(40, 20)] * 5
    assert harm_of(baseline, traffic(failing, counts(400, 200))) is None
    harm = harm_of(baseline, traffic(failing, counts(400, 4)))
    assert harm is not None
    assert harm.baseline_requests == 2_000
    assert harm.baseline_bad == 20
    assert harm.words.endswith("; 20 of 2000 of the others did")
    assert harm_of(Guardrail(margin=50.0), traffic(failing, counts(400, 4))) is None
    assert harm_of(baseline, traffic(failing)) is None  # with no others nothing is compared


def test_a_slow_version() -> None:
    """The 95th percentile is above a limit where more than a twentieth takes longer."""
    limit = Guardrail(metric=Guarded.LATENCY, limit=200.0)
    assert harm_of(limit, traffic([counts(50, latency_ms=190.0)] * 4)) is None
    harm = harm_of(limit, traffic([counts(50, latency_ms=210.0)] * 4))
    assert harm is not None
    assert (harm.bad, harm.slower_than_ms) == (200, 200.0)
    mixed = counts(96, latency_ms=1.0).plus(counts(4, latency_ms=999.0))
    assert harm_of(limit, traffic([mixed] * 20)) is None  # 4 % may be slow


def test_a_version_that_is_slower_than_the_others() -> None:
    baseline, others = Guardrail(metric=Guarded.LATENCY), counts(400, latency_ms=100.0)
    assert harm_of(baseline, traffic([counts(50, latency_ms=100.0)] * 4, others)) is None
    slow = [counts(50, latency_ms=130.0)] * 4
    harm = harm_of(baseline, traffic(slow, others))
    assert harm is not None
    assert harm.slower_than_ms == pytest.approx(100.0, rel=0.02)  # the bins' accuracy
    within = Guardrail(metric=Guarded.LATENCY, margin=0.5)
    assert harm_of(within, traffic(slow, others)) is None
    few = [Second(second=1, own=counts(200, latency_ms=130.0), others=counts(20))]
    assert harm_of(baseline, few) is None  # 20 requests do not bound a 95th percentile


def test_false_alarms_are_rare() -> None:
    """At the limit itself a window alarms with at most alpha, however often one looks."""
    draw = np.random.default_rng(20_261_128)
    guardrail = Guardrail(limit=0.05, alpha=0.1, window_s=60)
    alarms, runs = 0, 60
    for _ in range(runs):
        errors = draw.binomial(10, 0.05, size=60)
        seconds = traffic([counts(10, int(one)) for one in errors])
        alarms += any(harm_of(guardrail, seconds[:n]) for n in range(5, 61, 5))
    assert alarms <= 0.1 * runs + 2  # 60 runs of a rate of at most 0.1; it is far less


def test_counts_become_seconds_of_the_version_and_of_others() -> None:
    def at(second: int, version: str, process: str) -> TrafficCounts:
        names = {"process": process, "endpoint": "e", "model": "m", "version": version}
        return TrafficCounts(second=second, **names, sums=sums(3, 1))

    found = seconds_of([at(2, "v", "p"), at(1, "w", "p"), at(2, "v", "q"), at(2, "w", "p")], "v")
    assert [(one.second, one.own.requests, one.others.errors) for one in found] == [
        (1, 0, 1),
        (2, 6, 1),
    ]


def test_what_is_settled_counts_once() -> None:
    seconds = traffic([counts(1)] * 10, counts(2))
    first = settled_with(Settled(second=0, own=Counts(), others=Counts()), seconds, before=1_004)
    assert (first.second, first.own.requests, first.others.requests) == (1_004, 4, 8)
    again = settled_with(first, seconds, before=1_004)
    assert again == first
    assert settled_with(first, seconds, before=1_010).own.requests == 10
