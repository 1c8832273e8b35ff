"""Run every rule over every cell in chunks, two processes at once, each chunk with its own seed.

The seed of a chunk is made of the family below, the cell's name and the chunk's number, so numbers
depend neither on the number of processes nor on which cells run. Boundaries were calibrated by
solving an equation and tried on single-digit seeds; this family has been used for nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from cells import HORIZON, LOOKS, Cell, Paths, simulate
from rules import OURS, PLAIN, Rule, Stops
from sections import Measured, Outcome

__all__ = ["CHUNK", "SEED", "Chunk", "chunks", "measure", "run"]

SEED = 20_261_121
CHUNK = 500


@dataclass(frozen=True)
class Chunk:
    """Some simulations of a cell, with the peers beside or without."""

    cell: Cell
    number: int
    sims: int
    peers: bool

    def paths(self) -> Paths:
        """Draw the simulations."""
        key = crc32(self.cell.name.encode()), self.number
        seeds = np.random.SeedSequence(SEED, spawn_key=key)
        return simulate(self.cell, self.sims, np.random.default_rng(seeds))


def chunks(cell: Cell, *, ours: int, peers: int) -> Iterator[Chunk]:
    """Split the simulations of a cell; the peers join the first ``peers`` of them.

    Palio and the plain rules run over all, at least as many as the peers.
    """
    for asks_peers, start, end in ((True, 0, peers), (False, peers, max(ours, peers))):
        for at in range(start, end, CHUNK):
            number = 2 * (at - start) // CHUNK + asks_peers
            yield Chunk(cell, number, min(CHUNK, end - at), asks_peers)


def run(chunk: Chunk) -> dict[tuple[str, str], Outcome]:
    """Run all rules over a chunk."""
    rules = {**PLAIN, **_peers(), **OURS} if chunk.peers else {**PLAIN, **OURS}
    paths = chunk.paths()
    return {(chunk.cell.name, name): _outcome(rule(paths)) for name, rule in rules.items()}


def _peers() -> dict[str, Rule]:
    from peers import PEERS  # noqa: PLC0415 -- their packages exist in .venv-peers alone

    return PEERS


def _outcome(stops: Stops) -> Outcome:
    units = np.minimum(stops + 1, LOOKS) * (HORIZON / LOOKS)
    crossed = int((stops < LOOKS).sum())
    return Outcome(len(stops), crossed, float(units.sum()), float((units**2).sum()))


def measure(
    work: Iterable[Chunk], *, processes: int, advance: Callable[[int], object]
) -> Measured:
    """Run the chunks and add up their outcomes, reporting the simulations done."""
    found: dict[tuple[str, str], Outcome] = {}
    if processes == 1:
        for chunk in work:
            _add(found, run(chunk))
            advance(chunk.sims)
        return _ordered(found)
    with ProcessPoolExecutor(processes) as pool:
        running = {pool.submit(run, chunk): chunk for chunk in work}
        for done in as_completed(running):
            _add(found, done.result())
            advance(running[done].sims)
    return _ordered(found)


def _add(found: dict[tuple[str, str], Outcome], more: dict[tuple[str, str], Outcome]) -> None:
    for key, outcome in more.items():
        found[key] = found.get(key, Outcome()) + outcome


def _ordered(found: dict[tuple[str, str], Outcome]) -> Measured:
    """Sort by rule: plain ones, peers, Palio."""
    names = [*PLAIN, *sorted({rule for _, rule in found} - {*PLAIN, *OURS}), *OURS]
    return Measured(dict(sorted(found.items(), key=lambda item: names.index(item[0][1]))))
