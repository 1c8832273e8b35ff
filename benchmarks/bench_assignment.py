"""What an assignment costs, against the cheapest one that could be written.

The bare one hashes ready bytes once and compares with a threshold, inline; it cannot follow a
change of weights nor a third variant. Both run interleaved in one process, so that a busy
machine slows both.
"""

from __future__ import annotations

from statistics import median
from time import perf_counter_ns

from xxhash import xxh3_64_intdigest

from palio.bucketing import Split

ROUNDS = 25
TARGET = 6.0
UNITS = [f"user-{number:06d}" for number in range(20_000)]
ENCODED = [unit.encode() for unit in UNITS]


def ours_ns(split: Split) -> float:
    """Time `Split.assign`, in ns a unit."""
    assign = split.assign
    start = perf_counter_ns()
    for unit in UNITS:
        assign(unit)
    return (perf_counter_ns() - start) / len(UNITS)


def bare_ns() -> float:
    """Time a hash with a threshold, in ns a unit."""
    digest = xxh3_64_intdigest
    start = perf_counter_ns()
    for unit in ENCODED:
        digest(unit) / 2**64 < 0.5  # noqa: B015 -- timed, not used
    return (perf_counter_ns() - start) / len(ENCODED)


def rows() -> list[dict[str, str | float]]:
    """Measure, and give one row for the table of benchmarks; ours and limit in ns a unit."""
    split = Split.of(salt="bench", weights={"control": 0.5, "treatment": 0.5})
    pairs = [(ours_ns(split), bare_ns()) for _ in range(ROUNDS)]
    return [
        {
            "what": "assignment",
            "ours": median(ours for ours, _ in pairs),
            "limit": median(bare for _, bare in pairs),
            "ratio": median(ours / bare for ours, bare in pairs),
            "target": TARGET,
        }
    ]


if __name__ == "__main__":
    print("what | ours ns | bare ns | ratio | target")
    for row in rows():
        print("{what} | {ours:.0f} | {limit:.0f} | {ratio:.2f} | <= {target}".format_map(row))
