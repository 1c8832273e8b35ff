"""What units of sticky experiments keep, remembered in this process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from threading import Lock

from palio.experiments.designs.assignment import Assigner
from palio.experiments.weights.sticky import (
    Drawn,
    Kept,
    Key,
    StickyAssignment,
    StickyUnit,
    keep,
    look_up,
)
from palio.ports import Store

__all__ = ["StickyCache"]

_MOST = 100_000  # units of an experiment; about 50 MB


@dataclass(slots=True)
class _Remembered:
    """What one experiment's units keep, the last used last, as read under some weights."""

    policy_version: int
    live: frozenset[str]
    units: OrderedDict[str, StickyAssignment] = field(default_factory=OrderedDict)

    def follow(self, assigner: Assigner) -> None:
        """Forget everything if some unit may have been moved without this process knowing.

        Others move a unit only while its variant has weight 0. Where one version of the weights
        follows on the other and both give the same variants something, none has been.
        """
        version, live = assigner.policy_version, assigner.live
        if (version, live) == (self.policy_version, self.live):
            return
        if version != self.policy_version + 1 or live != self.live:
            self.units.clear()
        self.policy_version, self.live = version, live


class StickyCache:
    """What units keep, remembered in this process. Safe to share between threads.

    Parameters
    ----------
    most
        Units of an experiment that are remembered; those that were not asked for the longest
        are forgotten first.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._remembered: dict[str, _Remembered] = {}
        self._changing = Lock()

    def settle(self, store: Store[StickyUnit], drawn: Iterable[Drawn]) -> Kept:
        """Say what units have, by one read for those not remembered and one write for new ones.

        Parameters
        ----------
        store
            Where it is kept; durable when this returns.
        drawn
            What the split gives each unit; where a unit is there twice, the later counts.
        """
        asked = {one.key: one for one in drawn}
        known = self._recalled(asked.values())
        unknown = [one for key, one in asked.items() if key not in known]
        if not unknown:
            return known
        with store.read() as unit:
            found = look_up(unit, unknown)
        new = [one for one in unknown if one.key not in found]
        if new:
            with store.write() as unit:
                found |= keep(unit, new)
        self._remember(unknown, found)
        return known | found

    def forget(self, *, all_but: Iterable[str]) -> None:
        """Forget experiments that do not run here any more."""
        with self._changing:
            for experiment in self._remembered.keys() - set(all_but):
                del self._remembered[experiment]

    def _recalled(self, drawn: Iterable[Drawn]) -> dict[Key, StickyAssignment]:
        known = {}
        with self._changing:
            for one in drawn:
                units = self._units_of(one.assigner)
                kept = units.get(one.given.unit)
                if kept is not None and one.yields_to(kept):
                    units.move_to_end(one.given.unit)
                    known[one.key] = kept
        return known

    def _remember(self, drawn: Sequence[Drawn], found: Kept) -> None:
        with self._changing:
            for one in drawn:
                units = self._units_of(one.assigner)
                if one.yields_to(found[one.key]):
                    units[one.given.unit] = found[one.key]
                if len(units) > self._most:
                    units.popitem(last=False)

    def _units_of(self, assigner: Assigner) -> OrderedDict[str, StickyAssignment]:
        remembered = self._remembered.get(assigner.experiment)
        if remembered is None:
            remembered = _Remembered(assigner.policy_version, assigner.live)
            self._remembered[assigner.experiment] = remembered
        remembered.follow(assigner)
        return remembered.units
