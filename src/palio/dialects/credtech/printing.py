"""Records as people and programs read them in a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from palio.dialects.credtech import files
from palio.dialects.credtech.records import Record

__all__ = ["show", "show_experiment", "show_one"]

_WIDE = 10_000  # columns where the output is no terminal: a row is one line
_COMPARED = ("metric", "model_id", "baseline_model_id", "effect", "lower", "upper", "p_value",
             "verdict")  # fmt: skip


def show_experiment(record: Record, *, as_json: bool) -> None:
    """Print an experiment as JSON, or as a list, a table of its models, and what they compare."""
    results = record["results"]
    if as_json or results is None:
        show_one(record, as_json=as_json)
        return
    tables = ("models", "comparisons")
    told = {name: value for name, value in results.items() if name not in tables}
    show_one(record | {"results": told}, as_json=False)
    rows = [_row(one) for one in results["models"]]
    for found, names in ((rows, list(rows[0])), (results["comparisons"], _COMPARED)):
        typer.echo()
        show(found, names, as_json=False, empty="")


def _row(model: Record) -> Record:
    """Return a model's counts, and the mean of each metric beside them."""
    means = {name: found["mean"] for name, found in model["metrics"].items()}
    return {name: value for name, value in model.items() if name != "metrics"} | means


def show(records: Sequence[Record], names: Sequence[str], *, as_json: bool, empty: str) -> None:
    """Print records as JSON, or as a table of some of their fields."""
    if as_json:
        _print_json(records)
    elif not records:
        typer.echo(empty)
    else:
        heads = [name.replace("_", " ") for name in names]
        _print(heads, ([_cell(one[name]) for name in names] for one in records))


def show_one(record: Record, *, as_json: bool, line: str | None = None) -> None:
    """Print a record as JSON, or as one line, or as a list of names and values."""
    if as_json:
        _print_json(record)
    elif line is not None:
        typer.echo(line)
    else:
        _print([], ([name, _cell(value)] for name, value in _flat(record)))


def _print_json(content: Any) -> None:
    typer.echo(files.as_json(content).decode(), nl=False)


def _flat(record: Record, before: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from _flat(dict(value), f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):
        share = value.get("traffic_percentage")
        told = value.get("model_id", json.dumps(value, default=str))
        return str(told) if share is None else f"{told} {share:g} %"
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)


def _print(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = Table(box=None, show_header=bool(heads), pad_edge=False, header_style="bold")
    for head in heads or ("", ""):
        table.add_column(head, overflow="fold")  # an id that is cut off is of no use
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console(soft_wrap=True)
    if not console.is_terminal:
        console.width = _WIDE
    console.print(table)
