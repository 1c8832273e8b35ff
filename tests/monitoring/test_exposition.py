"""``/metrics``: what a scraper reads of real servers."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

import httpx
import pytest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from tests.e2e import servers
from tests.e2e.worlds import World
from tests.monitoring.conftest import program

import palio
from palio.access.domain import Role
from palio.delivery.observed import Observed
from palio.monitoring.exposition import Exposition
from palio.testing.fakes import FakeClock
from palio.testing.memory import MemoryStore


def requests_of(text: str) -> dict[str, float]:
    """Return the requests by version."""
    return {
        sample.labels["version"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "palio_requests_total"
    }


def test_what_was_answered_is_scraped_at_once(world: World) -> None:
    for _ in range(3):
        assert world.predict().status_code == 200
    assert world.predict(version="v2").status_code == 200
    answer = world.http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert requests_of(answer.text) == {"v1": 3, "v2": 1}
    assert 'palio_version_loaded{model="credit",version="v1"} 1.0' in answer.text


GIVEN = ("active_models_count ",)
"""Names that a dialect's document gives and promtool would have otherwise."""


def test_promtool_finds_nothing_wrong(world: World) -> None:
    world.predict()
    with world.opened() as opened:
        opened.experiments.draft(servers.design("e"))
        opened.experiments.start("e")
        opened.experiments.analyze("e")
    text = world.http.get("/metrics").text
    assert "palio_experiment_decision" in text
    told = subprocess.run(
        [program("promtool"), "check", "metrics"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    said = (told.stdout + told.stderr).splitlines()
    assert [line for line in said if not line.startswith(GIVEN)] == []


def test_openmetrics_is_spoken_to_who_asks_for_it(shared: World) -> None:
    accept = "application/openmetrics-text;version=1.0.0"
    answer = shared.http.get("/metrics", headers={"Accept": accept})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def test_with_keys_a_scraper_needs_one(home: str) -> None:
    with palio.connect(home) as opened:
        secret = opened.keys.create("prometheus", Role.VIEWER).secret
    with servers.serving(home) as address, httpx.Client(base_url=address) as http:
        assert http.get("/metrics").status_code == 401
        bearer = {"Authorization": f"Bearer {secret}"}
        assert http.get("/metrics", headers=bearer).status_code == 200


def test_servers_on_one_store_are_targets_that_sum_up(home: str, tmp_path: Path) -> None:
    artifacts = str(Path(home).with_name("palio-artifacts"))
    processes = [servers.start(home, artifacts=artifacts, folder=tmp_path) for _ in range(2)]
    try:
        for times, process in enumerate(processes, 1):
            for _ in range(times):
                body = {"rows": [[1, 2, 3]]}
                httpx.post(f"{process.address}/v1/predict/credit", json=body).raise_for_status()
        found = [requests_of(httpx.get(f"{one.address}/metrics").text) for one in processes]
        assert found == [{"v1": 1}, {"v1": 2}]
        with palio.connect(home) as opened:
            assert opened.endpoints.metrics("credit").versions["v1"].requests == 3
    finally:
        for process in processes:
            process.end(servers.signal.SIGTERM)


def test_faces_tell_under_names_of_their_own() -> None:
    def theirs(seen: Observed) -> Iterable[Metric]:
        yield GaugeMetricFamily("active_models_count", "Theirs.", value=len(seen.served))

    def clashing(seen: Observed) -> Iterable[Metric]:
        yield GaugeMetricFamily("palio_processes", "Ours.", value=len(seen.served))

    published: list[bool] = []
    scraped = Exposition(
        MemoryStore(),
        server="s",
        clock=FakeClock(),
        publish=lambda: published.append(True),
        more=[theirs],
    )
    text, _ = scraped("")
    assert b"active_models_count 0.0" in text
    assert published == [True]
    twice = Exposition(
        MemoryStore(), server="s", clock=FakeClock(), publish=lambda: None, more=[clashing]
    )
    with pytest.raises(ValueError, match="palio_processes is told twice"):
        twice("")
