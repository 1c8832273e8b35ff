"""What is known of a unit before it takes part: covariates, and the segments it is in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from palio.errors import InvalidInput
from palio.experiments.designs.audience import Attributes
from palio.experiments.events import Outcome
from palio.registry.domain import check_name

__all__ = ["OTHER", "Covariate", "Segment"]

OTHER = "other"
"""The segment of units whose attribute has none of the declared values, or is not there."""
_MOST_VALUES = 20
_LONGEST_S = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Covariate:
    """Values of a unit from before it took part, taken out of means (CUPED).

    Every outcome of this name that is about the unit as a whole and from before the unit was
    first given its variant counts: a value that was sent for the purpose, or the unit's own
    history of the metric. A unit without any takes part with what the others predict for it.

    Parameters
    ----------
    name
        Of the outcomes; may be the metric's own.
    window_s
        How many seconds back they count; all if None.
    """

    name: str
    window_s: float | None = None

    def __post_init__(self) -> None:
        check_name("covariate", self.name)
        if self.window_s is not None and not 0 < self.window_s <= _LONGEST_S:
            raise InvalidInput(
                f"window_s of the covariate {self.name} must be seconds in (0, {_LONGEST_S:g}], "
                f"got {self.window_s}",
                field="window_s",
                value=self.window_s,
            )

    @property
    def part(self) -> str:
        """Under which name a unit's values are kept."""
        return f"~{self.name}"

    def values(self, outcomes: Iterable[Outcome], before: datetime | None) -> list[float]:
        """Return the values from before a moment."""
        return [
            float(value)
            for outcome in outcomes
            if outcome.name == self.name and self._counts(outcome.at, before)
            for value in (outcome.value if isinstance(outcome.value, list) else [outcome.value])
            if not isinstance(value, str)
        ]

    def _counts(self, at: datetime, before: datetime | None) -> bool:
        if before is None or at >= before:
            return False
        return self.window_s is None or (before - at).total_seconds() <= self.window_s


@dataclass(frozen=True, slots=True)
class Segment:
    """Units by the value of one attribute of the request that first gave them their variant.

    Parameters
    ----------
    attribute
        Its name; it is kept with each prediction, as one of the values.
    values
        The values that are told apart, as text; all others are one segment, ``other``.
    """

    attribute: str
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        check_name("attribute", self.attribute)
        if not 0 < len(set(self.values)) == len(self.values) <= _MOST_VALUES:
            raise InvalidInput(
                f"segment {self.attribute}: give 1 to {_MOST_VALUES} different values, got "
                f"{list(self.values)}",
                field="segments",
                value=list(self.values),
            )
        if OTHER in self.values:
            raise InvalidInput(
                f"segment {self.attribute}: {OTHER!r} is what all other values are; leave it out",
                field="segments",
                value=OTHER,
            )

    @classmethod
    def parse(cls, text: str) -> Segment:
        """Read a segment as people write it: ``country=FR,DE,IT``.

        Raises
        ------
        InvalidInput
            If it is none.
        """
        attribute, equals, values = text.partition("=")
        if not equals:
            raise InvalidInput(
                f"{text!r} is no segment; write attribute=value,value as in country=FR,DE",
                field="segments",
                value=text,
            )
        return cls(attribute.strip(), tuple(part.strip() for part in values.split(",")))

    def of(self, attributes: Attributes) -> str:
        """Return the segment that attributes put a unit in, as ``country=FR``."""
        value = attributes.get(self.attribute)
        told = str(value).lower() if isinstance(value, bool) else str(value)
        known = value is not None and told in self.values
        return f"{self.attribute}={told if known else OTHER}"

    @property
    def all(self) -> tuple[str, ...]:
        """Every segment, as `of` names them."""
        return tuple(f"{self.attribute}={value}" for value in (*self.values, OTHER))
