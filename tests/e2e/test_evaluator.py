"""Two servers on one store: one of them ships the winner, once, whoever is killed."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import palio
from palio.access.audit import AuditEntry
from palio.experiments.designs.design import Metrics, Stopping
from palio.experiments.domain import State
from palio.experiments.evaluating import EVALUATOR
from palio.experiments.events import OutcomeDraft
from palio.storage.store import SqlStore, engine_for

from . import servers

INTERVAL_S = 0.5
UNITS = 400


@pytest.fixture
def store(home: str) -> str:
    """A store in which an automatic experiment runs that nobody has seen yet."""
    with palio.connect(home) as opened:
        opened.experiments.draft(
            servers.design(
                "auto",
                metrics=Metrics("revenue:higher"),
                stopping=Stopping(horizon=1_000, min_sample=100),
                automatic=True,
            )
        )
        opened.experiments.start("auto")
    return home


@pytest.fixture
def pair(store: str, tmp_path: Path) -> Iterator[list[servers.Process]]:
    """Two processes that serve it, and look often."""
    artifacts = str(Path(store).with_name("palio-artifacts"))
    started = []
    try:
        for name in ("one", "two"):
            folder = tmp_path / name
            folder.mkdir()
            every = {"PALIO_EVALUATE_S": str(INTERVAL_S)}
            started.append(servers.start(store, artifacts=artifacts, folder=folder, **every))
        yield started
    finally:
        for process in started:
            process.end(signal.SIGTERM)


def win(store: str) -> None:
    """Let the challenger earn ten times as much."""
    chance = random.Random(3)
    units = [f"u{k}" for k in range(UNITS)]
    with palio.connect(store) as opened:
        given = opened.experiments.assign_many("auto", units, record=True)
        opened.outcomes.record(
            [
                OutcomeDraft(
                    unit=one.unit,
                    name="revenue",
                    value=chance.gauss(10.0 if one.variant == "challenger" else 1.0, 1.0),
                )
                for one in given
            ]
        )


def awaited(found: Callable[[], bool]) -> None:
    until = time.monotonic() + servers.PATIENCE_S
    while not found():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)


def has_ended(store: str) -> bool:
    with palio.connect(store) as opened:
        return opened.experiments.get("auto").state is State.COMPLETED


def leader(store: str) -> int | None:
    """Return the process that holds the lease, as its name tells."""
    kept = SqlStore(engine_for(store))
    try:
        with kept.read() as unit:
            lease = unit.leases.get(EVALUATOR)
    finally:
        kept.close()
    return None if lease is None else int(lease.holder.split(":")[1])


def shipments(store: str) -> list[AuditEntry]:
    with palio.connect(store) as opened:
        assert opened.audit.verify().broken is None
        assert opened.models.aliases("credit") == {"champion": "v2"}
        return list(opened.audit.list(action="experiment.ship"))


def test_the_winner_is_shipped_by_one_of_them(store: str, pair: list[servers.Process]) -> None:
    win(store)
    awaited(lambda: has_ended(store))
    time.sleep(4 * INTERVAL_S)  # time for the other one to do it again
    [shipped] = shipments(store)
    assert (shipped.actor, shipped.subject) == (EVALUATOR, "auto")
    assert shipped.reason.startswith("ship: challenger is better than control on revenue: ")
    assert leader(store) in {one.popen.pid for one in pair}


def test_when_the_leader_is_killed_the_other_takes_over(
    store: str, pair: list[servers.Process]
) -> None:
    awaited(lambda: leader(store) is not None)
    killed = next(one for one in pair if one.popen.pid == leader(store))
    [left] = [one for one in pair if one is not killed]
    assert killed.end(signal.SIGKILL) == -signal.SIGKILL
    win(store)
    awaited(lambda: has_ended(store))
    [shipped] = shipments(store)
    assert shipped.actor == EVALUATOR
    assert leader(store) == left.popen.pid


def test_a_server_that_ends_gives_the_lease_back(store: str, pair: list[servers.Process]) -> None:
    awaited(lambda: leader(store) is not None)
    ended = next(one for one in pair if one.popen.pid == leader(store))
    [left] = [one for one in pair if one is not ended]
    assert ended.end(signal.SIGTERM) in {0, -signal.SIGTERM}
    awaited(lambda: leader(store) == left.popen.pid)
