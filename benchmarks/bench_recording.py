"""Recorded events a second, against raw batched SQLite inserts of the same rows.

The raw side writes the same columns into the same table with the same indexes and the same
durability, from tuples that are ready; ours starts from prediction records.
"""

from __future__ import annotations

import sqlite3
import tempfile
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter

import msgspec

from palio.experiments.events import Prediction
from palio.storage import schema
from palio.storage.store import SqlStore, engine_for

BATCH = 1_000
BATCHES = 20
ROUNDS = 5
INSERT = "INSERT INTO events (kind, request_id, body) VALUES ('prediction', ?, ?)"


def predictions(name: str, size: int = BATCH) -> list[Prediction]:
    """Make a batch of predictions whose request ids nobody has used."""
    now = datetime.now(UTC)
    return [
        Prediction(
            request_id=f"req_{name}_{number:06d}",
            unit=f"user-{number}",
            at=now,
            endpoint="credit",
            model="credit-risk",
            version="v2",
            experiment="credit-ab",
            variant="challenger",
            epoch=1,
            propensity=0.5,
            values=[0],
            probabilities=[[0.8125, 0.1875]],
            classes=(0, 1),
            latency_ms=1.234,
            runtime="sklearn",
        )
        for number in range(size)
    ]


def fresh_store(folder: str) -> tuple[SqlStore, Path]:
    """Make a store on a new SQLite file."""
    path = Path(folder) / "palio.db"
    engine = engine_for(str(path))
    schema.prepare(engine)
    return SqlStore(engine), path


def ours_rate(store: SqlStore, names: count[int]) -> float:
    """Record batches through the store, in events a second."""
    batches = [predictions(f"o{next(names)}") for _ in range(BATCHES)]
    start = perf_counter()
    for batch in batches:
        with store.write() as unit:
            unit.log.append(batch)
    return BATCH * BATCHES / (perf_counter() - start)


def raw_rate(path: Path, names: count[int]) -> float:
    """Insert ready rows through the driver, in events a second."""
    batches = [
        [(p.request_id, msgspec.json.encode(p).decode()) for p in predictions(f"r{next(names)}")]
        for _ in range(BATCHES)
    ]
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous=NORMAL")
    start = perf_counter()
    for batch in batches:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(INSERT, batch)
        connection.execute("COMMIT")
    rate = BATCH * BATCHES / (perf_counter() - start)
    connection.close()
    return rate


def rows() -> list[dict[str, str | float]]:
    """Measure in turn, so that a busy machine slows both; rates in events a second."""
    names = count()
    with tempfile.TemporaryDirectory() as folder:
        store, path = fresh_store(folder)
        pairs = [(ours_rate(store, names), raw_rate(path, names)) for _ in range(ROUNDS)]
        store.close()
    return [
        {
            "what": "recorded events/s, batches of 1,000",
            "ours": median(ours for ours, _ in pairs),
            "limit": median(raw for _, raw in pairs),
            "ratio": median(ours / raw for ours, raw in pairs),
            "target": ">= 0.50",
        }
    ]


if __name__ == "__main__":
    print(rows())
