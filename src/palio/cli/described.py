"""What the command line says of a version that is to be registered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from palio.cli.documents import read_document, read_text, texts_of

__all__ = [
    "Architecture",
    "Backtest",
    "Card",
    "DatasetVersion",
    "Description",
    "ExternalRef",
    "Framework",
    "Kind",
    "Metrics",
    "Origin",
    "Parent",
    "Policy",
    "Tags",
    "Training",
    "described",
]

Architecture = Annotated[str, typer.Option(help="Its shape, as in resnet18.")]
Backtest = Annotated[
    Path | None, typer.Option(help="JSON or YAML file with figures on a replay of the past.")
]
Card = Annotated[Path | None, typer.Option(help="Markdown file with the prose of its card.")]
DatasetVersion = Annotated[str, typer.Option(help="Which data it learned from.")]
Description = Annotated[str, typer.Option(help="Free text.")]
ExternalRef = Annotated[str, typer.Option(help="Its id in another system.")]
Framework = Annotated[str, typer.Option(help="What made it, as in pytorch 2.9.")]
Kind = Annotated[str, typer.Option("--type", help="What it is for, as in classification.")]
Metrics = Annotated[
    Path | None, typer.Option(help="JSON or YAML file with figures on rows held out.")
]
Parent = Annotated[
    str | None, typer.Option(help="Version it was made from: name:version or name@alias.")
]
Policy = Annotated[Path | None, typer.Option(help="YAML file: how its answers may be used.")]
Origin = Annotated[
    list[str] | None,
    typer.Option("--source", help="name=text: where it comes from, as in commit=…; repeatable."),
]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="name=text; repeatable.")]
Training = Annotated[
    Path | None, typer.Option(help="JSON or YAML file with the settings of its training.")
]


def described(
    texts: dict[str, list[str] | None], documents: dict[str, Path | None], card: Path | None
) -> dict[str, Any]:
    """Return the fields of a draft that were given as options and files.

    Parameters
    ----------
    texts
        ``name=text`` options by the name of the option, which names the field too but for
        ``tag``.
    documents
        JSON and YAML files by field.
    card
        A Markdown file.
    """
    known: dict[str, Any] = {
        field: read_document(file, field) for field, file in documents.items() if file is not None
    }
    known |= {
        {"tag": "tags"}.get(option, option): texts_of(option, given)
        for option, given in texts.items()
        if given
    }
    return known if card is None else known | {"card": read_text(card, "card")}
