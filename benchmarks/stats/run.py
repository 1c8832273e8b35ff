"""Palio's statistics beside those of its peers, in one run: writes docs/benchmarks/statistics.md.

make bench-stats                            everything, about ten minutes on two cores
make bench-stats ARGS="--quick"             a short run, printed and not written
make bench-stats ARGS="--json found.json"   for programs, too
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import cost
import false_positives
import power
import reference_values
import targets
from cells import BALANCED, EFFECTS, UNEQUAL, Cell, simulate
from numpy.random import default_rng
from peers import spotify_agrees
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from sections import Measured, Section, table
from simulations import CHUNK, SEED, Chunk, chunks, measure

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks" / "statistics.md"
PACKAGES = ("gbstats", "spotify-confidence", "tea-tasting", "ville", "confseq", "numpy", "scipy")
SECTIONS = (targets, false_positives, power, cost, reference_values)
MANY_PEERS = (*BALANCED, *EFFECTS, UNEQUAL[0])
RATIOS = (EFFECTS[0], EFFECTS[-1])  # whose mean stops are divided by a peer's
CHEAP = 5  # times as many of Palio where no unit has to be drawn by itself
COMPUTED = {"Distance from the limit": "frontier"}  # ``section() -> str``, without simulation


def arguments(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench-stats", description=__doc__)
    parser.add_argument("--sims", type=int, default=20_000, help="simulations a cell of Palio")
    parser.add_argument("--peers", type=int, default=5_000, help="of peers, balanced cells")
    parser.add_argument("--peers-unequal", type=int, default=2_000, help="of peers, other cells")
    parser.add_argument("--processes", type=int, choices=(1, 2), default=2)
    parser.add_argument("--quick", action="store_true", help="1,000, 200 and 100; not written")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there")
    asked = parser.parse_args(argv)
    if asked.quick:
        asked.sims, asked.peers, asked.peers_unequal = 1_000, 200, 100
    return asked


def work(asked: argparse.Namespace) -> Iterator[Chunk]:
    """List all chunks, those with the most to do first."""
    cells = (*EFFECTS, *false_positives.NULLS)
    for cell in sorted(cells, key=lambda cell: -_weight(cell)):
        ours = asked.sims * (1 if _weight(cell) else CHEAP)
        peers = asked.peers if cell in MANY_PEERS else asked.peers_unequal
        yield from chunks(cell, ours=ours, peers=4 * peers if cell in RATIOS else peers)


def _weight(cell: Cell) -> int:
    slow = "lognormal" in {cell.control.kind, cell.treatment.kind}
    return (cell.n_control + cell.n_treatment) * slow


def simulated(asked: argparse.Namespace) -> Measured:
    """Run the simulations under a progress bar."""
    listed = list(work(asked))
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("simulations", total=sum(chunk.sims for chunk in listed))
        return measure(
            listed, processes=asked.processes, advance=lambda done: bar.advance(task, done)
        )


def sections(measured: Measured) -> Iterator[Section]:
    """Give all sections in order, the measured ones and then the computed ones."""
    for module in SECTIONS:
        print(f"writing {module.__name__} …", file=sys.stderr)
        yield module.section(measured)
    for title, name in COMPUTED.items():
        if find_spec(name):
            print(f"writing {name} …", file=sys.stderr)
            yield Section(title, import_module(name).section())


def head(asked: argparse.Namespace) -> str:
    """Say how the page came about."""
    command = "make bench-stats" + (' ARGS="--quick"' if asked.quick else "")
    agrees = spotify_agrees(simulate(EFFECTS[0], 2, default_rng(SEED)))
    versions = table(["package", "version"], [[name, _version(name)] for name in PACKAGES])
    return f"""# Statistics beside its peers

Written by `{command}` on Python {platform.python_version()}, all rules in one run on the same
simulated experiments: 100 even looks. Palio and the plain rules run over {asked.sims:,} of them
in a cell with a lognormal and over {CHEAP * asked.sims:,} in each other one; the peers over
{asked.peers:,} in balanced cells ({4 * asked.peers:,} where a target divides mean stops) and
{asked.peers_unequal:,} in the others.
Seeds: family {SEED} (`numpy.random.SeedSequence`, spawned by cell and by chunk of
{CHUNK}), which no boundary was tuned on.

- `Palio` is `palio.stats.compare(control, treatment, horizon=..., treatment_share=...)`,
  the horizon being the units of both arms, valid however often one looks; `looks=100` says
  beforehand that 100 looks bind.
- gbstats is called look by look with absolute differences: `SequentialTwoSidedTTest` with its
  tuning of 5000, and `EffectBayesianABTest` with its flat prior, which declares a winner where the
  chance to win leaves 5 to 95 %.
- spotify-confidence's bounds are computed once by its solver, as all cells share their looks. Its
  public call says the same at {100 * agrees:.0f} % of the looks of two experiments.
- The asymptotic sequence is the textbook one, tuned to the horizon, without guards.
- While an arm shows no variance no rule but Palio is asked; gbstats gives no verdict then.

{versions}
"""


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed; its stored values: `benchmarks/stats/reference_others.py`"


def page(intro: str, parts: Iterable[Section]) -> str:
    """Put the page together."""
    return intro + "".join(f"\n## {part.title}\n\n{part.text}\n" for part in parts)


def main(argv: list[str]) -> None:
    """Measure, and write what was found."""
    asked = arguments(argv)
    parts = list(sections(simulated(asked)))
    text = page(head(asked), parts)
    if asked.json:
        found = {"seed": SEED} | {part.title: part.data for part in parts}
        asked.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if asked.quick:
        print(text)
        return
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text, encoding="utf-8")
    print("wrote docs/benchmarks/statistics.md", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
