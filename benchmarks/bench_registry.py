"""Searching 100,000 versions on SQLite: the slowest page of each kind, in milliseconds.

100 models with 1,000 versions each, and on each 5 metrics and 3 tags; a page has 50 versions. Of
each search three pages are asked for: the first, and by walking one in the middle and the last.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from time import perf_counter

from palio.registry.domain import ArtifactFile, Manifest, Model, Version
from palio.registry.search.pages import VersionPage
from palio.registry.versions import Versions
from palio.storage import schema
from palio.storage.store import SqlStore, engine_for
from palio.testing.wired import Wired

MODELS, VERSIONS = 100, 1_000
LIMIT_MS = 50.0
REPEATS = 5
WALKED = 1_000  # versions a page on the way to the middle and the end
WHEN = datetime(2026, 1, 1, tzinfo=UTC)
TEAM = "metrics.auc > 0.8 and tags.team = 'risk'"
SEARCHES = {
    "no condition": ("", ""),
    "by metric": ("", "metrics.auc desc"),
    "metric and tag, 5,000 match": (TEAM, ""),
    "metric and tag, by metric": (TEAM, "metrics.auc desc"),
    "3 match": ("metrics.auc > 0 and tags.run = 'rare'", ""),
    "3 match, by metric": ("metrics.auc > 0 and tags.run = 'rare'", "metrics.loss"),
    "90,000 match": ("metrics.auc > 0.1", ""),
    "90,000 match, by another metric": ("metrics.auc > 0.1", "metrics.loss"),
    "none of 50,000 and 50,000": ("metrics.auc > 0.5 and metrics.low > 0.5", ""),
    "none, by metric": ("metrics.auc > 0.5 and metrics.low > 0.5", "metrics.loss desc"),
    "not, and, or": (f"not ({TEAM}) and (metrics.loss < 0.5 or stage = 'production')", ""),
    "versions of a model": ("model = 'model-50'", ""),
    "production": ("stage = 'production'", "created_at"),
    "text in a description": ("description contains 'number 77 '", ""),
}


def versions() -> Iterator[Version]:
    """Make the versions, model by model in turn, as they would arrive."""
    chance = random.Random(1)
    files = tuple(ArtifactFile(f"part-{n}.bin", n, "0" * 64) for n in range(3))
    for number in range(MODELS * VERSIONS):
        auc = chance.random()
        yield Version(
            model=f"model-{number % MODELS}",
            version=f"v{number // MODELS + 1}",
            ordinal=number // MODELS + 1,
            stage="production" if number // MODELS == VERSIONS // 2 else "development",
            flavor="sklearn",
            signature=None,
            manifest=Manifest(files, "0" * 64),
            metrics={
                "auc": auc,
                "low": 1 - auc,  # never high where the other is
                **{name: chance.random() for name in ("loss", "brier", "recall")},
            },
            training={"seed": number, "estimator": "logistic"},
            tags={
                "team": ("risk", "growth", "fraud", "ops")[chance.randrange(4)],
                "run": "rare" if number % 40_000 == 29 else f"run-{number}",
                "region": ("eu", "us")[chance.randrange(2)],
            },
            description=f"the version number {number // MODELS} of its model",
            created_at=WHEN + timedelta(seconds=number),
            created_by="ann",
        )


def filled_store(folder: str) -> SqlStore:
    """Make a store on a new SQLite file with all versions."""
    engine = engine_for(str(Path(folder) / "palio.db"))
    schema.prepare(engine)
    store = SqlStore(engine)
    with store.write() as unit:
        unit.models.put_many(Model(f"model-{n}", "standard", WHEN, "ann") for n in range(MODELS))
        coming = versions()
        while some := list(islice(coming, 1_000)):
            unit.versions.put_many(some)
    return store


def walk(versions: Versions, where: str, order: str) -> list[tuple[str, VersionPage]]:
    """Return the first page, one in the middle and the last: how they are asked for, and they."""
    starts, token = [""], ""
    while token := versions.search(where, order, WALKED, token).next:
        starts.append(token)
    last = starts[-1]
    while token := versions.search(where, order, 50, last).next:
        last = token
    middle = starts[len(starts) // 2]
    return [(after, versions.search(where, order, 50, after)) for after in ("", middle, last)]


def page_ms(versions: Versions, where: str, order: str, after: str) -> float:
    """Measure one page."""
    times = []
    for _ in range(REPEATS):
        start = perf_counter()
        versions.search(where, order, 50, after)
        times.append((perf_counter() - start) * 1_000)
    return min(times)  # what it costs, not what else the machine does


def rows() -> list[dict[str, str | float]]:
    """Measure every search; a ratio of 1 is a page in 50 ms."""
    found: list[dict[str, str | float]] = []
    with tempfile.TemporaryDirectory() as folder:
        start = perf_counter()
        store = filled_store(folder)
        took_s, size = perf_counter() - start, (Path(folder) / "palio.db").stat().st_size
        print(f"registered in {took_s:.0f} s, {size / 1e6:.0f} MB", file=sys.stderr)
        versions = Wired(store).versions
        for name, (where, order) in SEARCHES.items():
            found += _rows(versions, name, where, order)
        store.close()
    return found


def _rows(versions: Versions, name: str, where: str, order: str) -> list[dict[str, str | float]]:
    times = [page_ms(versions, where, order, after) for after, _ in walk(versions, where, order)]
    slowest, first, last = max(times), times[0], times[-1]
    return [
        {
            "what": f"search, ms: {name}",
            "ours": slowest,
            "limit": LIMIT_MS,
            "ratio": slowest / LIMIT_MS,
            "target": "<= 1.00",
        },
        {
            "what": f"last page to first: {name}",
            "ours": last,
            "limit": first,
            "ratio": last / first,
            "target": "flat",
        },
    ]


if __name__ == "__main__":
    print(rows())
