"""``palio experiments simulate``: what a split does to units, before it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from palio.bucketing import Split
from palio.cli.output import AsJson, listing, print_json
from palio.cli.session import verbs
from palio.errors import InvalidInput
from palio.experiments.designs.assignment import Assigner, Namespace, Part
from palio.experiments.domain import Experiment, State

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["app"]

app = typer.Typer()
_MOST = 10_000_000


@dataclass(frozen=True, slots=True)
class Share:
    """Units of a variant, their share of those that take part, and how far off its weight."""

    variant: str
    weight: float
    units: int
    share: float
    z: float | None


@dataclass(frozen=True, slots=True)
class Move:
    """Units that go from one variant to another; an empty one is taking no part."""

    source: str
    target: str
    units: int
    share: float


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another experiment that runs on the endpoint, its units, and how many are in both."""

    experiment: str
    units: int
    in_both: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """What became of the units; ``outside`` counts by the first reason for taking no part."""

    experiment: str | None
    units: int
    outside: Mapping[str, int]
    variants: Sequence[Share]
    moves: Sequence[Move]
    neighbours: Sequence[Neighbour]


@app.command()
def simulate(
    ctx: typer.Context,
    key: Annotated[str | None, typer.Argument(help="Key of an experiment.")] = None,
    weights: Annotated[
        str | None, typer.Option(help="Instead of an experiment: control=0.95,challenger=0.05.")
    ] = None,
    to: Annotated[str | None, typer.Option(help="Weights afterwards, to see who moves.")] = None,
    units: Annotated[Path | None, typer.Option(help="Text file with one unit a line.")] = None,
    count: Annotated[
        int | None, typer.Option(help="Instead of a file: as many made up.", min=1, max=_MOST)
    ] = None,
    coverage: Annotated[
        float | None, typer.Option(help="Share of units that take part, with --weights.")
    ] = None,
    namespace: Annotated[str | None, typer.Option(help="name:start-stop, with --weights.")] = None,
    salt: Annotated[str, typer.Option(help="Of the split, with --weights.")] = "simulated",
    as_json: AsJson = False,
) -> None:
    """Show what a split does to units; nothing is recorded.

    [dim]palio experiments simulate credit-ab --units users.txt[/dim]

    Who moves when the weights change:

    [dim]palio experiments simulate --weights control=0.95,challenger=0.05
    --to control=0.8,challenger=0.2 --count 100000[/dim]
    """
    given = {"--coverage": coverage, "--namespace": namespace}
    if (key is None) == (weights is None):
        raise _misuse("weights", "give the key of an experiment or --weights, one of them")
    if (units is None) == (count is None):
        raise _misuse("units", "give --units or --count, one of them")
    neighbours: Sequence[Experiment] = ()
    if key is not None:
        for option in (option for option, value in given.items() if value is not None):
            raise _misuse(option[2:], f"{option} is of use with --weights only")
        experiments = verbs(ctx).experiments
        experiment = experiments.get(key)
        one = experiment.assigner()
        neighbours = [
            other
            for other in experiments.list(experiment.endpoint)
            if other.state is State.RUNNING and other.key != key
        ]
    else:
        part = Part(
            coverage=1.0 if coverage is None else _share(coverage),
            namespace=None if namespace is None else Namespace.parse(namespace),
        )
        one = _made_up(Split.of(salt=salt, weights=_weights("weights", weights or "")), part)
    found = simulated(
        one,
        np.array([f"unit-{number}" for number in range(count)] if count else _read(units)),
        to=None if to is None else _weights("to", to),
        neighbours=[other.assigner() for other in neighbours],
    )
    if as_json:
        print_json(found)
    else:
        _print(found, one)


def simulated(
    one: Assigner,
    units: NDArray[np.str_],
    *,
    to: Mapping[str, float] | None = None,
    neighbours: Sequence[Assigner] = (),
) -> Simulated:
    """Assign units as an experiment would, whatever their attributes.

    Parameters
    ----------
    one
        The experiment's function.
    units
        Ids, shape (n,).
    to
        Weights afterwards, if they change. Units of a sticky experiment move only where their
        variant gets none.
    neighbours
        Other experiments that run on the endpoint.
    """
    one = _for_all(one)
    now = one.assign_many(units)
    later = now
    if to is not None:
        changed = replace(one, split=Split.of(salt=one.split.salt, weights=to))
        later = changed.assign_many(units)
        if one.sticky:
            later = np.where(np.isin(now, list(changed.live)), now, later)
    return Simulated(
        experiment=one.experiment or None,
        units=len(units),
        outside=_outside(one, units),
        variants=_shares(now, dict(one.split.variants)),
        moves=[] if to is None else _moves(now, later),
        neighbours=[_neighbour(other, units, now) for other in neighbours],
    )


def _for_all(one: Assigner) -> Assigner:
    return replace(one, part=replace(one.part, audience=()))


def _outside(one: Assigner, units: NDArray[np.str_]) -> dict[str, int]:
    left, outside = units, {}
    for name, (line, low, high) in one.ranges.items():
        places = line.places(left)
        inside = left[(low <= places) & (places < high)]
        outside[name] = len(left) - len(inside)
        left = inside
    return outside


def _shares(assigned: NDArray[np.str_], weights: Mapping[str, float]) -> list[Share]:
    n = int((assigned != "").sum())
    found = []
    for key, weight in weights.items():
        units = int((assigned == key).sum())
        deviation = sqrt(n * weight * (1 - weight))
        z = (units - n * weight) / deviation if deviation else None
        found.append(Share(key, weight, units, units / n if n else 0.0, z))
    return found


def _moves(now: NDArray[np.str_], later: NDArray[np.str_]) -> list[Move]:
    return [
        Move(str(source), str(target), units, units / len(now))
        for source in np.unique(now)
        for target in np.unique(later)
        if (units := int(((now == source) & (later == target)).sum()))
    ]


def _neighbour(other: Assigner, units: NDArray[np.str_], now: NDArray[np.str_]) -> Neighbour:
    theirs = _for_all(other).assign_many(units) != ""
    return Neighbour(other.experiment, int(theirs.sum()), int((theirs & (now != "")).sum()))


def _made_up(split: Split, part: Part) -> Assigner:
    versions = {key: "" for key, _ in split.variants}
    return Assigner(experiment="", epoch=1, endpoint="", split=split, versions=versions, part=part)


def _read(file: Path | None) -> list[str]:
    try:
        lines = [] if file is None else file.read_text("utf-8").splitlines()
    except UnicodeDecodeError as failed:
        raise _misuse("units", f"{file} is no text in UTF-8: {failed}") from failed
    units = list(dict.fromkeys(line for line in lines if line))
    if not units:
        raise _misuse("units", f"{file} has no unit; write one a line")
    return units


def _weights(option: str, text: str) -> dict[str, float]:
    pairs = [one.rpartition("=") for one in text.split(",")]
    try:
        return {key.strip(): float(weight) for key, _, weight in pairs}
    except ValueError:
        raise _misuse(
            option, f"--{option} {text!r} is not of the form control=0.95,challenger=0.05"
        ) from None


def _share(coverage: float) -> float:
    if not 0 < coverage <= 1:
        raise _misuse("coverage", f"--coverage must be in (0, 1], got {coverage}")
    return coverage


def _misuse(option: str, why: str) -> InvalidInput:
    return InvalidInput(why, field=option)


def _print(found: Simulated, one: Assigner) -> None:
    inside = sum(one.units for one in found.variants)
    typer.echo(f"{inside:,} of {found.units:,} units take part ({inside / found.units:.2%})")
    for reason, units in found.outside.items():
        typer.echo(f"{units:,} do not because of the {reason}")
    if one.part.audience:
        typer.echo("the audience is not asked: the units have no attributes here")
    if one.sticky:
        typer.echo(
            "it is sticky: here all units come for the first time, and then keep their variant "
            "unless its weight becomes 0"
        )
    typer.echo("")
    rows = [
        (one.variant, f"{one.weight:g}", f"{one.units:,}", f"{one.share:.4%}", _signed(one.z))
        for one in found.variants
    ]
    columns = ("variant", "weight", "units", "share", "z")
    listing(found.variants, columns, rows, as_json=False)
    if found.moves:
        typer.echo("")
        _print_moves(found.moves)
    if found.neighbours:
        typer.echo("")
        others = [
            (one.experiment, f"{one.units:,}", f"{one.in_both:,}") for one in found.neighbours
        ]
        listing(found.neighbours, ("runs beside it", "units", "in both"), others, as_json=False)


def _print_moves(moves: Sequence[Move]) -> None:
    targets = sorted({move.target for move in moves})
    cells = {(move.source, move.target): f"{move.share:.4%}" for move in moves}
    rows = [
        (source or "(none)", *(cells.get((source, target), "") for target in targets))
        for source in sorted({move.source for move in moves})
    ]
    columns = ("from / to", *(target or "(none)" for target in targets))
    listing(moves, columns, rows, as_json=False)
    moved = sum(move.share for move in moves if move.source != move.target)
    typer.echo(f"{moved:.2%} of the units move")


def _signed(z: float | None) -> str:
    return "" if z is None else f"{z:+.2f}"
