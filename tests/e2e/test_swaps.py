"""Promotions and rollbacks through HTTP while clients ask: nobody notices but by the version."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import httpx

import palio
from palio.access.domain import Role
from palio.experiments.events import Prediction
from palio.storage.store import SqlStore, engine_for

from . import servers

CLIENTS, SWAPS = 4, 20
Told = tuple[int, str, str]  # status, version, request id
ROW = servers.SAMPLE[0].tolist()


def ask(address: str, key: str, ending: Event) -> list[Told]:
    """Ask until the end, and return what was answered."""
    told = []
    with httpx.Client(
        base_url=address, headers={"X-API-Key": key}, timeout=servers.PATIENCE_S
    ) as http:
        while not ending.is_set():
            answer = http.post("/v1/predict/credit", json={"rows": [ROW]})
            body = answer.json()
            told.append((answer.status_code, body.get("version", ""), body.get("request_id", "")))
    return told


def swap(address: str, key: str) -> list[int]:
    """Promote and roll back in turn; after each move the new champion answers."""
    statuses = []
    with httpx.Client(
        base_url=address, headers={"X-API-Key": key}, timeout=servers.PATIENCE_S
    ) as http:
        for turn in range(SWAPS):
            path = "/v1/models/credit/rollback" if turn % 2 else "/v1/versions/credit:v2/promote"
            statuses.append(http.post(path, json={}).status_code)
            answer = http.post("/v1/predict/credit", json={"rows": [ROW]}).json()
            assert answer["version"] == ("v1" if turn % 2 else "v2")
    return statuses


def swapped(address: str, key: str) -> tuple[list[int], list[Told]]:
    """Swap while clients ask; return how the swaps ended, and what clients were told."""
    ending = Event()
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(ask, address, key, ending) for _ in range(CLIENTS)]
        try:
            statuses = swap(address, key)
        finally:
            ending.set()
        return statuses, [one for client in clients for one in client.result()]


def test_no_request_fails_while_versions_are_swapped(tmp_path: Path) -> None:
    store = str(tmp_path / "palio.db")
    with palio.connect(store) as opened:
        servers.credit(opened)
        key = opened.keys.create("clients", Role.OPERATOR).secret
    server = servers.start(store, artifacts=str(tmp_path / "palio-artifacts"), folder=tmp_path)
    try:
        statuses, told = swapped(server.address, key)
    finally:
        server.end(signal.SIGTERM)
    assert statuses == [200] * SWAPS
    assert {status for status, _, _ in told} == {200}
    assert {version for _, version, _ in told} == {"v1", "v2"}
    check_log(store, told)


def check_log(store: str, told: Sequence[Told]) -> None:
    """What was answered is in the log once, as the version that answered."""
    engine = engine_for(store)
    with SqlStore(engine).read() as unit:
        events = [entry.event for entry in unit.log.after(0, limit=10**6)]
    engine.dispose()
    logged = {one.request_id: one.version for one in events if isinstance(one, Prediction)}
    assert len(logged) == len(events) == len(told) + SWAPS
    assert Counter(logged[name] for _, _, name in told) == Counter(one for _, one, _ in told)
