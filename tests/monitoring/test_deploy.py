"""What lies in ``deploy/``: rules fire in a real Prometheus, dashboards show something."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests.e2e import servers
from tests.e2e.worlds import World, serve
from tests.monitoring.conftest import program

import palio

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "rules.yml"
BOARDS = sorted((DEPLOY / "grafana").glob("*.json"))
PATIENCE_S = 60.0


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program("promtool"), *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", str(RULES)),
        ("check", "config", str(RULES.with_name("prometheus.yml"))),
        ("test", "rules", str(RULES.with_name("rules.test.yml"))),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_promtool_agrees(arguments: tuple[str, ...]) -> None:
    told = promtool(*arguments)
    assert told.returncode == 0, told.stdout + told.stderr


def test_every_alert_is_tested() -> None:
    tested = RULES.with_name("rules.test.yml").read_text()
    for name in re.findall(r"alert: (\w+)", RULES.read_text()):
        assert f"alertname: {name}" in tested


def expressions() -> list[tuple[str, str]]:
    """Return what the dashboards ask, with their variables filled in."""
    found = []
    for path in BOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                asked = target["expr"].replace("$__rate_interval", "10s")
                found.append((panel["title"], re.sub(r'"\$\w+"', '".*"', asked)))
    return found


@dataclass
class Scraped:
    """A server that has seen much, and a Prometheus that scrapes it each second."""

    world: World
    prometheus: httpx.Client

    def ask(self, query: str) -> list[Any]:
        answer = self.prometheus.get("/api/v1/query", params={"query": query}).json()
        assert answer["status"] == "success", (query, answer)
        found: list[Any] = answer["data"]["result"]
        return found

    def firing(self) -> set[str]:
        alerts = self.prometheus.get("/api/v1/alerts").json()["data"]["alerts"]
        return {one["labels"]["alertname"] for one in alerts if one["state"] == "firing"}


def until(done: Callable[[], bool]) -> None:
    """Ask until something has come about: Prometheus tells nobody by itself."""
    end = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < end, "it has not come about"
        time.sleep(0.2)


@contextmanager
def prometheus(address: str, folder: Path) -> Iterator[httpx.Client]:
    """Run a Prometheus with the rules of ``deploy/``, whose clocks go sixty times as fast."""
    hurried = re.sub(r"\[(\d+)m\]", "[10s]", RULES.read_text())
    hurried = re.sub(r"for: \d+m", "for: 1s", hurried)
    (folder / "rules.yml").write_text(hurried)
    config = (RULES.with_name("prometheus.yml")).read_text()
    config = config.replace("15s", "1s").replace("127.0.0.1:8000", address.removeprefix("http://"))
    (folder / "prometheus.yml").write_text(config)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            until(lambda: is_ready(client))
            yield client
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)


def is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/-/ready").status_code == 200
    except httpx.HTTPError:
        return False


def live(world: World) -> None:
    """Let a server see all that is shown: drift, labels, an experiment, an alert."""
    rng = np.random.default_rng(3)
    with world.opened() as opened:
        opened.experiments.draft(servers.design("exp"))
        opened.experiments.start("exp")
    until(lambda: world.predict().json().get("experiment") == "exp")
    for shift in (0.0, 2.0):
        for _ in range(6):
            rows = (rng.normal(size=(200, 3)) + shift).tolist()
            answer = world.predict(*rows, version="v1", request_id=f"r{shift}{rng.integers(1e9)}")
            values = answer.json()["predictions"]
            body = {"request_id": answer.json()["request_id"], "value": values}
            world.post("/v1/outcomes", body).raise_for_status()
    for number in range(300):
        row = rng.normal(size=3)
        answer = world.predict(row.tolist(), unit=f"u{number}").json()
        body = {"request_id": answer["request_id"], "value": int(row[0] + row[1] > 0)}
        world.post("/v1/outcomes", body).raise_for_status()
    with world.opened() as opened:
        opened.experiments.analyze("exp")
        opened.versions.quality("credit:v1")


@pytest.fixture(scope="module")
def scraped(world_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    program("prometheus")
    folder = tmp_path_factory.mktemp("deploy")
    shutil.copytree(world_files, folder / "home")
    with palio.connect(folder / "home" / "palio.db") as opened:
        opened.register("credit", servers.model(), version="v3", sample=servers.SAMPLE)
    [damaged] = (folder / "home").rglob("v3/model.skops")
    damaged.write_bytes(damaged.read_bytes()[:-1])  # v3 fails every request
    with serve(str(folder / "home" / "palio.db"), evaluate_s=1.0) as world:
        live(world)
        with prometheus(world.address, folder) as client:
            yield Scraped(world, client)


def test_a_version_that_fails_fires_its_alert(scraped: Scraped) -> None:
    def fires() -> bool:
        assert scraped.world.predict(version="v1").status_code == 200
        assert scraped.world.predict(version="v3").status_code >= 500
        return "PalioVersionFails" in scraped.firing()

    until(fires)
    [alert] = [
        one
        for one in scraped.prometheus.get("/api/v1/alerts").json()["data"]["alerts"]
        if one["labels"]["alertname"] == "PalioVersionFails"
    ]
    assert alert["labels"]["version"] == "v3"
    assert alert["annotations"]["summary"].startswith("credit:v3 fails 100% of its requests")


def test_features_that_have_moved_fire_theirs(scraped: Scraped) -> None:
    until(lambda: "PalioFeatureDrifts" in scraped.firing())


def test_every_panel_shows_something(scraped: Scraped) -> None:
    """Each expression is one that Prometheus takes, and finds samples for."""
    asked = expressions()
    assert len(asked) >= 25
    until(lambda: bool(scraped.ask("palio:latency_seconds:p95")))
    for _, query in asked:
        scraped.world.predict(version="v1")
        scraped.world.predict(version="v3")
        until(lambda query=query: bool(scraped.ask(query)))


def test_every_name_is_one_that_is_told(scraped: Scraped) -> None:
    text = scraped.world.http.get("/metrics").text
    told = set(re.findall(r"^# TYPE (palio_\w+)", text, re.MULTILINE))
    told |= set(re.findall(r"^(palio_\w+)", text, re.MULTILINE))
    asked = " ".join(query for _, query in expressions()) + RULES.read_text()
    assert set(re.findall(r"\bpalio_\w+", asked)) <= told


def test_dashboards_can_be_imported() -> None:
    assert len(BOARDS) == 3
    found = [json.loads(path.read_text()) for path in BOARDS]
    assert len({one["uid"] for one in found}) == 3
    for one in found:
        places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in one["panels"]]
        assert len(set(places)) == len(places)
        assert len({panel["id"] for panel in one["panels"]}) == len(places)
