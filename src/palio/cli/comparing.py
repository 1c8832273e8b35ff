"""``palio compare``: two arms of a table, with intervals that hold at every look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from rich.console import Console

from palio.cli.arms import Missing, arms_of
from palio.cli.output import AsJson, print_json
from palio.cli.tables import numbers, refusing, scan
from palio.cli.verdicts import ADJUSTMENT, NAMELESS, Compared, print_compared
from palio.errors import InvalidInput
from palio.stats import Looking, ReportRow, SampleRatio, sample_ratio
from palio.stats.anytime.horizon_table import LEVELS
from palio.stats.estimate import Alternative
from palio.stats.reporting.row import Better
from palio.stats.reporting.table import report, report_segments

__all__ = ["Looks", "compare"]

_OPTIONS = {
    "alpha": "--alpha", "horizon": "--horizon", "planned": "--planned", "looks": "--looks",
    "treatment_share": "--treatment-share", "treatment": "--treatment", "better": "--better",
    "covariates": "--covariate", "metrics": "--metric",
}  # fmt: skip
_WAYS: Mapping[str, Better] = {"larger": "larger", "smaller": "smaller"}


def _known(looks: int | None) -> int | None:
    known = sorted({count for count, _ in LEVELS if count})
    if looks is None or looks in known:
        return looks
    raise InvalidInput(
        f"--looks must be one of {', '.join(map(str, known))}, got {looks}; "
        "leave it out for any number",
        field="looks",
        value=looks,
    )


Looks = Annotated[
    int | None,
    typer.Option(
        help="10, 20, 50 or 100 looks on the way to the horizon; any number if not given.",
        callback=_known,
    ),
]


def compare(
    table: Annotated[Path, typer.Argument(help="CSV or Parquet file, a row a unit.")],
    variant: Annotated[str, typer.Option(help="Column of the variant.")],
    control: Annotated[str, typer.Option(help="Its value for control, as it is written.")],
    treatment: Annotated[str, typer.Option(help="Its value for treatment.")],
    metric: Annotated[list[str], typer.Option(help="Column to compare; repeatable.")],
    covariate: Annotated[
        list[str] | None,
        typer.Option(help="Column known before the experiment, for CUPED; repeatable."),
    ] = None,
    unit: Annotated[
        str | None,
        typer.Option(help="Column of the unit, if it has several rows: compares means per row."),
    ] = None,
    horizon: Annotated[
        int | None, typer.Option(help="Units planned in both arms; looks are valid on the way.")
    ] = None,
    planned: Annotated[
        int | None,
        typer.Option(help="Without a horizon: units at which the interval is tightest."),
    ] = None,
    looks: Looks = None,
    treatment_share: Annotated[
        float | None, typer.Option(help="Planned share of treatment; checked if given.")
    ] = None,
    alpha: Annotated[float, typer.Option(help="Chance of a false verdict, 0.001 to 0.2.")] = 0.05,
    alternative: Annotated[Alternative, typer.Option(help="What is to be shown.")] = "two-sided",
    better: Annotated[
        list[str] | None,
        typer.Option(help="metric=smaller where smaller values are better; repeatable."),
    ] = None,
    segment: Annotated[
        str | None, typer.Option(help="Column to search for the segment served worst.")
    ] = None,
    missing: Annotated[
        Missing, typer.Option(help="Rows in which a metric or covariate is missing.")
    ] = "refuse",
    as_json: AsJson = False,
) -> None:
    """Compare two arms of a table; the intervals hold however often you look.

    [dim]palio compare loans.csv --variant arm --control A --treatment B --metric approved[/dim]

    Looked at on the way to 20,000 units, helped by what was known before, by country:

    [dim]palio compare loans.parquet --variant arm --control A --treatment B --metric revenue
    --metric churned --better churned=smaller --covariate revenue_before --horizon 20000
    --segment country[/dim]
    """
    _check(control, treatment, horizon=horizon, planned=planned, looks=looks)
    ways = _ways(better or [])
    columns = dict.fromkeys(covariate or [], "--covariate") | dict.fromkeys(metric, "--metric")
    keys = {unit: "--unit", segment: "--segment", variant: "--variant"}
    with (
        Console(stderr=True).status(f"reading {table.name}") as status,
        refusing({segment or "": "--segment"} | _OPTIONS, table),
    ):
        rows = numbers(
            table, scan(table), columns, {name: option for name, option in keys.items() if name}
        )
        arms = arms_of(
            rows, variant, {control: "--control", treatment: "--treatment"},
            unit=unit, missing=missing,
        )  # fmt: skip
        looking = Looking(
            alpha=alpha,
            horizon=horizon,
            planned=sum(arms.units) if horizon is None and planned is None else planned,
            treatment_share=_share(arms.units, treatment_share),
            looks=looks,
            alternative=alternative,
        )
        status.update(f"comparing {treatment} with {control}")
        reported = report(
            arms.frame, metric, looking, variant=variant, control=control, treatment=treatment,
            covariates=covariate or (), unit=unit, better=ways, method=ADJUSTMENT,
        )  # fmt: skip
        found = Compared(
            table=str(table), variant=variant, control=control, treatment=treatment, unit=unit,
            units=arms.units, units_in_both=arms.units_in_both, other_rows=arms.other_rows,
            rows_missing=arms.rows_missing, missing=missing, looking=looking,
            planned_by_table=horizon is None and planned is None,
            better={name: ways.get(name, "larger") for name in metric},
            split=None if treatment_share is None else _split(arms.units, treatment_share),
            metrics=tuple(_oriented(row) for row in reported), segment=segment,
            segments=() if segment is None else report_segments(
                arms.frame.with_columns(pl.col(segment).fill_null(NAMELESS)), metric,
                segment=segment, variant=variant, control=control, treatment=treatment,
                covariates=covariate or (), unit=unit, better=ways, alpha=alpha,
            ),
        )  # fmt: skip
    if as_json:
        print_json(found.content())
    else:
        print_compared(found)


def _check(
    control: str, treatment: str, *, horizon: int | None, planned: int | None, looks: int | None
) -> None:
    if control == treatment:
        raise InvalidInput(
            f"--treatment must differ from --control, got {treatment!r} for both",
            field="treatment",
        )
    if horizon is not None and planned is not None:
        raise InvalidInput("--horizon and --planned exclude each other; give one", field="planned")
    if looks is not None and horizon is None:
        raise InvalidInput("--looks counts looks up to a --horizon; give one", field="looks")


def _ways(texts: Sequence[str]) -> dict[str, Better]:
    ways: dict[str, Better] = {}
    for text in texts:
        name, _, way = text.rpartition("=")
        if not name or way not in _WAYS:
            raise InvalidInput(
                f"--better {text!r} is not of the form metric=smaller or metric=larger",
                field="better",
                value=text,
            )
        ways[name] = _WAYS[way]
    return ways


def _share(units: tuple[int, int], planned: float | None) -> float:
    return units[1] / sum(units) if planned is None else planned


def _oriented(row: ReportRow) -> ReportRow:
    """Give the relative effect the sign of the effect where control's mean is negative."""
    found = row.relative
    if found is None or row.control.mean > 0:
        return row
    mirrored = replace(found, effect=-found.effect, lower=-found.upper, upper=-found.lower)
    return replace(row, relative=mirrored)


def _split(units: tuple[int, int], share: float) -> SampleRatio:
    counts = dict(zip(("control", "treatment"), units, strict=True))
    return sample_ratio([(counts, {"control": 1 - share, "treatment": share})])
