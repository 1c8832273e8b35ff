"""What commands open, and how they print."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer

from palio.edge.session import Session

__all__ = ["AsJson", "session", "shown"]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def session(ctx: typer.Context) -> Session:
    """Open the store or server that the command line names."""
    shell: Any = ctx.find_root().obj
    entered: Session = ctx.with_resource(shell.wiring.connect(shell.store, key=shell.key))
    return entered


def shown(
    records: Any,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    as_json: bool,
) -> None:
    """Print records as JSON, or as columns."""
    if as_json:
        typer.echo(json.dumps(records, indent=2))
        return
    table = [tuple(columns), *(tuple(str(cell) for cell in row) for row in rows)]
    widths = [max(len(row[at]) for row in table) for at in range(len(columns))]
    for row in table:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
