"""Several processes at one address: they answer as one, and one that dies loses nothing."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from tests.e2e import servers

import palio
from palio.delivery.traffic import ProcessUse


@pytest.fixture
def served(
    home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[servers.Process]:
    monkeypatch.setattr(servers, "PATIENCE_S", 120.0)  # each imports and loads by itself
    artifacts = str(Path(home).with_name("palio-artifacts"))
    process = servers.start(home, artifacts=artifacts, folder=tmp_path, PALIO_WORKERS="2")
    yield process
    process.end(signal.SIGTERM)


def until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + servers.PATIENCE_S
    while not done():
        assert time.monotonic() < end, "it has not come about"
        time.sleep(0.2)


def predict(address: str) -> None:
    """Ask over a connection of its own, so that any process may take it."""
    body = {"rows": [[1, 2, 3]]}
    httpx.post(f"{address}/v1/predict/credit", json=body).raise_for_status()


def scraped(address: str) -> float:
    text = httpx.get(f"{address}/metrics").text
    return sum(map(float, re.findall(r"^palio_requests_total{.*} (.*)$", text, re.MULTILINE)))


def workers(home: str) -> list[ProcessUse]:
    with palio.connect(home) as opened:
        return list(opened.endpoints.metrics("credit").processes)


def pid_of(use: ProcessUse) -> int:
    return int(use.process.split(":")[1])


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_any_of_them_answers_for_all_and_a_dead_one_is_followed(
    served: servers.Process, home: str
) -> None:
    address = served.address
    for _ in range(20):
        predict(address)
    until(lambda: all(scraped(address) == 20 for _ in range(6)))
    first = workers(home)
    assert len({one.server for one in first}) == 1
    assert len({pid_of(one) for one in first}) == 2
    assert served.popen.pid not in {pid_of(one) for one in first}
    os.kill(pid_of(first[0]), signal.SIGKILL)  # one of ours, by its id
    until(
        lambda: len({pid_of(one) for one in workers(home)} - {pid_of(one) for one in first}) == 1
    )
    for _ in range(5):
        predict(address)
    until(lambda: all(scraped(address) == 25 for _ in range(6)))
    now = {pid_of(one) for one in workers(home)} - {pid_of(first[0])}
    assert served.end(signal.SIGTERM) == 0
    until(lambda: all(map(is_gone, now)))


def test_they_end_with_who_began_them(served: servers.Process, home: str) -> None:
    predict(served.address)
    until(lambda: len(workers(home)) == 2)
    pids = [pid_of(one) for one in workers(home)]
    served.end(signal.SIGKILL)
    until(lambda: all(map(is_gone, pids)))
