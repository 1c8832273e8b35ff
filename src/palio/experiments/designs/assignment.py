"""Who takes part in an experiment, and with which variant: pure, for one unit or for many."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from palio.bucketing import Line, Split
from palio.errors import InvalidInput
from palio.experiments.designs.audience import Attributes, Condition
from palio.experiments.designs.covariates import Segment

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SLOTS", "Assigner", "Assignment", "Namespace", "Part"]

SLOTS = 10_000
"""How many slots a namespace has."""
_RANGE = re.compile(r"([^:]+)(?::(\d{1,5})-(\d{1,5}))?")


@dataclass(frozen=True, slots=True)
class Namespace:
    """A range of a namespace's slots; every unit has one slot of 10,000 in each namespace.

    Experiments whose ranges do not touch share no unit, whatever their endpoints.

    Parameters
    ----------
    name
        Of the namespace.
    start, stop
        The first slot, and the one after the last; 0 <= start < stop <= 10,000.
    """

    name: str
    start: int = 0
    stop: int = SLOTS

    @classmethod
    def parse(cls, text: str) -> Namespace:
        """Read a range as people write it: ``checkout:0-5000``, or ``checkout`` for all slots.

        Raises
        ------
        InvalidInput
            If it is none.
        """
        found = _RANGE.fullmatch(text)
        if found is None:
            raise InvalidInput(
                f"{text!r} is no range of a namespace; write name:start-stop, as in "
                "checkout:0-5000",
                field="namespace",
                value=text,
            )
        name, start, stop = found.groups()
        return cls(name) if start is None else cls(name, int(start), int(stop))

    @override
    def __str__(self) -> str:
        return f"{self.name}:{self.start}-{self.stop}"

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop <= SLOTS:
            raise InvalidInput(
                f"namespace {self.name}: slots must be 0 <= start < stop <= {SLOTS}, got "
                f"{self.start} to {self.stop}",
                field="namespace",
                value=[self.start, self.stop],
            )

    def overlaps(self, other: Namespace) -> bool:
        """Tell whether some unit may be in both."""
        shared = max(self.start, other.start) < min(self.stop, other.stop)
        return self.name != other.name or shared


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Which units take part.

    Parameters
    ----------
    coverage
        Share of units that do, in (0, 1]; a larger one only adds units.
    holdout
        Share of the endpoint's units that never do, in [0, 1): the same ones in all of its
        experiments, and a larger one only adds to them.
    namespace
        The slots whose units do; all when not given.
    audience
        Conditions that a request must meet, all of them.
    """

    coverage: float = 1.0
    holdout: float = 0.0
    namespace: Namespace | None = None
    audience: tuple[Condition, ...] = ()


Range = tuple[Line, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigner:
    """An experiment's function from unit to variant. Safe to share between threads.

    Attributes
    ----------
    experiment, epoch, endpoint
        Whose it is.
    split
        The variants' shares of the units that take part.
    versions
        Version by variant.
    part
        Which units take part.
    ranges
        The same as ranges of places by what they are for: a unit takes part if its place on
        each line is in [low, high).
    live
        The variants that have a weight above 0.
    policy_version
        Which weights these are.
    sticky
        Whether units keep their first variant, which only the store knows.
    by_request
        Whether the unit is the request's own id.
    paired
        Whether all variants score a request, whichever answers.
    segments
        By which units are told apart.
    """

    experiment: str
    epoch: int
    endpoint: str
    split: Split
    versions: Mapping[str, str]
    part: Part = field(default_factory=Part)
    policy_version: int = 0
    sticky: bool = False
    by_request: bool = False
    paired: bool = False
    segments: tuple[Segment, ...] = ()
    ranges: Mapping[str, Range] = field(init=False, repr=False, compare=False)
    live: frozenset[str] = field(init=False, repr=False, compare=False)
    _is_open: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ranges = _ranges(self.part, endpoint=self.endpoint, salt=self.split.salt)
        live = frozenset(key for key, weight in self.split.variants if weight > 0)
        object.__setattr__(self, "ranges", ranges)
        object.__setattr__(self, "live", live)
        object.__setattr__(self, "_is_open", not (ranges or self.part.audience))

    @property
    def coverage(self) -> float:
        """Share of all units that may take part, whatever its audience."""
        return prod(high - low for _, low, high in self.ranges.values())

    def assign(self, unit: str, attributes: Attributes | None = None) -> str | None:
        """Give the variant of a unit.

        Parameters
        ----------
        unit
            Id of what is randomised.
        attributes
            What the request says about it.

        Returns
        -------
        str or None
            Key of the variant; ``None`` if the unit takes no part.
        """
        if self._is_open or self._admits(unit, attributes or {}):
            return self.split.assign(unit)
        return None

    def assign_many(
        self,
        units: Sequence[str] | NDArray[np.str_],
        attributes: Sequence[Attributes] | None = None,
    ) -> NDArray[np.str_]:
        """Give the variants of many units.

        Parameters
        ----------
        units
            Ids, shape (n,), strings.
        attributes
            Those of each unit, if there is an audience.

        Returns
        -------
        numpy.ndarray
            Keys, shape (n,), dtype str, empty where the unit takes no part; each what `assign`
            gives for the unit.
        """
        admitted = np.ones(len(units), dtype=np.bool_)
        for line, low, high in self.ranges.values():
            places = line.places(units)
            admitted &= (low <= places) & (places < high)
        if self.part.audience:
            met = map(self._is_audience, attributes or [{}] * len(units))
            admitted &= np.fromiter(met, np.bool_, len(units))
        return np.where(admitted, self.split.assign_many(units), "")

    def segments_of(self, attributes: Attributes | None) -> tuple[str, ...]:
        """Give the segments that a unit is in."""
        if not self.segments:
            return ()
        return tuple(segment.of(attributes or {}) for segment in self.segments)

    def _admits(self, unit: str, attributes: Attributes) -> bool:
        in_range = all(low <= line.place(unit) < high for line, low, high in self.ranges.values())
        return in_range and self._is_audience(attributes)

    def _is_audience(self, attributes: Attributes) -> bool:
        return all(condition.met_by(attributes) for condition in self.part.audience)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What a unit is given: without variant and experiment, what everybody else gets.

    ``propensity`` is the chance with which a unit that takes part is given this variant.
    """

    unit: str
    version: str | None
    variant: str | None = None
    experiment: str | None = None
    epoch: int = 0
    propensity: float = 1.0
    policy_version: int = 0
    segments: tuple[str, ...] = ()


def _ranges(part: Part, *, endpoint: str, salt: str) -> dict[str, Range]:
    ranges: dict[str, Range] = {}
    if part.holdout:
        ranges["holdout"] = (Line("holdout", endpoint), part.holdout, 1.0)
    if part.namespace is not None:
        own = part.namespace
        line = Line("namespace", own.name)
        ranges["namespace"] = (line, own.start / SLOTS, own.stop / SLOTS)
    if part.coverage < 1:
        ranges["coverage"] = (Line("coverage", salt), 0.0, part.coverage)
    return ranges
