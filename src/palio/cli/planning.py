"""``palio plan``: how many units, which power or which effect, before an experiment starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from math import ceil, inf
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from palio.charts.power import power_curve
from palio.cli.comparing import Looks
from palio.cli.drawing import check_chart, write_chart
from palio.cli.output import AsJson, print_json
from palio.cli.plans import Past, Planned, Timed, print_planned
from palio.cli.tables import numbers, refusing, scan
from palio.errors import InvalidInput
from palio.stats.estimate import Alternative
from palio.stats.planned.history import History, summarize_history
from palio.stats.planned.planning import (
    Baseline,
    Design,
    Plan,
    achieved_power,
    detectable_effect,
    sample_size,
)

__all__ = ["plan"]

_OPTIONS = {
    "alpha": "--alpha", "looks": "--looks", "treatment_share": "--treatment-share",
    "power": "--power", "rate": "--rate", "mean": "--mean", "correlation": "--correlation",
    "traffic_share": "--traffic-share", "units_per_day": "--units-per-day",
}  # fmt: skip

_POINTS = 40  # of a curve


def plan(
    rate: Annotated[float | None, typer.Option(help="Rate of control, for a proportion.")] = None,
    mean: Annotated[float | None, typer.Option(help="Mean of control; with --sd.")] = None,
    sd: Annotated[float | None, typer.Option(help="Standard deviation per unit.")] = None,
    history: Annotated[
        Path | None,
        typer.Option(help="CSV or Parquet file of past rows; with --unit, --time and --value."),
    ] = None,
    unit: Annotated[str | None, typer.Option(help="Column of the unit.")] = None,
    time: Annotated[
        str | None, typer.Option(help="Column of dates, times or whole numbers of days.")
    ] = None,
    value: Annotated[str | None, typer.Option(help="Column of the metric.")] = None,
    per: Annotated[
        Literal["unit", "row"],
        typer.Option(help="Of a history: the sum of a unit's rows, or their mean."),
    ] = "unit",
    effect: Annotated[float | None, typer.Option(help="Effect to find, absolute.")] = None,
    relative: Annotated[
        float | None, typer.Option(help="Effect to find as a share: 0.05 is 5 % more.")
    ] = None,
    units: Annotated[
        int | None,
        typer.Option(help="Units of both arms: asks for power, or for the effect they find."),
    ] = None,
    power: Annotated[float, typer.Option(help="Chance to find the effect.")] = 0.8,
    alpha: Annotated[float, typer.Option(help="Chance of a false verdict.")] = 0.05,
    alternative: Annotated[Alternative, typer.Option(help="What is to be shown.")] = "two-sided",
    looks: Looks = None,
    treatment_share: Annotated[float, typer.Option(help="Share of treatment.")] = 0.5,
    correlation: Annotated[
        float, typer.Option(help="Of the metric with a covariate, for CUPED.")
    ] = 0.0,
    units_per_day: Annotated[
        float | None, typer.Option(help="New units a day; a history knows its own.")
    ] = None,
    traffic_share: Annotated[
        float, typer.Option(help="Share of a history's units that will take part.")
    ] = 1.0,
    chart: Annotated[
        Path | None, typer.Option(help="Draw power against units: an .html, .png or .svg file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Plan an experiment: looked at as often as you like, and looked at once.

    [dim]palio plan --rate 0.05 --effect 0.005 --units-per-day 5000[/dim]

    Which power, and which effect is found at all:

    [dim]palio plan --mean 30 --sd 45 --relative 0.02 --units 100000[/dim]

    [dim]palio plan --rate 0.05 --units 20000[/dim]

    Power against units as a chart:

    [dim]palio plan --rate 0.05 --effect 0.005 --chart power.html[/dim]

    From the past, with the days that new users really take to come:

    [dim]palio plan --history orders.csv --unit user --time day --value revenue
    --relative 0.02[/dim]
    """
    check_chart(chart)
    source = _one_of({"--rate": rate, "--mean": mean, "--history": history})
    _only_with("--mean", {"--sd": sd}, given=source == "--mean")
    columns = {"--unit": unit, "--time": time, "--value": value}
    _only_with("--history", columns, given=source == "--history")
    asked = {"--effect": effect, "--relative": relative}
    open_ended = units is not None and effect is None and relative is None
    sought = "" if open_ended else _one_of(asked)
    if rate is not None and correlation:
        raise _misuse("--correlation", "is not for a --rate; give its --mean and --sd")
    if history is not None and units_per_day is not None:
        raise _misuse("--units-per-day", "goes without --history, which knows its own; drop it")
    options = _OPTIONS | {"effect": sought} | ({} if units is None else {"units": "--units"})
    with Console(stderr=True).status("planning"), refusing(options, history):
        past = None
        if history is not None and unit and time and value:
            past = _past(history, unit=unit, time=time, value=value)
        baseline = _baseline(past, per, rate=rate, mean=mean, sd=sd)
        baseline = baseline.explained(correlation) if correlation else baseline
        size = effect if relative is None else _of_mean(relative, baseline)
        ask = partial(_ask, baseline, size, units, power=power)
        tell = partial(Timed.of, past, units_per_day=units_per_day, traffic_share=traffic_share)
        design = Design(looks, alpha, alternative, treatment_share=treatment_share)
        found = Planned(
            baseline=baseline,
            design=design,
            history=None if past is None else Past.of(past),
            horizon=tell(ask(design)),
            fixed=tell(ask(replace(design, looks=1))),
        )
        _draw(found, power, chart)
    if as_json:
        print_json(found)
    else:
        print_planned(found)


def _draw(found: Planned, power: float, chart: Path | None) -> None:
    """Draw the power for the planned effect, up to twice the planned units."""
    if chart is None:
        return
    design = found.design
    often = "as often as you like" if design.looks is None else f"{design.looks} times"
    ways = {
        "looked at once": (replace(design, looks=1), found.fixed),
        f"looked at {often}": (design, found.horizon),
    }
    smaller = min(design.treatment_share, 1 - design.treatment_share)
    most, least = 2 * max(one.units for _, one in ways.values()), ceil(2 / smaller)
    sizes = sorted({max(least, round(most * at / _POINTS)) for at in range(1, _POINTS + 1)})
    curves = {
        name: [
            (units, achieved_power(found.baseline, one.effect, units, design=way).power)
            for units in sizes
        ]
        for name, (way, one) in ways.items()
    }
    planned = {name: (one.units, one.power) for name, (_, one) in ways.items()}
    effects = dict.fromkeys(f"{one.effect:+.4g}" for _, one in ways.values())
    drawn = power_curve(
        curves, power=power, planned=planned, subtitle=f"to find an effect of {', '.join(effects)}"
    )
    write_chart(drawn, chart, title="Power")


def _one_of(given: Mapping[str, object]) -> str:
    """Name the only option that was given."""
    found = [option for option, one in given.items() if one is not None]
    if len(found) == 1:
        return found[0]
    names = ", ".join(given)
    if not found:
        raise InvalidInput(f"one of {names} is needed; see palio plan --help")
    raise _misuse(found[1], f"and {found[0]} exclude each other; give one of {names}")


def _only_with(owner: str, options: Mapping[str, object], *, given: bool) -> None:
    """Refuse options without the one they belong to, and that one without them."""
    for option, one in options.items():
        if given and one is None:
            raise _misuse(option, f"is needed with {owner}")
        if one is not None and not given:
            raise _misuse(option, f"is of use with {owner} only")


def _misuse(option: str, why: str) -> InvalidInput:
    return InvalidInput(f"{option} {why}", field=option.removeprefix("--"))


def _past(table: Path, *, unit: str, time: str, value: str) -> History:
    rows = numbers(table, scan(table), {value: "--value"}, {unit: "--unit"}, days={time: "--time"})
    return summarize_history(rows, unit=unit, time=time, value=value)


def _baseline(
    past: History | None,
    per: Literal["unit", "row"],
    *,
    rate: float | None,
    mean: float | None,
    sd: float | None,
) -> Baseline:
    if past is not None:
        return past.baseline(per)
    if rate is not None:
        return Baseline.of_rate(rate)
    if mean is None or sd is None or not 0 < sd < inf:
        raise _misuse("--sd", f"must be finite and > 0, got {sd}")
    return Baseline(mean, sd * sd)


def _of_mean(relative: float, baseline: Baseline) -> float:
    if baseline.mean == 0:
        raise _misuse("--relative", "is a share of the mean, which is 0; give --effect")
    return relative * abs(baseline.mean)


def _ask(
    baseline: Baseline, size: float | None, units: int | None, design: Design, *, power: float
) -> Plan:
    if units is None:
        return sample_size(baseline, size or 0.0, power=power, design=design)
    if size is None:
        return detectable_effect(baseline, units, power=power, design=design)
    return achieved_power(baseline, size, units, design=design)
