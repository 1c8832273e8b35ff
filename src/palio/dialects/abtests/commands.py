"""``palio abtests``: the command that stands for ``deploy_model.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from palio.edge.dialects import opened

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Tests whose units are users: the former scripts.")


@app.callback()
def group() -> None:
    """Do what the former scripts did."""


@app.command("deploy-model")
def deploy_model(
    ctx: typer.Context,
    model_type: Annotated[str, typer.Option("--type", help="What the model is for.")],
    model_path: Annotated[Path, typer.Option(help="The model's file or folder.")],
    version: Annotated[str, typer.Option(help="Name of the new version.")],
    description: Annotated[str, typer.Option(help="A sentence on it.")] = "",
    sample: Annotated[
        Path | None,
        typer.Option(
            help="CSV or Parquet with rows like those it takes; programs of PyTorch "
            "(torch.export) need none."
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Column of the sample that the model answers.")
    ] = None,
) -> None:
    """Keep the file of a model as a version of its type, ready to be tested.

    [dim]palio abtests deploy-model --type safety_classifier
    --model-path models/safety_classifier_v2.pt --version v2.0.0[/dim]

    [dim]palio abtests deploy-model --type toxicity --model-path m.skops --version v3
    --sample rows.csv[/dim]
    """
    made = opened(ctx).register(
        model_type,
        model_path,
        version=version,
        sample=sample,
        target=target,
        description=description,
    )
    ready = (
        "it is kept as it is, and nothing can be served by a file of its kind"
        if made.signature is None
        else "test it with POST /api/v1/ab-tests"
    )
    typer.echo(f"{made.reference} is registered; {ready}")
