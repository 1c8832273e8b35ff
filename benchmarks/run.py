"""All benchmarks, one table: each row a ratio against a limit measured in the same run.

make bench                              every row
make bench ARGS="predict assignment"    some of them
make bench ARGS="--json"                for programs
make bench ARGS="analysis --large"      after 10^7 events, too
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import bench_adaptive
import bench_analysis
import bench_artifacts
import bench_assignment
import bench_bandits
import bench_folding
import bench_frames
import bench_predict
import bench_recording
import bench_registry
import bench_swaps

BENCHES: dict[str, Callable[[], list[dict[str, str | float]]]] = {
    "assignment": bench_assignment.rows,
    "predict": bench_predict.rows,
    "swaps": bench_swaps.rows,
    "recording": bench_recording.rows,
    "folding": bench_folding.rows,
    "analysis": bench_analysis.rows,
    "frames": bench_frames.rows,
    "adaptive": bench_adaptive.rows,
    "bandits": bench_bandits.rows,
    "artifacts": bench_artifacts.rows,
    "registry": bench_registry.rows,
}


def main() -> None:
    """Run what was asked for and print the table."""
    asked = [word for word in sys.argv[1:] if not word.startswith("--")] or list(BENCHES)
    rows = []
    for name in asked:
        print(f"measuring {name} …", file=sys.stderr)
        rows += BENCHES[name]()
    if "--json" in sys.argv:
        print(json.dumps(rows, indent=2))
        return
    print(f"{'what':<56}{'ours':>14}{'limit':>14}{'ratio':>9}  target")
    for row in rows:
        ours, limit = (f"{row[side]:,.{_decimals(row[side])}f}" for side in ("ours", "limit"))
        print(f"{row['what']:<56}{ours:>14}{limit:>14}{row['ratio']:>9.2f}  {row['target']}")


def _decimals(value: float | str) -> int:
    return 1 if float(value) >= 10 else 3


if __name__ == "__main__":
    main()
