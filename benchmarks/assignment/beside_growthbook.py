"""What an assignment costs, beside GrowthBook's SDK, on the same ids in one process.

make bench-assignment

Theirs evaluates an inline experiment of two variations: once with an object whose attributes are
set for every unit, once with a new object for each, as its documentation does for each request.
No features are fetched and nobody listens to its callbacks.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from statistics import median
from time import perf_counter_ns

from growthbook import Experiment, GrowthBook

from palio.bucketing import Split

ROUNDS = 9
UNITS = [f"user-{number:06d}" for number in range(20_000)]
SPLIT = Split.of(salt="bench", weights={"control": 0.5, "treatment": 0.5})
EXPERIMENT = Experiment(key="bench", variations=["control", "treatment"])
KEPT = GrowthBook()


def kept(unit: str) -> str:
    """Assign with one object for all units."""
    KEPT.set_attributes({"id": unit})
    return str(KEPT.run(EXPERIMENT).value)


def made(unit: str) -> str:
    """Assign with an object of the unit's own."""
    return str(GrowthBook(attributes={"id": unit}).run(EXPERIMENT).value)


def cost_ns(assign: Callable[[str], str]) -> float:
    """Time an assignment, in ns a unit."""
    start = perf_counter_ns()
    for unit in UNITS:
        assign(unit)
    return (perf_counter_ns() - start) / len(UNITS)


def main() -> None:
    """Measure in turn and print medians; ratios are of costs in the same round."""
    rounds = [(cost_ns(SPLIT.assign), cost_ns(kept), cost_ns(made)) for _ in range(ROUNDS)]
    ours, *theirs = (median(column) for column in zip(*rounds, strict=True))
    print(f"assignment, two variants, ns a unit; growthbook {version('growthbook')}")
    print(f"{'Split.assign':<40}{ours:>8,.0f}")
    for place, name in enumerate(("attributes set", "an object each"), start=1):
        ratio = median(one[place] / one[0] for one in rounds)
        print(f"{'GrowthBook.run, ' + name:<40}{theirs[place - 1]:>8,.0f}{ratio:>8.1f} times ours")


if __name__ == "__main__":
    main()
