"""Several processes on one file: nothing is lost, and nobody hears that it is locked."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

from palio.access.audit import first_break
from palio.registry.domain import Model
from palio.storage.store import SqlStore
from palio.testing.records import RECORDS, WHEN
from palio.testing.steps import assert_chain, put

_TURNS, _EACH, _THREADS = 20, 5, 2
_WORK = """
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from palio.access.domain import Identity, Role
from palio.errors import Conflict
from palio.registry.service import Models
from palio.storage.store import SqlStore, engine_for
from palio.testing.fakes import FakeArtifacts
from palio.testing.records import prediction

url, name, turns, each = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
store = SqlStore(engine_for(url))
models = Models(
    store=store,
    artifacts=FakeArtifacts(),
    clock=lambda: datetime(2026, 1, 1, tzinfo=UTC),
    actor=Identity(name, Role.OPERATOR),
)

def append(thread):
    for turn in range(turns):
        with store.write() as unit:
            unit.log.append([prediction(f"{name}-{thread}-{turn}-{i}") for i in range(each)])

def move(_):
    done = 0
    while done < turns:
        now = models.aliases("m").get("next", "")
        try:
            models.set_alias("m", "next", name, expected=now, reason=str(done))
        except Conflict:
            continue
        done += 1

print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(4) as pool:
    jobs = [pool.submit(append, thread) for thread in range(2)]
    jobs += [pool.submit(move, thread) for thread in range(2)]
    for job in jobs:
        job.result()
store.close()
"""


def run(url: str, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _WORK, url, name, str(_TURNS), str(_EACH)]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(workers: list[subprocess.Popen[str]]) -> None:
    """Let all begin at once; they must end without a word."""
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n", worker.communicate()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        said, complained = worker.communicate(timeout=60)
        assert (worker.returncode, said, complained) == (0, "", "")


def check(store: SqlStore, names: list[str]) -> None:
    with store.read() as unit:
        entries = unit.log.after(0, limit=10_000)
        audit, head = unit.audit.entries(), unit.audit.head()
        moves = unit.alias_moves.find(model="m", alias="next")
    ids = [entry.event.request_id for entry in entries]
    assert sorted(map(str, ids)) == sorted(
        f"{name}-{thread}-{turn}-{i}"
        for name in names
        for thread in range(_THREADS)
        for turn in range(_TURNS)
        for i in range(_EACH)
    )
    assert_chain(moves)
    for name in names:
        assert len([move for move in moves if move.actor == name]) == _THREADS * _TURNS
    assert len(audit) == head == len(moves)
    assert first_break(audit) is None


def work(store: SqlStore, url: str) -> None:
    names = ["one", "two"]
    put(store, "models", [Model("m", "standard", WHEN, "ann")])
    version = RECORDS["versions"][0]
    put(store, "versions", [replace(version, model="m", version=name) for name in names])
    finish([run(url, name) for name in names])
    check(store, names)


def test_two_processes_on_one_file(sqlite_store: SqlStore, sqlite_url: str) -> None:
    work(sqlite_store, sqlite_url)


def test_two_processes_on_one_server(postgres_store: SqlStore, postgres_url: str) -> None:
    work(postgres_store, postgres_url)
