"""What an analysis costs after 10^3, 10^5 and 10^6 events: it should not depend on them.

With ``--large`` after 10^7, too: ten minutes, and 6 GB of disk in the folder for temporary files.
Folding is timed on the way, for it is what grows: one row per size gives events folded a second.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter

from bench_recording import fresh_store

from palio.access.domain import Identity, Role
from palio.delivery.domain import Endpoint
from palio.experiments.designs.design import ExperimentDraft, Metrics, Stopping, Variant
from palio.experiments.events import Outcome, Prediction
from palio.experiments.service import Experiments
from palio.registry.domain import Manifest, Model, Version
from palio.storage.store import SqlStore

SIZES = (10**3, 10**5, 10**6, *((10**7,) if "--large" in sys.argv else ()))
LOOKS = 200
BATCH = 10_000


def prepared(store: SqlStore) -> Experiments:
    """Start an experiment on two versions that exist in name only."""
    now = datetime.now(UTC)
    with store.write() as unit:
        unit.models.add(Model("m", "standard", now, "bench"))
        unit.endpoints.add(Endpoint(name="e", model="m", created_at=now, created_by="bench"))
        for ordinal, name in enumerate(("v1", "v2"), start=1):
            unit.versions.add(
                Version(
                    model="m",
                    version=name,
                    ordinal=ordinal,
                    stage="development",
                    flavor="none",
                    signature=None,
                    manifest=Manifest((), ""),
                    metrics={},
                    training={},
                    tags={},
                    description="",
                    created_at=now,
                    created_by="bench",
                )
            )
    numbers = count()
    verbs = Experiments(
        store=store,
        clock=lambda: datetime.now(UTC),
        ids=lambda prefix: f"{prefix}{next(numbers)}",
        actor=Identity("bench", Role.ADMIN),
    )
    verbs.draft(
        ExperimentDraft(
            key="x",
            endpoint="e",
            variants=(Variant("control", "v1", 0.5), Variant("challenger", "v2", 0.5)),
            metrics=Metrics("brier", ("accuracy",), ("error",)),
            stopping=Stopping(horizon=10**9),
        )
    )
    verbs.start("x")
    return verbs


def append(store: SqlStore, start: int, end: int) -> None:
    """Append events ``start`` to ``end``: predictions and their labels in turn."""
    now = datetime.now(UTC)
    for first in range(start, end, BATCH):
        events = [_event(number, now) for number in range(first, min(first + BATCH, end))]
        with store.write() as unit:
            unit.log.append(events)


def _event(number: int, now: datetime) -> Prediction | Outcome:
    request, is_label = divmod(number, 2)
    name = f"r{request}"
    if is_label:
        return Outcome(
            outcome_id=f"{name}/label",
            revision=1,
            name="label",
            value=request % 3 == 0,
            at=now,
            request_id=name,
        )
    share = (request % 97) / 97
    return Prediction(
        request_id=name,
        unit=name,
        at=now,
        endpoint="e",
        model="m",
        version="v1",
        experiment="x",
        variant="control" if request % 5 % 2 else "challenger",
        epoch=1,
        propensity=0.5,
        values=[share > 0.5],
        probabilities=[[1 - share, share]],
        classes=(False, True),
        latency_ms=1.0,
    )


def rows() -> list[dict[str, str | float]]:
    """Grow one log and look at each size; times in ms, against the smallest size."""
    with tempfile.TemporaryDirectory() as folder:
        store, path = fresh_store(folder)
        experiments, done, costs, rates = prepared(store), 0, [], []
        for size in SIZES:
            append(store, done, size)
            start = perf_counter()
            experiments.analyze("x")
            rates.append((size - done) / (perf_counter() - start))
            done = size
            costs.append(1_000 * median(_timed(experiments) for _ in range(LOOKS)))
            print(f"  {size:,} events, {path_size_mb(path):.0f} MB", file=sys.stderr)
        store.close()
    return [
        {
            "what": f"analysis at {size:,} events, ms",
            "ours": cost,
            "limit": costs[0],
            "ratio": cost / costs[0],
            "target": f"flat (folded {rate:,.0f} events/s)",
        }
        for size, cost, rate in zip(SIZES, costs, rates, strict=True)
    ]


def _timed(experiments: Experiments) -> float:
    start = perf_counter()
    experiments.analyze("x")
    return perf_counter() - start


def path_size_mb(path: Path) -> float:
    """Return the size of the store's file in MB."""
    return path.stat().st_size / 1e6


if __name__ == "__main__":
    print(rows())
