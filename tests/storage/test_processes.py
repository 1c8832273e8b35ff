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
_MOVES, _MOVING = 6, 8  # by each thread, and threads in each process
_WORK = """
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from palio.access.domain import Identity, Role
from palio.errors import Conflict
from palio.registry.service import Models
from palio.storage.store import SqlStore, engine_for
from palio.testing.records import prediction

url, name = sys.argv[1:3]
turns, each, appending, moves, moving = map(int, sys.argv[3:])
store = SqlStore(engine_for(url))
models = Models(
    store=store,
    clock=lambda: datetime(2026, 1, 1, tzinfo=UTC),
    actor=Identity(name, Role.OPERATOR),
)

def append(thread):
    for turn in range(turns):
        with store.write() as unit:
            unit.log.append([prediction(f"{name}-{thread}-{turn}-{i}") for i in range(each)])

def move(thread):
    acknowledged = []
    while len(acknowledged) < moves:
        now = models.aliases("m").get("next", "")
        try:
            made = models.set_alias("m", "next", name, expected=now, reason=f"{name}-{thread}")
        except Conflict:
            continue
        acknowledged.append(made.seq)
    return acknowledged

print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(appending + moving) as pool:
    appends = [pool.submit(append, thread) for thread in range(appending)]
    moved = [pool.submit(move, thread) for thread in range(moving)]
    for job in appends:
        job.result()
    print(*(seq for job in moved for seq in job.result()))
store.close()
"""


def run(url: str, name: str) -> subprocess.Popen[str]:
    counts = [str(one) for one in (_TURNS, _EACH, _THREADS, _MOVES, _MOVING)]
    command = [sys.executable, "-c", _WORK, url, name, *counts]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(workers: list[subprocess.Popen[str]]) -> list[list[int]]:
    """Let all begin at once; they must end without complaint, and say which moves they made."""
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n", worker.communicate()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    told = []
    for worker in workers:
        said, complained = worker.communicate(timeout=60)
        assert (worker.returncode, complained) == (0, ""), said
        told.append([int(seq) for seq in said.split()])
    return told


def check_events(store: SqlStore, names: list[str]) -> None:
    with store.read() as unit:
        entries = unit.log.after(0, limit=10_000)
    ids = [entry.event.request_id for entry in entries]
    assert sorted(map(str, ids)) == sorted(
        f"{name}-{thread}-{turn}-{i}"
        for name in names
        for thread in range(_THREADS)
        for turn in range(_TURNS)
        for i in range(_EACH)
    )


def check_moves(store: SqlStore, names: list[str], acknowledged: list[list[int]]) -> None:
    """What was acknowledged is the history, whole: each move follows the one before."""
    with store.read() as unit:
        audit, head = unit.audit.entries(), unit.audit.head()
        moves = unit.alias_moves.find(model="m", alias="next")
    assert_chain(moves)
    assert len(moves) == len(names) * _MOVING * _MOVES
    for name, seqs in zip(names, acknowledged, strict=True):
        assert sorted(seqs) == [move.seq for move in moves if move.actor == name]
    assert len(audit) == head == len(moves)
    assert [entry.reason for entry in audit] == [move.reason for move in moves]
    assert first_break(audit) is None


def work(store: SqlStore, url: str) -> None:
    names = ["one", "two"]
    version = RECORDS["versions"][-1]  # not a deleted one
    put(store, "versions", [replace(version, model="m", version=name) for name in names])
    put(store, "models", [Model("m", "standard", WHEN, "ann")])
    acknowledged = finish([run(url, name) for name in names])
    check_events(store, names)
    check_moves(store, names, acknowledged)


def test_two_processes_on_one_file(sqlite_store: SqlStore, sqlite_url: str) -> None:
    work(sqlite_store, sqlite_url)


def test_two_processes_on_one_server(postgres_store: SqlStore, postgres_url: str) -> None:
    work(postgres_store, postgres_url)
