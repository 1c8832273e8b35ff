"""What was planned, in a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, sqrt

import typer

from palio.cli.output import listing, number
from palio.stats.planned.history import History
from palio.stats.planned.planning import Baseline, Design, Plan

__all__ = ["Past", "Planned", "Timed", "print_planned"]


@dataclass(frozen=True, slots=True)
class Timed:
    """A plan with its days, where they are known.

    Attributes
    ----------
    units, effect, relative, power, expected_units
        As `palio.stats.Plan` has them.
    days
        Days until all units have come.
    expected_days
        Days until the mean number of units at the stop has come.
    """

    units: int
    effect: float
    relative: float | None
    power: float
    expected_units: float
    days: int | None
    expected_days: float | None

    @classmethod
    def of(
        cls,
        past: History | None,
        plan: Plan,
        *,
        units_per_day: float | None,
        traffic_share: float,
    ) -> Timed:
        """Add the days: by the arrivals of a history, or by so many new units a day."""
        days: float | None = None
        expected: float | None = None
        if past is not None:
            days, expected = (
                past.days_needed(units, traffic_share=traffic_share)
                for units in (plan.units, plan.expected_units)
            )
        elif units_per_day is not None:
            days, expected = plan.days(units_per_day), plan.expected_units / units_per_day
        return cls(
            plan.units, plan.effect, plan.relative, plan.power, plan.expected_units,
            None if days is None else ceil(days), expected,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan looked at as often as one likes, and looked at once.

    Attributes
    ----------
    baseline, design
        What is known of the metric, and how rule 1 will look at it.
    history
        Units and days of the history, and the correlation of its halves; None without one.
    horizon, fixed
        Under rule 1, and at one look.
    """

    baseline: Baseline
    design: Design
    history: Past | None
    horizon: Timed
    fixed: Timed


@dataclass(frozen=True, slots=True)
class Past:
    """How large a history is: its units, its days, the correlation of its halves."""

    units: int
    days: int
    correlation: float

    @classmethod
    def of(cls, history: History) -> Past:
        """Tell it of a history."""
        return cls(history.units.n, len(history.new_units), history.correlation)


def print_planned(found: Planned) -> None:
    """Print it for people: a column under rule 1, a column for one look, then what to do."""
    both = (found.horizon, found.fixed)
    often = "as often as you like" if found.design.looks is None else f"{found.design.looks} times"
    rows = [
        ("units, both arms", *(f"{one.units:,}" for one in both)),
        ("  on average at the stop", *(f"{one.expected_units:,.0f}" for one in both)),
        ("days", *(_days(one.days, ",") for one in both)),
        ("  on average at the stop", *(_days(one.expected_days, ",.1f") for one in both)),
        ("effect", *(f"{one.effect:+.4g}" for one in both)),
        ("  relative", *(_percent(one.relative, "+.3g") for one in both)),
        ("power", *(_percent(one.power, ".1f") for one in both)),
    ]
    listing(
        both,
        ("", f"looked at {often} (rule 1)", "looked at once (Welch)"),
        [row for row in rows if any(row[1:])],
        as_json=False,
    )
    typer.echo("")
    for note in _notes(found):
        typer.echo(f"- {note}")


def _days(days: float | None, how: str) -> str:
    return "" if days is None else f"{days:{how}}"


def _percent(share: float | None, how: str) -> str:
    return "" if share is None else f"{100 * share:{how}} %"


def _notes(found: Planned) -> Iterator[str]:
    past, mean, sd = found.history, found.baseline.mean, sqrt(found.baseline.var)
    if past is not None:
        yield (
            f"the history has {past.units:,} units in {past.days} days: mean {number(mean)}, "
            f"standard deviation {number(sd)}"
        )
        yield (
            f"its halves correlate with {past.correlation:.2f}: --correlation "
            f"{past.correlation:.2f} plans with CUPED by what units did before"
        )
        if found.horizon.days is not None and found.horizon.days > past.days:
            yield (
                f"beyond its {past.days} days new units are taken to come as in its last week: "
                "a history about as long as the experiment tells more"
            )
    often = f" --looks {found.design.looks}" if found.design.looks else ""
    yield f"then palio compare --horizon {found.horizon.units}{often}, whenever you like"
