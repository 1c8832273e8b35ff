"""Moments of a table through narwhals on DuckDB, against a bare scan of the same columns.

python benchmarks/bench_frames.py [--rows 10000000]      100000000 for the published figure

The table is a file: arm (text, two values), y (log-normal) and x (mean 1e9, variance 1, correlated
with y), which is what CUPED takes. The bare scan is the least that reads all three and groups:
``SELECT arm, count(*), sum(y), sum(x) FROM t GROUP BY arm``. Both run in turn in one process, on
one connection, from memory after a first round that is not counted; medians are compared. The
moments must equal those of the batches that were written, of x - 1e9 (an exact subtraction),
merged by Chan's formula.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter

import duckdb
import numpy as np
import polars as pl

from palio.stats.frames import summarize
from palio.stats.joint import JointMoments

BATCH = 1_000_000
ROUNDS = 9
ARMS = ("control", "treatment")
SCAN = "SELECT arm, count(*), sum(y), sum(x) FROM t GROUP BY arm"


def rows(size: int = 10_000_000) -> list[dict[str, str | float]]:
    """Measure on a table of that many rows; times in ms."""
    with (
        tempfile.TemporaryDirectory() as folder,
        duckdb.connect(str(Path(folder) / "t.duckdb")) as connection,
    ):
        return _measured(connection, size)


def _measured(connection: duckdb.DuckDBPyConnection, size: int) -> list[dict[str, str | float]]:
    expected = filled(connection, size)
    table = connection.table("t")
    ways: dict[str, Callable[[], object]] = {
        "scan": lambda: connection.sql(SCAN).fetchall(),
        "summarize": lambda: summarize(table, by="arm", values=["y", "x"]),
    }
    if find_spec("tea_tasting"):
        ways["tea-tasting"] = _tea_tasting(connection)
    error = _error(summarize(table, by="arm", values=["y", "x"]), expected)
    print(f"  largest error of a covariance: {error:.1e} of its scale", file=sys.stderr)
    costs = timed(ways)
    scan = costs.pop("scan")
    return [
        {
            "what": f"{way} of {size:,} rows, ms",
            "ours": cost,
            "limit": scan,
            "ratio": cost / scan,
            "target": f"<= 1.5 x the scan (error {error:.0e})" if way == "summarize" else "-",
        }
        for way, cost in costs.items()
    ]


def filled(connection: duckdb.DuckDBPyConnection, size: int) -> dict[str, JointMoments]:
    """Write the table in batches and return each arm's moments of (y, x - 1e9) by Chan's merge."""
    connection.execute("CREATE TABLE t (arm VARCHAR, y DOUBLE, x DOUBLE)")
    rng = np.random.default_rng(20)
    found = {arm: JointMoments.of([], []) for arm in ARMS}
    for start in range(0, size, BATCH):
        n = min(BATCH, size - start)
        noise = rng.standard_normal((2, n))
        treated, y = rng.random(n) < 0.5, np.exp(noise[0])
        x = 1e9 + 0.6 * noise[0] + 0.8 * noise[1]
        for arm, of_arm in zip(ARMS, (~treated, treated), strict=True):
            found[arm] = found[arm].merge(JointMoments.of(y[of_arm], x[of_arm] - 1e9))
        batch = pl.DataFrame({"arm": np.where(treated, *reversed(ARMS)), "y": y, "x": x})
        connection.execute("INSERT INTO t SELECT * FROM batch")
        assert len(batch) == n
    connection.execute("CHECKPOINT")
    return found


def timed(ways: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Run all in turn and return each one's median in ms."""
    costs: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS + 1):
        for way, run in ways.items():
            start = perf_counter()
            run()
            costs[way].append(1_000 * (perf_counter() - start))
    return {way: median(cost[1:]) for way, cost in costs.items()}


def _error(found: dict[str, JointMoments], expected: dict[str, JointMoments]) -> float:
    """Return the largest difference of a covariance in its scale, and refuse one over 1e-9."""
    worst = 0.0
    for arm, joint in expected.items():
        scale = np.sqrt(np.outer(np.diag(joint.cov), np.diag(joint.cov)))
        worst = max(worst, float((np.abs(np.subtract(found[arm].cov, joint.cov)) / scale).max()))
        assert found[arm].n == joint.n
        assert np.allclose(np.subtract(found[arm].mean, (0.0, 1e9)), joint.mean, atol=1e-6)
    assert worst < 1e-9, worst
    return worst


def _tea_tasting(connection: duckdb.DuckDBPyConnection) -> Callable[[], object]:
    """Let the peer aggregate the same: means, variances and the covariance."""
    import ibis  # noqa: PLC0415 - only where there is something to compare with
    from tea_tasting.aggr import read_aggregates  # noqa: PLC0415

    table = ibis.duckdb.from_connection(connection).table("t")
    return lambda: read_aggregates(
        table,
        "arm",
        has_count=True,
        mean_cols=("y", "x"),
        var_cols=("y", "x"),
        cov_cols=(("y", "x"),),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    for row in rows(parser.parse_args().rows):
        print(row)
