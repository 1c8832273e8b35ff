"""The document's alert rules: right for promtool, and firing in a real Prometheus."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.dialects.documented import documents
from tests.e2e import servers
from tests.monitoring.conftest import program

import palio
from palio.experiments.designs.design import Metrics, Stopping
from palio.experiments.events import OutcomeDraft

EXAMPLES = Path(__file__).parents[3] / "examples" / "nightscan"
RULES = EXAMPLES / "alerts.yml"


@documents("nightscan:alert-latency", "nightscan:alert-errors", "nightscan:alert-significant")
def test_the_rules_are_right() -> None:
    for arguments in (["check", "rules", RULES], ["test", "rules", EXAMPLES / "alerts.test.yml"]):
        told = subprocess.run(
            [program("promtool"), *arguments], capture_output=True, text=True, check=False
        )
        assert told.returncode == 0, told.stdout + told.stderr


def slow_or_broken(rows: Any) -> list[float]:
    """Take more than a second, or fail where the first number is below 0."""
    import time as clock  # noqa: PLC0415 - it travels with its code

    if rows[0][0] < 0:
        raise ValueError("it broke")
    clock.sleep(1.1)
    return [0.0 for _ in rows]


@pytest.fixture
def address(
    prepared_sqlite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A server with a version that is slow, or broken, and an experiment that is won."""
    store = tmp_path / "palio.db"
    store.write_bytes(prepared_sqlite.read_bytes())
    monkeypatch.setenv("PALIO_ARTIFACTS", str(tmp_path / "files"))
    monkeypatch.setenv("PALIO_ALLOW_PICKLE", "true")
    with palio.connect(store) as opened:
        opened.register("m", slow_or_broken, version="v1", sample=[[0.5], [0.1]])
        opened.versions.promote("m:v1")
        opened.endpoints.create("m", "m")
        opened.register("n", servers.model(), version="v1", sample=servers.SAMPLE)
        opened.register("n", servers.model(0.1), version="v2", sample=servers.SAMPLE)
        opened.endpoints.create("credit", "n")
        stopping = Stopping(horizon=None, min_sample=20)
        opened.experiments.draft(
            servers.design("won", metrics=Metrics("gain:higher"), stopping=stopping)
        )
        opened.experiments.start("won")
        given = opened.experiments.assign_many("won", [f"u{n}" for n in range(300)], record=True)
        outcomes = [
            OutcomeDraft(
                name="gain", value=n % 7 + 9.0 * (one.variant == "challenger"), unit=one.unit
            )
            for n, one in enumerate(given)
        ]
        opened.outcomes.record(outcomes)
    with servers.serving(str(store), evaluate_s=0.5, allow_pickle=True) as found:
        yield found


@contextmanager
def prometheus(address: str, folder: Path) -> Iterator[str]:
    """Run Prometheus on a free port of loopback, its rules the example's without their waiting."""
    rules = re.sub(r"for: \d+m", "for: 0s", RULES.read_text())
    (folder / "alerts.yml").write_text(rules)
    target = address.removeprefix("http://")
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["alerts.yml"],
        "scrape_configs": [{"job_name": "palio", "static_configs": [{"targets": [target]}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [program("prometheus"), f"--config.file={folder / 'prometheus.yml'}",
               f"--storage.tsdb.path={folder / 'data'}",
               f"--web.listen-address=127.0.0.1:{port}"]  # fmt: skip
    with (folder / "prometheus.log").open("w") as log:
        running = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        running.terminate()
        running.wait(servers.PATIENCE_S)


@documents("nightscan:alert-latency", "nightscan:alert-errors", "nightscan:alert-significant")
def test_the_alerts_fire(address: str, tmp_path: Path) -> None:
    program("prometheus")
    for number in range(12):
        rows = [[0.5 if number % 2 else -1.0]]
        answer = httpx.post(f"{address}/v1/predict/m", json={"rows": rows}, timeout=30)
        assert answer.status_code == (200 if number % 2 else 500)
    wanted = {"ModelInferenceLatencyHigh", "ModelErrorRateHigh", "ABTestSignificantResult"}
    with prometheus(address, tmp_path) as asked:
        firing: dict[str, dict[str, str]] = {}
        until = time.monotonic() + servers.PATIENCE_S
        while set(firing) != wanted:
            assert time.monotonic() < until, (firing, (tmp_path / "prometheus.log").read_text())
            time.sleep(0.2)
            firing = _firing(asked)
    assert firing["ModelErrorRateHigh"]["model_id"] == "m"
    assert firing["ABTestSignificantResult"]["experiment_id"] == "won"
    assert firing["ABTestSignificantResult"]["variant"] == "challenger"


def _firing(address: str) -> dict[str, dict[str, str]]:
    try:
        told = httpx.get(f"{address}/api/v1/alerts").json()["data"]["alerts"]
    except (httpx.TransportError, ValueError, KeyError):  # it is not up yet
        return {}
    return {one["labels"]["alertname"]: one["labels"] for one in told if one["state"] == "firing"}
