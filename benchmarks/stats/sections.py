"""What a section of the page is, and how its tables are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt

__all__ = ["Measured", "Outcome", "Section", "table"]


@dataclass(frozen=True)
class Outcome:
    """How often one rule declared an effect in one cell, and when it stopped.

    Units count those of one arm of a balanced cell; without a crossing they are the horizon's.
    """

    sims: int = 0
    crossed: int = 0
    units: float = 0.0
    squares: float = 0.0

    def __add__(self, other: Outcome) -> Outcome:
        """Add other simulations."""
        return Outcome(
            self.sims + other.sims,
            self.crossed + other.crossed,
            self.units + other.units,
            self.squares + other.squares,
        )

    @property
    def rate(self) -> float:
        """Give the share of simulations that crossed."""
        return self.crossed / self.sims

    @property
    def rate_se(self) -> float:
        """Give its binomial standard error."""
        return sqrt(self.rate * (1 - self.rate) / self.sims)

    @property
    def mean_units(self) -> float:
        """Give the mean units at the stop."""
        return self.units / self.sims

    @property
    def mean_units_se(self) -> float:
        """Give its standard error."""
        return sqrt(max(self.squares / self.sims - self.mean_units**2, 0.0) / self.sims)


@dataclass(frozen=True)
class Measured:
    """All outcomes of a run, by the names of cell and rule, for the sections that report them."""

    outcomes: Mapping[tuple[str, str], Outcome]

    def of(self, cell: str, rule: str) -> Outcome | None:
        """Give one outcome; None where the rule was not run."""
        return self.outcomes.get((cell, rule))

    @property
    def rules(self) -> list[str]:
        """Name the rules that were run, in order."""
        return list(dict.fromkeys(rule for _, rule in self.outcomes))


@dataclass(frozen=True)
class Section:
    """A heading with its Markdown, and the same numbers for programs."""

    title: str
    text: str
    data: object = field(default_factory=dict)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
