"""``palio models quality`` and ``drift``: how a version does where it serves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated

import typer

from palio.cli.output import AsJson, listing, moment, number, print_json
from palio.cli.session import verbs
from palio.registry.drift import FeatureDrift, VersionDrift
from palio.registry.quality import DAY_S, Bin, QualityFigures, Rate, VersionQuality

__all__ = ["app"]

app = typer.Typer()

Reference = Annotated[str, typer.Argument(help="name:version or name@alias.")]


@app.command()
def quality(
    ctx: typer.Context,
    reference: Reference,
    cohort_days: Annotated[
        int, typer.Option(help="Days of prediction time in one cohort.", min=1, max=3_660)
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Show how good a version's answers were, once labels have come.

    All of them, by when they were given, and by segment; rates have a 95 % interval.

    [dim]palio models quality credit-risk@champion --cohort-days 7[/dim]
    """
    found = verbs(ctx).versions.quality(reference, cohort_days * DAY_S)
    if as_json:
        print_json(found)
        return
    if not found.overall.rows:
        typer.echo(
            f"{found.reference} has answered nothing that is in the log; predictions come there, "
            "and labels with `palio outcomes record`"
        )
        return
    typer.echo(
        f"{found.reference}: {found.overall.rows:,} rows answered, {found.overall.labelled:,} of "
        f"them with a label, events up to {found.watermark}"
    )
    _figures(found)
    _bins(found.overall.bins)


@app.command()
def drift(
    ctx: typer.Context,
    reference: Reference,
    days: Annotated[int, typer.Option(help="Days to look at, today included.")] = 7,
    as_json: AsJson = False,
) -> None:
    """Show how far the features of a version's requests have moved from the first it was sent.

    [dim]palio models drift credit-risk@champion --days 7[/dim]
    """
    found = verbs(ctx).versions.drift(reference, days)
    if as_json:
        print_json(found)
        return
    typer.echo(_compared(found, days))
    if not found.features:
        return
    ordered = sorted(found.features.items(), key=lambda one: -one[1].index)
    rows = [
        (name, number(moved.index), number(moved.by_chance), _most(moved))
        for name, moved in ordered
    ]
    listing(rows, ("feature", "index", "by chance", "moved most"), rows, as_json=False)
    typer.echo(
        "index: population stability; about 0.1 is a little, 0.2 much, beside what it is by chance"
    )


def _figures(found: VersionQuality) -> None:
    """Print a row for all, each cohort and each segment; columns that say nothing are left out."""
    kinds = [("all", found.overall)]
    kinds += [(f"from {one.start:%Y-%m-%d}", one.figures) for one in found.cohorts]
    kinds += [(f"segment {name}", of) for name, of in found.segments.items()]
    shown = {
        column: cells
        for column, read in _COLUMNS.items()
        if any(cells := [read(figures) for _, figures in kinds])
    }
    rows = list(zip([name for name, _ in kinds], *shown.values(), strict=True))
    listing(rows, ("answers", *shown), rows, as_json=False)


def _bins(bins: Sequence[Bin]) -> None:
    if not bins:
        return
    typer.echo("\nWhat was said of the classes, and how often it came true:")
    rows = [
        (f"{one.lower:.1f} to {one.upper:.1f}", one.n, number(one.said), number(one.came_true))
        for one in bins
    ]
    listing(rows, ("probability", "n", "said", "came true"), rows, as_json=False)


def _rate(rate: Rate | None) -> str:
    if rate is None:
        return ""
    return f"{rate.value:.2%} ({rate.lower:.2%} to {rate.upper:.2%})"


_COLUMNS: Mapping[str, Callable[[QualityFigures], str]] = {
    "rows": lambda one: f"{one.rows:,}",
    "labelled": lambda one: f"{one.labelled:,}",
    "accuracy": lambda one: _rate(one.accuracy),
    "brier": lambda one: number(one.brier),
    "calibration error": lambda one: number(one.calibration_error),
    "positive": lambda one: _rate(one.positive),
    "false positives": lambda one: _rate(one.false_positive_rate),
    "false negatives": lambda one: _rate(one.false_negative_rate),
    "mean squared error": lambda one: number(one.mean_squared_error),
    "mean absolute error": lambda one: number(one.mean_absolute_error),
}


def _compared(found: VersionDrift, days: int) -> str:
    if found.reference_at is None:
        return (
            f"nothing is known of {found.reference} yet: once a process has asked it about 1,000 "
            "rows, later ones are compared with these"
        )
    when = moment(found.reference_at)
    first = f"its first {found.reference_rows:,} rows ({when})"
    if not found.rows:
        return f"{found.reference} has been asked nothing within {days} days, but for {first}"
    return f"{found.reference}: {found.rows:,} rows within {days} days, against {first}"


def _most(moved: FeatureDrift) -> str:
    """Return the bin whose share has changed most."""
    gaps: Iterator[tuple[float, str]] = (
        (abs(moved.now[name] - before), name) for name, before in moved.before.items()
    )
    _, name = max(gaps)
    return f"{name}: {moved.before[name]:.2%} then, {moved.now[name]:.2%} now"
