"""What is printed: tables for people, JSON for programs, one line for an error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["AsJson", "describe", "done", "listing", "moment", "number", "print_json"]

_LARGE, _HUGE = 1e4, 1e15  # between them an exponent is harder to read than the digits
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def print_json(content: Any) -> None:
    """Print a record, or records, as indented JSON."""
    typer.echo(msgspec.json.format(msgspec.json.encode(content), indent=2).decode())


def listing(
    records: Sequence[Any],
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    as_json: bool,
    empty: str = "nothing yet",
) -> None:
    """Print records as JSON, or as a table of the rows made of them."""
    if as_json:
        print_json(records)
        return
    if not records:
        typer.echo(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")  # an id that is cut off is of no use
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    _console().print(table)


def describe(record: Any, pairs: Iterable[tuple[str, object]], *, as_json: bool) -> None:
    """Print one record as JSON, or as a list of names and values."""
    if as_json:
        print_json(record)
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(name, Text("" if value is None else str(value)))
    _console().print(table)


def done(record: Any, line: str, *, as_json: bool) -> None:
    """Print what a verb changed as JSON, or as one line."""
    if as_json:
        print_json(record)
    else:
        typer.echo(line)


def moment(at: datetime | None) -> str:
    """Return a moment as people read it, in UTC."""
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"


def number(value: float | None) -> str:
    """Return a number with four significant digits, large ones in whole."""
    if value is None:
        return ""
    is_large = _LARGE <= abs(value) < _HUGE
    return f"{value:,.0f}" if is_large else f"{value:.4g}"


_WIDE = 10_000  # columns: what is no terminal takes a row as one line


def _console() -> Console:
    console = Console(soft_wrap=True)
    if not console.is_terminal:
        console.width = _WIDE
    return console
