"""What a comparison of two arms says, in words, in a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import msgspec
import typer

from palio.cli.arms import Missing
from palio.cli.output import listing
from palio.stats import Comparison, Estimate, Looking, ReportRow, SampleRatio
from palio.stats.anytime.sequential import MIN_UNITS, RESERVE_SHARE
from palio.stats.multiplicity import Method
from palio.stats.reporting.row import Better
from palio.stats.reporting.table import SegmentRow

__all__ = [
    "ADJUSTMENT",
    "NAMELESS",
    "Compared",
    "advice",
    "amount",
    "percent",
    "print_compared",
    "share",
    "verdict",
]

ADJUSTMENT: Method = "holm"
NAMELESS = "(missing)"
_LONG, _LONGEST = 1e3, 1e12  # whole numbers with commas between
_MISMATCH = 0.001  # as experiments have it: a split that is wrong is wrong by much


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Two arms of a table, compared.

    Attributes
    ----------
    table, variant, control, treatment, unit, missing, segment
        As they were asked for.
    units, units_in_both, other_rows, rows_missing
        As `palio.cli.tables.Arms` has them.
    looking, planned_by_table
        How it was looked at; whether the table's size stands for what nobody planned.
    better
        Which values are better, by metric.
    split
        Evidence against the planned share of treatment; None where none was given.
    metrics, segments
        A row a metric each; no segments where none were asked for.
    """

    table: str
    variant: str
    control: str
    treatment: str
    unit: str | None
    units: tuple[int, int]
    units_in_both: int
    other_rows: int
    rows_missing: int
    missing: Missing
    looking: Looking
    planned_by_table: bool
    better: Mapping[str, Better]
    split: SampleRatio | None
    metrics: Sequence[ReportRow]
    segment: str | None
    segments: Sequence[SegmentRow]

    def content(self) -> dict[str, Any]:
        """Return everything for programs, with the verdicts; an infinite bound is null."""
        told: dict[str, Any] = msgspec.to_builtins(self)
        told["adjustment"] = ADJUSTMENT
        told["units"] = dict(zip(("control", "treatment"), self.units, strict=True))
        for row, said in zip(self.metrics, told["metrics"], strict=True):
            said |= {"verdict": verdict(self, row), "advice": advice(row)}
        return told | {"notes": list(notes(self))}


def verdict(compared: Compared, row: ReportRow) -> str:
    """Say in words what came out for a metric."""
    found = row.comparison
    if found.reason is not None:
        return "no verdict"
    if not found.significant:
        shown = {"two-sided": "difference", "larger": "increase", "smaller": "decrease"}
        said = f"no {shown[compared.looking.alternative]} shown"
        return f"{said}, unless this is the only look" if _at_one_look(compared, row) else said
    won = (found.effect > 0) == (compared.better[row.metric] == "larger")
    said = f"{compared.treatment} is {'better' if won else 'worse'}"
    if row.adjusted_p > compared.looking.alpha:
        return f"{said} if this were the only metric; not shown among {len(compared.metrics)}"
    return said


def _at_one_look(compared: Compared, row: ReportRow) -> bool:
    """Say whether nothing is missing but that nobody looks again; for Bonferroni's many."""
    if not compared.planned_by_table or row.fixed is None:
        return False
    return row.fixed.p_value * len(compared.metrics) <= compared.looking.alpha


def advice(row: ReportRow) -> str | None:
    """Say what to do where there is no verdict; None where there is one."""
    found = row.comparison
    if found.reason is None:
        return None
    small = min(row.control.n, row.treatment.n)
    if small < MIN_UNITS:
        return f"collect {MIN_UNITS - small} more units in the smaller arm"
    if found.se == 0:
        return "check the column: its values are all the same, or its covariates explain it whole"
    if found.information_share is not None:
        return "look again when more units have come"
    return "rescale the metric"


def notes(compared: Compared) -> Iterator[str]:
    """Say under which rule the numbers hold, and what else one has to know."""
    yield _rule(compared)
    yield from _notes_on_metrics(compared.metrics)
    yield from _notes_on_table(compared)


def _notes_on_metrics(rows: Sequence[ReportRow]) -> Iterator[str]:
    for row in rows:
        if row.comparison.reason is not None:
            why = f"{row.metric}: no verdict, {row.comparison.reason}"
            yield f"{why}; {advice(row)}"
        elif row.relative is None:
            yield f"{row.metric}: no relative effect, the mean of control is too near to 0"
    judged = [row.comparison for row in rows if row.comparison.reason is None]
    if not all(found.significant for found in judged):
        yield "where nothing is shown, the interval says how large a difference may still be"


def _notes_on_table(compared: Compared) -> Iterator[str]:
    if compared.split is not None and compared.split.p_value <= _MISMATCH:
        yield (
            f"the split is not as planned (p {compared.split.p_value:.2g}): find out why units "
            "are missing before you believe any of this"
        )
    if compared.units_in_both:
        yield (
            f"{compared.units_in_both:,} units have rows in both arms and count in each: "
            "find out why; the intervals take them for different units"
        )
    if compared.rows_missing:
        done = "left out" if compared.missing == "drop" else "counted as 0"
        yield f"rows with a missing number, {done}: {compared.rows_missing:,}"
    if compared.other_rows:
        yield f"rows of other variants, not looked at: {compared.other_rows:,}"


def print_compared(compared: Compared) -> None:
    """Print it for people: a column a metric, then what one has to know."""
    control, treatment = compared.units
    typer.echo(
        f"{compared.treatment} ({treatment:,} units) against {compared.control} "
        f"({control:,} units)\n"
    )
    names = [row.metric for row in compared.metrics]
    lines = [line for line in _lines(compared) if any(line[1:])]
    listing(names, ("", *names), lines, as_json=False)
    for row in compared.segments:
        typer.echo("")
        _print_segments(compared, row)
    typer.echo("")
    for note in notes(compared):
        typer.echo(f"- {note}")


def _lines(compared: Compared) -> Iterator[tuple[str, ...]]:
    rows = compared.metrics
    level = f"{100 * (1 - compared.looking.alpha):.4g} %"
    relatives = [row.relative for row in rows]
    yield "verdict", *(verdict(compared, row) for row in rows)
    yield "control", *(amount(row.control.mean) for row in rows)
    yield "treatment", *(amount(row.treatment.mean) for row in rows)
    yield (
        "effect, adjusted" if rows[0].unadjusted is not None else "effect",
        *(amount(row.comparison.effect, "+") for row in rows),
    )
    yield f"  {level}, at every look", *(_interval(row.comparison) for row in rows)
    yield "relative effect", *(percent(one.effect if one else None) for one in relatives)
    yield f"  {level}, at every look", *(_interval(one, share=True) for one in relatives)
    found = [row for row in rows if row.comparison.reason is None]
    yield (
        "p, at every look",
        *(_p(row.comparison.p_value if row in found else None) for row in rows),
    )
    if len(rows) > 1:
        name = f"  adjusted ({ADJUSTMENT.title()})"
        yield name, *(_p(row.adjusted_p if row in found else None) for row in rows)
    yield f"{level}, at one look", *(_interval(row.fixed) for row in rows)
    yield "p, at one look (Welch)", *(_p(row.fixed.p_value if row.fixed else None) for row in rows)
    yield "chance to be better", *(share(row.chance_to_beat) for row in rows)
    yield "without covariates", *(_interval(row.unadjusted) for row in rows)
    yield "removed by covariates", *(share(row.variance_removed) for row in rows)
    yield "planned information", *(share(row.comparison.information_share) for row in rows)


def _print_segments(compared: Compared, row: SegmentRow) -> None:
    worst, differ = row.worst, row.heterogeneity
    typer.echo(
        f"{row.metric} by {compared.segment}, at one look: {compared.treatment} does worst in "
        f"{worst.segment!r}, {amount(worst.estimate.effect, '+')} "
        f"({_interval(worst.estimate)}, p {_p(worst.estimate.p_value)}, "
        f"allowing for {len(row.effects)} segments)"
    )
    word = "differ" if differ.p_value <= compared.looking.alpha else "are not shown to differ"
    typer.echo(
        f"  effects {word} between segments: Q {differ.q:.4g} on {differ.df} df, "
        f"p {_p(differ.p_value)}, I² {share(differ.i2)}"
    )
    if row.left_out:
        typer.echo(f"  left out, below {MIN_UNITS} units in an arm: {', '.join(row.left_out)}")


def _rule(compared: Compared) -> str:
    looking = compared.looking
    if looking.horizon is None:
        if not compared.planned_by_table:
            return (
                f"valid at every look, without an end (rule 2), tightest at {looking.planned:,} "
                "units"
            )
        return (
            f"valid at every look, without an end (rule 2), tightest at these {looking.planned:,} "
            "units; if this is the only look, the interval at one look says it all. To look "
            "again as the table grows, choose --horizon or --planned now and keep it"
        )
    if any(row.comparison.rule == "asymptotic" for row in compared.metrics):
        return (
            f"past the horizon of {looking.horizon:,} units: still valid at every look, but wide "
            f"(rule 2 on {RESERVE_SHARE:.0%} of alpha)"
        )
    often = "any number of looks" if looking.looks is None else f"{looking.looks} looks"
    return f"valid at {often} up to the horizon of {looking.horizon:,} units (rule 1), and beyond"


def _interval(found: Estimate | Comparison | None, *, share: bool = False) -> str:
    if found is None or (found.lower, found.upper) == (-inf, inf):
        return ""
    low, high = (
        percent(bound) if share else amount(bound, "+") for bound in (found.lower, found.upper)
    )
    if found.lower == -inf:
        return f"below {high}"
    return f"above {low}" if found.upper == inf else f"{low} to {high}"


def amount(value: float, sign: str = "") -> str:
    """Return a number with four digits, or with commas where it is large."""
    return f"{value:{sign},.0f}" if _LONG <= abs(value) < _LONGEST else f"{value:{sign}.4g}"


def percent(value: float | None) -> str:
    """Return a relative effect as percent with its sign."""
    return "" if value is None else f"{100 * value:+.3g} %"


def share(value: float | None) -> str:
    """Return a share as percent with one digit."""
    return "" if value is None else f"{100 * value:.1f} %"


def _p(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
