"""``palio analyze``: an experiment's table becomes the report and the decision of a live one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from palio.cli.output import AsJson, listing, print_json
from palio.cli.tables import numbers, refusing, scan
from palio.cli.verdicts import amount, percent, share
from palio.errors import InvalidInput
from palio.experiments.judging.analysis import Contrast, MetricRole, Report, Verdict
from palio.experiments.tables.frame_units import measure_named
from palio.experiments.tables.frames import FrameReport
from palio.experiments.tables.frames import analyze as analyze_frame

__all__ = ["analyze"]


def analyze(
    table: Annotated[Path, typer.Argument(help="CSV or Parquet file, a row a unit or a request.")],
    variant: Annotated[str, typer.Option(help="Column of the variant.")],
    control: Annotated[str, typer.Option(help="Its value for control, as it is written.")],
    goal: Annotated[
        str,
        typer.Option(
            help="revenue:higher, revenue/visits:higher, 'p95(latency_ms):lower', or brier."
        ),
    ],
    metric: Annotated[
        list[str] | None, typer.Option(help="Secondary metric, written likewise; repeatable.")
    ] = None,
    guardrail: Annotated[
        list[str] | None, typer.Option(help="What must not be harmed; repeatable.")
    ] = None,
    unit: Annotated[
        str | None, typer.Option(help="Column of the unit, if it may have several rows.")
    ] = None,
    covariate: Annotated[
        list[str] | None,
        typer.Option(help="Column known before the experiment, for CUPED; repeatable."),
    ] = None,
    cap: Annotated[
        list[str] | None,
        typer.Option(help="revenue=500: the largest value a unit that counts; repeatable."),
    ] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(help="A=0.5: declared share of a variant, which is checked; repeatable."),
    ] = None,
    segment: Annotated[
        str | None, typer.Option(help="Column whose values get a report each.")
    ] = None,
    horizon: Annotated[
        int | None, typer.Option(help="Units planned in all variants; looks on the way hold.")
    ] = None,
    alpha: Annotated[float, typer.Option(help="Chance of a false decision, 0.01 to 0.2.")] = 0.05,
    min_sample: Annotated[
        int, typer.Option(help="Units in each variant before anything is shipped.")
    ] = 1_000,
    as_json: AsJson = False,
) -> None:
    """Analyse an experiment from a table, and decide as a live one would.

    [dim]palio analyze visits.csv --variant arm --control A --goal revenue:higher --unit user[/dim]

    With a guardrail, helped by what was known before, on the way to 20,000 units:

    [dim]palio analyze visits.parquet --variant arm --control A --goal revenue/visits:higher
    --guardrail latency_ms --covariate revenue_before --unit user --horizon 20000
    --weight A=0.5 --weight B=0.5[/dim]
    """
    caps, weights = _pairs("--cap", cap), _pairs("--weight", weight)
    with Console(stderr=True).status(f"reading {table.name}"), refusing({}, table):
        rows = scan(table)
        known = rows.collect_schema().names()
        asked = {
            "--goal": [goal],
            "--metric": metric or [],
            "--guardrail": guardrail or [],
        }
        columns = {
            column: option
            for option, texts in asked.items()
            for text in texts
            for column in measure_named(text, known).columns
        }
        columns |= dict.fromkeys(covariate or [], "--covariate")
        keys = {"--variant": variant, "--unit": unit, "--segment": segment}
        found = analyze_frame(
            numbers(table, rows, columns, {name: one for one, name in keys.items() if name}),
            variant=variant, control=control, metrics=[goal, *(metric or [])],
            guardrails=guardrail or (), unit=unit, covariates=covariate or (), caps=caps,
            weights=weights or None, segment=segment, horizon=horizon, alpha=alpha,
            min_sample=min_sample, name=_name(table),
        )  # fmt: skip
    if as_json:
        print_json(found)
    else:
        _print(found, declared=bool(weights))


def _pairs(option: str, texts: Sequence[str] | None) -> dict[str, float]:
    found: dict[str, float] = {}
    for text in texts or ():
        name, _, number = text.rpartition("=")
        try:
            found[name] = float(number)
        except ValueError:
            name = ""
        if not name:
            raise InvalidInput(
                f"{option} {text!r} is not of the form name=number",
                field=option.removeprefix("--"),
                value=text,
            )
    return found


def _name(table: Path) -> str:
    """Return a name for the report: that of the file, as names are written."""
    return (
        "".join(one if one.isascii() and one.isalnum() else "-" for one in table.stem).strip("-")
        or "table"
    )


def _print(found: FrameReport, *, declared: bool) -> None:
    sizes = ", ".join(f"{arm.variant} ({arm.units:,} units)" for arm in found.arms)
    typer.echo(f"{_decided(found)}\n{sizes}\n")
    rows = found.contrasts
    listing(rows, ("", *map(_heading, rows)), _lines(found), as_json=False)
    for name, segment in found.segments.items():
        typer.echo(f"\n{name}: {_decided(segment)}")
        for row in segment.contrasts:
            typer.echo(f"  {_heading(row)}: {_verdict(row)}, {_interval(row.lower, row.upper)}")
    typer.echo("")
    for note in _notes(found, declared=declared):
        typer.echo(f"- {note}")


def _decided(found: Report) -> str:
    decision = found.decision
    said = decision.kind.replace("_", " ") + (f" {decision.variant}" if decision.variant else "")
    return f"{said}: {'; '.join(decision.reasons)}"


def _heading(row: Contrast) -> str:
    role = "" if row.role is MetricRole.SECONDARY else f" ({row.role})"
    return f"{row.metric}{role}, {row.variant}"


def _verdict(row: Contrast) -> str:
    words = {
        Verdict.BETTER: f"{row.variant} is better",
        Verdict.WORSE: f"{row.variant} is worse",
        Verdict.UNCLEAR: "no difference shown",
        Verdict.TOO_EARLY: "no verdict",
    }
    return words[row.verdict]


def _lines(found: FrameReport) -> Iterator[tuple[str, ...]]:
    rows, control = found.contrasts, found.arms[0]
    arms = {arm.variant: arm for arm in found.arms}
    before = {(row.metric, row.variant): row for row in found.unadjusted}
    plain = [before.get((row.metric, row.variant)) for row in rows]
    lines = [
        ("verdict", *map(_verdict, rows)),
        ("control", *(amount(control.metrics[row.metric].mean) for row in rows)),
        ("challenger", *(amount(arms[row.variant].metrics[row.metric].mean) for row in rows)),
        ("effect", *("" if row.effect is None else amount(row.effect, "+") for row in rows)),
        ("  at every look", *(_interval(row.lower, row.upper) for row in rows)),
        ("relative effect", *(percent(row.relative) for row in rows)),
        ("p, at every look", *(f"{row.p_value:.3g}" for row in rows)),
        (
            "at one look",
            *(_interval(row.fixed.lower, row.fixed.upper) if row.fixed else "" for row in rows),
        ),
        (
            "p, at one look (Welch)",
            *(f"{row.fixed.p_value:.3g}" if row.fixed else "" for row in rows),
        ),
        ("chance to be better", *(share(row.chance_to_beat) for row in rows)),
        ("without covariates", *(_interval(row.lower, row.upper) if row else "" for row in plain)),
        (
            "removed by covariates",
            *(share(found.variance_removed.get(row.metric)) for row in rows),
        ),
    ]
    return (line for line in lines if any(line[1:]))


def _interval(lower: float | None, upper: float | None) -> str:
    if lower is None or upper is None:
        return ""
    return f"{amount(lower, '+')} to {amount(upper, '+')}"


def _notes(found: FrameReport, *, declared: bool) -> Iterator[str]:
    levels = sorted({row.alpha for row in found.contrasts}, reverse=True)
    yield "intervals hold at every look, at " + ", ".join(f"{100 * (1 - a):.4g} %" for a in levels)
    for row in chain(found.contrasts, *(part.contrasts for part in found.segments.values())):
        if row.verdict is Verdict.TOO_EARLY and row.note:
            yield f"{_heading(row)}: no verdict, {row.note}"
    if not declared:
        yield "the split was not checked: give the shares that were planned as --weight"
    if found.segment_alpha is not None:
        yield (
            f"{len(found.segments)} segments share the chance of a false decision, "
            f"{found.segment_alpha:.3g} each"
        )
    if found.left_out:
        yield f"segments left out, below 100 units in a variant: {', '.join(found.left_out)}"
