"""``palio train``: from a table to a version, measured on the way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from palio.cli.output import AsJson, listing, number, print_json
from palio.cli.session import opened

__all__ = ["train"]


def train(
    ctx: typer.Context,
    data: Annotated[Path, typer.Argument(help="CSV or Parquet file.")],
    target: Annotated[str, typer.Option(help="Column to predict.")],
    model: Annotated[str, typer.Option(help="Name of the model.")],
    version: Annotated[
        str | None, typer.Option(help="Name of the version; the UTC time when not given.")
    ] = None,
    estimator: Annotated[
        str, typer.Option(help="logistic, gradient-boosting or module:callable.")
    ] = "logistic",
    drop: Annotated[
        list[str] | None, typer.Option(help="Column to leave out; repeatable.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the split and the fit.")] = 0,
    test_share: Annotated[float, typer.Option(help="Share of rows held out.")] = 0.25,
    register: Annotated[bool, typer.Option("--register", help="Register it.")] = False,
    promote: Annotated[
        bool, typer.Option("--promote", help="Register it and make it production.")
    ] = False,
    description: Annotated[str, typer.Option(help="Free text.")] = "",
    plots: Annotated[Path | None, typer.Option(help="Folder to draw the curves in, too.")] = None,
    as_json: AsJson = False,
) -> None:
    """Fit a classifier on a table, measure it on rows held out, and register it if asked.

    [dim]palio train loans.csv --target default --model credit-risk --register --promote[/dim]
    """
    session = opened(ctx)
    console = Console(stderr=True)
    with console.status("training") as status:
        draft = session.train(
            data,
            target=target,
            model=model,
            version=version,
            estimator=estimator,
            seed=seed,
            test_share=test_share,
            drop=drop or (),
            description=description,
            on_step=status.update,
        )
        registered = session.submit(draft) if register or promote else None
        if registered is not None and promote:
            registered = session.verbs.versions.promote(registered.reference, reason="palio train")
    metrics, record = draft.trained.metrics, draft.trained.record
    if plots is not None:
        plots.mkdir(parents=True, exist_ok=True)
        for name, image in draft.trained.plots.items():
            (plots / f"{name}.png").write_bytes(image)
    if as_json:
        intervals = record["intervals"]
        print_json(
            {
                "metrics": metrics,
                "intervals": intervals,
                "training": record,
                "version": registered,
            }
        )
        return
    listing(
        metrics.items(),
        ("metric", "held out (95 % interval)"),
        [
            (name, _held_out(value, record["intervals"].get(name)))
            for name, value in metrics.items()
        ],
        as_json=False,
    )
    for warning in record["warnings"]:
        typer.echo(f"note: {warning}")
    if registered is None:
        typer.echo("not registered; add --register to keep it, --promote to serve it")
        return
    typer.echo(f"{registered.reference} is registered, stage {registered.stage}")


def _held_out(value: float, bounds: Sequence[float] | None) -> str:
    return number(value) + ("" if bounds is None else f" ({bounds[0]:.3g} to {bounds[1]:.3g})")
