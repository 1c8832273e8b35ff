"""Sticky assignments: which variant a unit was given first, whatever the weights have become.

A unit that the split gives a variant for the first time keeps it in the store; of two processes
that give one at once, one wins and both serve that one. Weight 0 wins over what is kept: such a
unit is given another variant by the split, and that is kept from then on, so that it does not
come back when the weight rises again.

Only units that take part are looked up. One that has left the experiment's part (its coverage,
audience, namespace or holdout) is outside of it like everybody else, and has its variant again
should it come back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from palio.experiments.designs.assignment import Assigner
from palio.experiments.domain import Experiment
from palio.ports import Collection

__all__ = ["Drawn", "Kept", "Key", "StickyAssignment", "StickyUnit", "keep", "look_up"]

Key = tuple[str, str]
"""Of what a unit keeps: (experiment, unit)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StickyAssignment:
    """A unit's variant, and under which weights and with which chance it was given it."""

    experiment: str
    unit: str
    variant: str
    epoch: int
    policy_version: int
    propensity: float
    at: datetime

    @property
    def key(self) -> Key:
        """Whose it is: (experiment, unit)."""
        return self.experiment, self.unit


Kept = Mapping[Key, StickyAssignment]
"""What units keep, by (experiment, unit)."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What the split gives a unit now, which counts where nothing that stands is kept."""

    given: StickyAssignment
    assigner: Assigner

    @classmethod
    def by(cls, assigner: Assigner, unit: str, variant: str, at: datetime) -> Drawn:
        """Return what an experiment's split has given a unit."""
        given = StickyAssignment(
            experiment=assigner.experiment,
            unit=unit,
            variant=variant,
            epoch=assigner.epoch,
            policy_version=assigner.policy_version,
            propensity=assigner.split.propensity(variant),
            at=at,
        )
        return cls(given, assigner)

    @property
    def key(self) -> Key:
        """Whose it is: (experiment, unit)."""
        return self.given.key

    def yields_to(self, kept: StickyAssignment | None) -> bool:
        """Tell whether the unit stays with what is kept: it does unless its weight is 0."""
        return kept is not None and kept.variant in self.assigner.live


class StickyUnit(Protocol):
    """What sticky assignments need inside one unit of work."""

    @property
    def experiments(self) -> Collection[Experiment]:
        """Experiments under their key."""
        ...

    @property
    def sticky(self) -> Collection[StickyAssignment]:
        """Variants that units keep, under (experiment, unit)."""
        ...


def look_up(unit: StickyUnit, drawn: Sequence[Drawn]) -> dict[Key, StickyAssignment]:
    """Return what units keep, of those that stay with it; nothing is written."""
    found = unit.sticky.get_many([one.key for one in drawn])
    return {one.key: found[one.key] for one in drawn if one.yields_to(found.get(one.key))}


def keep(unit: StickyUnit, drawn: Sequence[Drawn]) -> dict[Key, StickyAssignment]:
    """Keep what units are given, unless something that stands is kept already.

    Parameters
    ----------
    unit
        An open unit of work that is kept when it ends.
    drawn
        What the split gives each unit, once for each key.

    Returns
    -------
    dict
        What each of them has from now on, whoever was faster.
    """
    ordered = sorted(drawn, key=lambda one: one.key)  # or two processes could wait in a circle
    unit.sticky.add_missing([one.given for one in ordered])
    found = {one.key: kept for one, kept in _read(unit, ordered)}
    moving = [one for one in ordered if not one.yields_to(found[one.key])]
    return found | _moved(unit, moving) if moving else found


def _moved(unit: StickyUnit, drawn: Sequence[Drawn]) -> dict[Key, StickyAssignment]:
    """Give units another variant, where the weights in force say so, too.

    Those of the process may be a little old. While experiments are locked, no other process
    changes their weights or moves their units.
    """
    names = sorted({one.given.experiment for one in drawn})
    experiments = {name: unit.experiments.get(name, lock=True) for name in names}
    settled: dict[Key, StickyAssignment] = {}
    for one, kept in _read(unit, drawn):
        experiment = experiments[kept.experiment]
        stays = experiment is not None and experiment.weights.get(kept.variant)
        settled[one.key] = kept if stays else one.given
    unit.sticky.put_many([one.given for one in drawn if settled[one.key] is one.given])
    return settled


def _read(unit: StickyUnit, drawn: Sequence[Drawn]) -> Iterator[tuple[Drawn, StickyAssignment]]:
    """Yield what is kept beside what is drawn."""
    found = unit.sticky.get_many([one.key for one in drawn])
    for one in drawn:
        yield one, found[one.key]
