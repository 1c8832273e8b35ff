"""Two servers on one store: a canary that starts failing is rolled back by itself, and told of."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.monitoring.receivers import SECRET, Received, receiver

import palio
from palio.access.audit import AuditEntry
from palio.delivery.deployments.controller import CONTROLLER
from palio.delivery.deployments.domain import State, Verdict
from palio.delivery.deployments.wanted import Canary, DeploymentDraft
from palio.experiments.lease import Lease
from palio.storage.store import SqlStore, engine_for

from . import servers

CONTROL_S = 4.0
SHARE = 0.25
WELL, BAD = [[0.1, 0.2, 0.3]], [[1_000.0, 0.2, 0.3]]


def brittle(table: Any) -> Any:
    """Answer what is small, and break on what is not."""
    import numpy  # noqa: ICN001, PLC0415 -- it travels alone

    rows = numpy.asarray(table, dtype=float)
    if (rows[:, 0] > 100).any():
        raise OverflowError("a number that nobody had expected")
    return (rows[:, 0] > 0).astype(int)


@dataclass(frozen=True)
class Site:
    """A store, the servers on it, and who is told."""

    store: str
    processes: list[servers.Process]
    received: Received

    def ask(self, rows: list[list[float]], seconds: float) -> list[dict[str, Any]]:
        """Send requests to both servers for so many seconds, and return the answers."""
        until = time.monotonic() + seconds
        with ThreadPoolExecutor(2) as pool:
            found = pool.map(lambda one: _asked(one.address, rows, until), self.processes)
            return [answer for answers in found for answer in answers]

    def opened(self) -> palio.Palio:
        return palio.connect(self.processes[0].address)


def _asked(address: str, rows: list[list[float]], until: float) -> list[dict[str, Any]]:
    answers = []
    with httpx.Client(base_url=address) as client:
        while time.monotonic() < until:
            sent = client.post("/v1/predict/credit", json={"rows": rows})
            answers.append({"status": sent.status_code, **sent.json()})
            time.sleep(0.01)
    return answers


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, home: str) -> str:
    """A store with credit:v1 (champion) and a version that breaks on large numbers."""
    artifacts = Path(home).with_name("palio-artifacts")
    sqlite = request.param == "sqlite"
    address = home if sqlite else str(request.getfixturevalue("postgres_url"))
    with palio.connect(address, artifacts=artifacts) as opened:
        if not sqlite:
            opened.register("credit", servers.model(), version="v1", sample=servers.SAMPLE)
            opened.versions.promote("credit:v1")
            opened.endpoints.create("credit", "credit")
        signature = opened.versions.get("credit:v1").signature
        opened.register("credit", brittle, version="brittle", signature=signature)
    return address


@pytest.fixture
def site(store: str, home: str, tmp_path: Path) -> Iterator[Site]:
    started: list[servers.Process] = []
    with receiver() as received:
        more = {
            "PALIO_ALLOW_PICKLE": "true",
            "PALIO_CONTROL_S": str(CONTROL_S),
            "PALIO_WEBHOOK_URLS": received.url,
            "PALIO_WEBHOOK_SECRET": SECRET,
        }
        artifacts = str(Path(home).with_name("palio-artifacts"))
        try:
            for name in ("one", "two"):
                folder = tmp_path / name
                folder.mkdir()
                made = servers.start(store, artifacts=artifacts, folder=folder, **more)
                started.append(made)
            yield Site(store, started, received)
        finally:
            for process in started:
                process.end(signal.SIGTERM)


def awaited(found: Callable[[], bool], patience_s: float = servers.PATIENCE_S) -> None:
    until = time.monotonic() + patience_s
    while not found():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)


def leader(store: str) -> Lease | None:
    kept = SqlStore(engine_for(store))
    try:
        with kept.read() as unit:
            return unit.leases.get(CONTROLLER)
    finally:
        kept.close()


def test_a_server_looks_only_where_it_shall(home: str) -> None:
    with servers.serving(home, control_s=0):
        time.sleep(0.5)  # the first look would have come at once
    assert leader(home) is None
    with servers.serving(home, control_s=0.2):
        awaited(lambda: leader(home) is not None)


def rollback_of(opened: palio.Palio) -> AuditEntry | None:
    found = opened.audit.list(action="deployment.rollback")
    return found[-1] if found else None


def test_a_canary_that_starts_failing_is_rolled_back_and_told_of(site: Site) -> None:
    canary = Canary(start_share=SHARE, success_threshold=0.95, duration_s=3_600.0)
    asked = DeploymentDraft(name="next", model="credit", version="brittle", canary=canary)
    with site.opened() as opened:
        assert opened.deployments.deploy(asked).state is State.PENDING  # the other must load it
        awaited(lambda: opened.deployments.get("next").state is State.CANARY)
        it_does_well(site, opened)
        harm = it_starts_failing(site, opened)
        nothing_is_left_of_it(site, opened)
        somebody_was_told(site, opened, harm)


def it_does_well(site: Site, opened: palio.Palio) -> None:
    well = site.ask(WELL, 1.5 * CONTROL_S)
    assert {one["status"] for one in well} == {200}
    served = [one["version"] for one in well].count("brittle") / len(well)
    assert served == pytest.approx(SHARE, abs=0.12)
    assert opened.deployments.get("next").state is State.CANARY


def it_starts_failing(site: Site, opened: palio.Palio) -> dict[str, Any]:
    began = opened.deployments.metrics("next").at  # by the server's own clock
    answers = site.ask(BAD, 2 * CONTROL_S)
    entry = rollback_of(opened)
    assert entry is not None, "it was not rolled back within two control intervals"
    assert (entry.at - began).total_seconds() <= 2 * CONTROL_S
    assert (entry.actor, entry.subject) == (CONTROLLER, "next")
    before, after = entry.before or {}, entry.after or {}
    assert (before["state"], after["state"]) == ("canary", "rolled_back")
    harm: dict[str, Any] = after["evidence"]["harm"]
    failed = sum(one["status"] != 200 for one in answers)
    assert 0 < harm["bad"] <= failed
    assert harm["bound"] > harm["limit"] == pytest.approx(0.05)
    assert f"{harm['bad']} of {harm['requests']} requests failed" in entry.reason
    return harm


def nothing_is_left_of_it(site: Site, opened: palio.Palio) -> None:
    found = opened.deployments.get("next")
    assert (found.state, found.verdict) == (State.ROLLED_BACK, Verdict.HARMED)
    assert opened.endpoints.get("credit").weights is None
    after = site.ask(BAD, 0.5)
    assert {(one["status"], one["version"]) for one in after} == {(200, "v1")}
    assert len(opened.audit.list(action="deployment.rollback")) == 1
    assert opened.audit.verify().broken is None


def somebody_was_told(site: Site, opened: palio.Palio, harm: dict[str, Any]) -> None:
    assert site.received.arrived.wait(servers.PATIENCE_S)
    [(_, message)] = site.received.messages  # by the standard's own library, which has verified it
    assert message["type"] == "deployment.rolled_back"
    assert message["data"]["subject"] == "next"
    assert message["data"]["severity"] == "critical"
    assert message["data"]["evidence"]["harm"] == harm
    [raised] = opened.alerts.list()
    assert raised.alert.id == message["data"]["id"]
