"""``palio models download``: the files of a version, compared on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from palio.cli.models import Reference
from palio.cli.output import AsJson, done
from palio.cli.session import opened

__all__ = ["app"]

app = typer.Typer()


@app.command()
def download(
    ctx: typer.Context,
    reference: Reference,
    folder: Annotated[Path, typer.Argument(help="A folder that is not there yet, or is empty.")],
    as_json: AsJson = False,
) -> None:
    """Write the files of a version into a folder, each compared with what was registered.

    [dim]palio models download credit-risk@champion ./champion[/dim]
    """
    version = opened(ctx).download(reference, folder)
    files = version.manifest.files
    size = sum(file.size_bytes for file in files)
    done(
        version,
        f"{version.reference}: {len(files)} files, {size:,} bytes, are in {folder}",
        as_json=as_json,
    )
