"""``palio compare-scores``: two versions that scored the same requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec
import polars as pl
import typer
from rich.console import Console

from palio.cli.output import AsJson, listing, print_json
from palio.cli.tables import numbers, refusing, scan
from palio.errors import InvalidInput
from palio.stats.anytime.sequential import Comparison
from palio.stats.estimate import Estimate
from palio.stats.quality.calibration import CalibrationError, Spiegelhalter
from palio.stats.quality.paired import Loss
from palio.stats.quality.scoring import (
    Better,
    Calibration,
    Decisions,
    Figure,
    Level,
    ScoreReport,
)
from palio.stats.quality.scoring import compare_scores as compared

__all__ = ["compare_scores"]

Missing = Literal["refuse", "drop"]
Named = Mapping[Better, str]

_OPTIONS = {
    "labels": "--label", "control_scores": "--control", "treatment_scores": "--treatment",
    "losses": "--loss", "threshold": "--threshold", "alpha": "--alpha",
    "horizon": "--horizon", "planned": "--planned",
}  # fmt: skip


def compare_scores(
    table: Annotated[Path, typer.Argument(help="CSV or Parquet file, a row a request.")],
    label: Annotated[str, typer.Option(help="Column of what came true: 0 and 1, or numbers.")],
    control: Annotated[str, typer.Option(help="Column of one version's scores.")],
    treatment: Annotated[str, typer.Option(help="Column of the other version's scores.")],
    loss: Annotated[
        list[str] | None,
        typer.Option(
            help="brier, log_loss, error, squared_error or absolute_error, repeatable; those "
            "that fit when not given."
        ),
    ] = None,
    threshold: Annotated[
        float, typer.Option(help="Score from which on a request is decided as 1.")
    ] = 0.5,
    horizon: Annotated[
        int | None, typer.Option(help="Requests planned; looks are valid on the way.")
    ] = None,
    planned: Annotated[
        int | None,
        typer.Option(help="Without a horizon: requests at which the interval is tightest."),
    ] = None,
    alpha: Annotated[float, typer.Option(help="Chance of a false verdict, 0.001 to 0.2.")] = 0.05,
    missing: Annotated[
        Missing, typer.Option(help="Rows without a label, as those that came in last, or a score.")
    ] = "refuse",
    as_json: AsJson = False,
) -> None:
    """Compare two versions that scored the same requests: a shadow run, rows held out.

    [dim]palio compare-scores shadow.csv --label default --control v1 --treatment v2[/dim]
    """
    if horizon is not None and planned is not None:
        raise InvalidInput("--horizon and --planned exclude each other; give one", field="planned")
    columns = {label: "--label", control: "--control", treatment: "--treatment"}
    if len(columns) < len({"--label", "--control", "--treatment"}):
        raise InvalidInput(
            "--label, --control and --treatment must name three columns", field="treatment"
        )
    with Console(stderr=True).status(f"reading {table.name}"), refusing(_OPTIONS, table):
        rows = numbers(table, scan(table), columns, {}).collect()
        whole = _whole(rows, columns, missing)
        report = compared(
            *(whole[name].cast(pl.Float64).to_numpy() for name in columns),
            losses=_losses(loss or []),
            threshold=threshold,
            alpha=alpha,
            horizon=horizon,
            planned=planned,
        )
    left_out = rows.height - whole.height
    named: Named = {"control": control, "treatment": treatment}
    if as_json:
        asked = {"table": str(table), "label": label, "control": control, "treatment": treatment}
        told = {"summary": list(_summary(report, named)), "rows_left_out": left_out}
        print_json(asked | told | msgspec.to_builtins(report))
        return
    _print_report(report, named)
    if left_out:
        typer.echo(f"- {left_out:,} rows with a missing label or score were left out")


def _losses(texts: Sequence[str]) -> tuple[Loss, ...]:
    known: tuple[Loss, ...] = get_args(Loss)
    for text in texts:
        if text not in known:
            raise InvalidInput(
                f"--loss {text!r} is none of {', '.join(known)}", field="loss", value=text
            )
    return tuple(loss for loss in known if loss in texts)


def _whole(rows: pl.DataFrame, columns: Mapping[str, str], missing: Missing) -> pl.DataFrame:
    holes = {name: rows[name].null_count() for name in columns}
    if missing == "refuse" and any(holes.values()):
        where = ", ".join(f"{name!r} in {n:,} rows" for name, n in holes.items() if n)
        raise InvalidInput(
            f"a value is missing for {where} of {rows.height:,}; --missing drop leaves such rows "
            "out",
            field="missing",
        )
    return rows.drop_nulls()


def _print_report(report: ScoreReport, named: Named) -> None:
    typer.echo(
        f"{named['treatment']} against {named['control']} on the same {report.n:,} requests\n"
    )
    _print_figures(report, named)
    if report.decisions is not None:
        _print_decisions(report.decisions, report.threshold, named)
    if report.calibration is not None:
        _print_calibration(report.calibration, report.alpha, named)
    typer.echo("")
    for line in _summary(report, named):
        typer.echo(line)
    for note in report.notes:
        typer.echo(f"- {note}")


def _print_figures(report: ScoreReport, named: Named) -> None:
    figures, level = report.figures, f"{100 * (1 - report.alpha):.4g} %"
    lines = [
        ("verdict", *(_verdict(one.better, named) for one in figures)),
        (named["control"], *(_level(one.control) for one in figures)),
        (named["treatment"], *(_level(one.treatment) for one in figures)),
        ("difference", *(f"{one.comparison.effect:+.4g}" for one in figures)),
        (f"  {level}, at every look", *(_bounds(one.comparison) for one in figures)),
        ("  p, at every look", *(_p(one.comparison.p_value) for one in figures)),
        (f"  {level}, at one look", *(_bounds(one.one_look) for one in figures)),
        ("  p, at one look", *(_p(one.one_look.p_value) for one in figures)),
        ("planned information", *(_share(one.comparison.information_share) for one in figures)),
        ("traffic of a split saved", *(_saved(one) for one in figures)),
    ]
    names = [one.name for one in figures]
    listing(names, ("", *names), [line for line in lines if any(line[1:])], as_json=False)


def _print_decisions(found: Decisions, threshold: float, named: Named) -> None:
    typer.echo(f"\ndecisions at {threshold:g} (McNemar)")
    control, treatment = named.values()
    lines = [
        (f"{control} right", f"{found.both_right:,}", f"{found.only_treatment_wrong:,}"),
        (f"{control} wrong", f"{found.only_control_wrong:,}", f"{found.both_wrong:,}"),
    ]
    listing(lines, ("requests", f"{treatment} right", f"{treatment} wrong"), lines, as_json=False)
    look = found.one_look
    typer.echo(
        f"difference of the error rates {look.effect:+.4g}: p {_p(found.evidence.p_value)} "
        f"at every look; {_bounds(look)}, exact p {_p(look.p_value)} at one look"
    )


def _print_calibration(found: Calibration, alpha: float, named: Named) -> None:
    typer.echo("\ncalibration, at one look")
    columns = (
        "",
        "error",
        f"{100 * (1 - alpha):.4g} %",
        "p",
        "Spiegelhalter's z",
        "p of z",
    )
    lines = [
        (named["control"], *_calibrated(found.control, found.control_z)),
        (named["treatment"], *_calibrated(found.treatment, found.treatment_z)),
    ]
    listing(lines, columns, lines, as_json=False)
    look = found.difference
    typer.echo(
        f"difference of the mean squared errors {look.effect:+.3g} "
        f"({_bounds(look)}, p {_p(look.p_value)})"
    )


def _summary(report: ScoreReport, named: Named) -> Iterator[str]:
    """Say in words which version is better on what, and for how many looks that holds."""
    better = [(figure.name, figure.better) for figure in report.figures]
    if report.decisions is not None:
        better.append(("decisions", report.decisions.better))
    for side, name in named.items():
        won = [what for what, which in better if which == side]
        if won:
            yield f"{name} is better on {_listed(won)}."
    open_ = [what for what, which in better if which is None]
    if open_:
        yield f"Neither is shown to be better on {_listed(open_)}."
    yield (
        f"That holds at this and at every other look; each verdict may err with "
        f"{100 * report.alpha:.3g} % on its own, so choose beforehand which one decides."
    )
    if report.calibration is not None:
        yield _on_calibration(report.calibration.better, named)
    reasons = [figure.comparison.reason for figure in report.figures]
    for reason in dict.fromkeys(filter(None, reasons)):
        on = [name for (name, _), one in zip(better, reasons, strict=False) if one == reason]
        yield f"No verdict on {_listed(on)}: {reason}."


def _on_calibration(better: Better | None, named: Named) -> str:
    said = f"{named[better]} is" if better else "neither is shown to be"
    return (
        f"At one look, {said} better calibrated; what is said of one look holds if you fixed "
        "beforehand when to look, and look only then."
    )


def _verdict(better: Better | None, named: Named) -> str:
    return f"{named[better]} is better" if better else "not shown"


def _level(found: Level) -> str:
    if not (isfinite(found.lower) and isfinite(found.upper)):
        return f"{found.value:.4g}"
    return f"{found.value:.4g} ({found.lower:.4g} to {found.upper:.4g})"


def _bounds(found: Estimate | Comparison) -> str:
    if not (isfinite(found.lower) and isfinite(found.upper)):
        return ""
    return f"{found.lower:+.3g} to {found.upper:+.3g}"


def _calibrated(found: CalibrationError, test: Spiegelhalter | None) -> tuple[str, ...]:
    z = ("", "") if test is None else (f"{test.z:+.3g}", _p(test.p_value))
    return f"{found.error:.4g}", f"{found.lower:.3g} to {found.upper:.3g}", _p(found.p_value), *z


def _saved(figure: Figure) -> str:
    return "" if figure.traffic_share is None else _share(1 - figure.traffic_share)


def _share(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.3g} %"


def _p(value: float) -> str:
    return f"{value:.3g}"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
