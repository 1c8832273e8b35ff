"""One reading of the store tells what is seen of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from palio.delivery.observed import Observed, observe
from palio.delivery.traffic import ProcessUse, TrafficCounts, TrafficSums, TrafficTotals
from palio.stats.quality.histogram import LogHistogram
from palio.testing.records import RECORDS, design
from palio.testing.wired import Wired

SUMS = TrafficSums(
    requests=2,
    rows=2,
    latency_ms=3.0,
    latencies=LogHistogram.of([1.0, 2.0]).bins,
    outcomes={"1": 2},
)
NAMES = {"endpoint": "credit", "model": "credit", "version": "1"}


@pytest.fixture
def serving(wired: Wired) -> Wired:
    wired.serve("1", "2")
    return wired


def seen(wired: Wired, server: str = "s") -> Observed:
    with wired.store.read() as unit:
        return observe(unit, server=server, now=wired.clock())


def test_totals_and_processes_are_those_of_one_server(serving: Wired) -> None:
    with serving.store.write() as unit:
        unit.traffic_totals.put_many(
            TrafficTotals(server=server, process=process, **NAMES, sums=SUMS)
            for server, process in (("s", "p"), ("s", "q"), ("t", "r"))
        )
        unit.process_uses.put_many(
            ProcessUse(
                process=process, server=server, at=serving.clock(), rss_bytes=1, cpu_share=0.0
            )
            for server, process in (("s", "p"), ("s", "q"), ("t", "r"))
        )
    [served] = seen(serving).served
    assert (served.version, served.sums.requests, served.sums.outcomes) == ("1", 4, {"1": 4})
    assert [one.process for one in seen(serving).processes] == ["p", "q"]
    assert [one.process for one in seen(serving, "t").processes] == ["r"]
    serving.clock.advance(16)
    assert seen(serving).processes == ()
    assert seen(serving).served == (served,)


def test_recent_figures_are_those_of_all_servers(serving: Wired) -> None:
    second = int(serving.clock().timestamp())
    with serving.store.write() as unit:
        unit.traffic.put_many(
            TrafficCounts(second=second - ago_s, process=process, **NAMES, sums=SUMS)
            for process, ago_s in (("p", 0), ("q", 59), ("r", 60))
        )
    for server in ("s", "t"):
        [recent] = seen(serving, server).recent
        assert (recent.endpoint, recent.metrics.requests) == ("credit", 4)


def test_open_experiments_are_watched_with_their_last_look(serving: Wired) -> None:
    serving.run(design("exp"))
    assert [(one.experiment.key, one.looks) for one in seen(serving).watched] == [("exp", ())]
    look = replace(RECORDS["looks"][0], experiment="exp")
    with serving.store.write() as unit:
        unit.looks.put_many([look, replace(look, watermark=7, p_value=0.25)])
    [one] = seen(serving).watched
    assert [shown.watermark for shown in one.looks] == [7]
    serving.experiments.stop("exp", "enough")
    assert seen(serving).watched == ()


def test_shares_are_those_of_every_endpoint(serving: Wired) -> None:
    serving.endpoints.create("second", "credit")
    serving.endpoints.weigh("second", {"1": 0.75, "2": 0.25})
    assert seen(serving).shares == {"credit": {"1": 1.0}, "second": {"1": 0.75, "2": 0.25}}
