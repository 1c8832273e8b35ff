"""What commands open, and how they print."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer

__all__ = ["AsJson", "shown"]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def shown(
    records: Any,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    as_json: bool,
    empty: str = "nothing yet",
) -> None:
    """Print records as JSON, or as columns; where there are none, what to do next."""
    if as_json:
        typer.echo(json.dumps(records, indent=2))
        return
    if not records:
        typer.echo(empty)
        return
    table = [tuple(columns), *(tuple(str(cell) for cell in row) for row in rows)]
    widths = [max(len(row[at]) for row in table) for at in range(len(columns))]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())
