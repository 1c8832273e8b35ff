"""``palio outcomes import``: a table of outcomes, batch by batch, to be run again if cut short.

An outcome of a unit that the file gives no ``outcome_id`` is known by the file's name and all
rows up to its own. What is kept is therefore found again when the file is sent once more, also
after rows further down were mended or added.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import msgspec
import polars as pl
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from palio.cli.output import AsJson, done
from palio.cli.session import verbs
from palio.cli.tables import misused, refusing, scan
from palio.errors import InvalidOutcome, PalioError
from palio.experiments.events import LABEL, OutcomeDraft, Receipt, check_draft, refused

__all__ = ["ImportReceipt", "import_outcomes"]

_BATCH = 1_000
_IDS = ("request_id", "unit", "outcome_id")
_SHOWN = 10  # faults of a dry run

Cells = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReceipt:
    """What became of a file's rows; the other counts as in the receipt of what was sent."""

    rows: int = 0
    accepted: int = 0
    corrected: int = 0
    repeated: int = 0
    unknown: int = 0
    late: int = 0

    def plus(self, rows: int, receipt: Receipt) -> ImportReceipt:
        """Return the sums after one more batch."""
        more = {**msgspec.to_builtins(receipt), "rows": rows}
        return ImportReceipt(**{name: getattr(self, name) + n for name, n in more.items()})


def import_outcomes(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV or Parquet file, a row an outcome.")],
    request_id: Annotated[
        str | None, typer.Option(help="Column of requests; request_id if there.")
    ] = None,
    unit: Annotated[str | None, typer.Option(help="Column of units; unit if there.")] = None,
    value: Annotated[str | None, typer.Option(help="Column of values; value if there.")] = None,
    outcome_id: Annotated[
        str | None, typer.Option(help="Column of ids; outcome_id if there.")
    ] = None,
    at: Annotated[str | None, typer.Option(help="Column of times; at if there.")] = None,
    name_column: Annotated[
        str | None, typer.Option(help="Column of what became known; name if there.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What became known in all rows; no column is read.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check all rows, keep none.")] = False,
    as_json: AsJson = False,
) -> None:
    """Import outcomes from a file.

    Cut short, run it again: what is kept is not counted twice. A request has one outcome of a
    name, the last row counts. Units without an outcome_id are told apart by the file's name and
    all rows before theirs, so rows may be mended or added below what is kept, but keep the name.

    [dim]palio outcomes import sales.csv --unit customer --value paid --name revenue[/dim]
    """
    asked = {"request_id": request_id, "unit": unit, "value": value, "outcome_id": outcome_id,
             "at": at, "name": name_column}  # fmt: skip
    table = _Table.open(file, asked, name)
    if dry_run:
        receipt = _checked(table)
        line = f"{receipt.rows} rows can be imported; nothing was kept"
    else:
        receipt = _recorded(ctx, table)
        line = ", ".join(f"{n} {word}" for word, n in msgspec.to_builtins(receipt).items() if n)
    done(receipt, line or "0 rows", as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Table:
    """A file, the column of each field that it has, and what its rows speak of."""

    path: Path
    frame: pl.LazyFrame
    columns: Mapping[str, str]
    name: str | None

    @classmethod
    def open(cls, path: Path, asked: Mapping[str, str | None], name: str | None) -> _Table:
        """Find the columns; only those that were asked for must be there."""
        frame = scan(path)
        known = frame.collect_schema().names()
        columns = {field: column or field for field, column in asked.items()}
        if name is not None:
            if asked["name"] is not None:
                raise misused("--name", name, "stands beside --name-column; give one of them")
            del columns["name"]
        for field, column in columns.items():
            if column not in known and (asked[field] is not None or field == "value"):
                raise _no_column(path, field, column, known)
        columns = {field: column for field, column in columns.items() if column in known}
        if not columns.keys() & {"request_id", "unit"}:
            raise _no_column(path, "request_id", "request_id", known)
        return cls(path, frame, columns, name)

    def rows(self) -> int:
        """Return how many rows there are."""
        with refusing({}, self.path):
            return int(self.frame.select(pl.len()).collect().item())

    def batches(self) -> Iterator[list[Cells]]:
        """Yield rows in batches; the file is never in memory as a whole."""
        rows = self._cells()
        while batch := list(islice(rows, _BATCH)):
            yield batch

    def _cells(self) -> Iterator[Cells]:
        chosen = self.frame.select(pl.col(c).alias(field) for field, c in self.columns.items())
        with refusing({}, self.path):
            for chunk in chosen.collect_batches(chunk_size=_BATCH, maintain_order=True, lazy=True):
                yield from chunk.iter_rows(named=True)

    def draft(self, number: int, cells: Cells) -> OutcomeDraft:
        """Return the outcome of a row, or raise the error of the place ``number``."""
        ids = {field: _id(number, field, cells.get(field)) for field in _IDS}
        draft = OutcomeDraft(
            value=_value(number, cells["value"]),
            name=self.name or str(cells.get("name") or LABEL),
            at=_time(number, cells.get("at")),
            **ids,
        )
        check_draft(number, draft)
        return draft

    def placed(self, error: InvalidOutcome, before: int) -> InvalidOutcome:
        """Return an error of a batch as one of the file's row and column."""
        number, field = error.details.get("outcome"), error.details.get("field")
        if not isinstance(number, int):
            return error
        row, column = before + number + 1, self.columns.get(str(field), str(field))
        why = error.message.partition(": ")[2]
        details = {**error.details, "row": row, "column": column}
        return InvalidOutcome(f"{self.path}, row {row}, column {column}: {why}", **details)


def _checked(table: _Table) -> ImportReceipt:
    """Check every row, and tell the first faults of all."""
    rows, faults = 0, []
    for batch in table.batches():
        for number, cells in enumerate(batch):
            try:
                table.draft(number, cells)
            except InvalidOutcome as error:
                faults.append(table.placed(error, rows))
        rows += len(batch)
    if faults:
        told = "\n".join(fault.message for fault in faults[:_SHOWN])
        raise InvalidOutcome(
            f"{len(faults)} of {rows} rows cannot be imported, nothing was kept:\n{told}",
            rows=[fault.details["row"] for fault in faults[:_SHOWN]],
        )
    return ImportReceipt(rows=rows)


def _recorded(ctx: typer.Context, table: _Table) -> ImportReceipt:
    record, receipt = verbs(ctx).outcomes.record, ImportReceipt()
    chain = hashlib.sha256(table.path.name.encode())
    with _progress() as progress:
        task = progress.add_task("outcomes", total=table.rows())
        for batch in table.batches():
            try:
                drafts = [table.draft(number, cells) for number, cells in enumerate(batch)]
                sent = [_named(draft, chain) for draft in drafts]
                receipt = receipt.plus(len(batch), record(sent))
            except PalioError as error:
                raise _cut_short(table, receipt.rows, error) from error
            progress.advance(task, len(batch))
    return receipt


def _named(draft: OutcomeDraft, chain: Any) -> OutcomeDraft:
    """Give a unit's outcome its id: the digest of all rows up to it."""
    chain.update(msgspec.json.encode(draft))
    if draft.unit is None or draft.outcome_id is not None:
        return draft
    return replace(draft, outcome_id=f"row_{chain.hexdigest()[:32]}")


def _cut_short(table: _Table, kept: int, error: PalioError) -> PalioError:
    told = table.placed(error, kept) if isinstance(error, InvalidOutcome) else error
    where = f"the first {kept} rows are kept, none after them"
    message = f"{told.message}; {where}: put it right and run the same command again"
    return type(error)(message, **{**told.details, "kept": kept})


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)


def _value(number: int, cell: Any) -> Any:
    if cell is None:
        raise refused(number, "value", None, "the value is missing")
    if isinstance(cell, Decimal):
        return float(cell)
    if not isinstance(cell, str):
        return cell
    try:
        return msgspec.json.decode(cell)
    except (msgspec.DecodeError, RecursionError):
        return cell


def _id(number: int, field: str, cell: Any) -> str | None:
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, int):
        return str(cell)
    why = f"{field} is a {type(cell).__name__}; save it as text or whole numbers"
    raise refused(number, field, str(cell), why)


def _time(number: int, cell: Any) -> datetime | None:
    if cell is None or isinstance(cell, datetime):
        return cell
    try:
        return datetime.fromisoformat(str(cell).strip())
    except ValueError as error:
        why = f"{str(cell)!r} is no time as 2026-01-31T12:00:00Z"
        raise refused(number, "at", str(cell), why) from error


def _no_column(path: Path, field: str, column: str, known: list[str]) -> InvalidOutcome:
    option = "--name-column" if field == "name" else f"--{field.replace('_', '-')}"
    also = " or --unit" if field == "request_id" else ""
    return InvalidOutcome(
        f"{path} has no column {column!r}; name one by {option}{also}: {', '.join(known)}",
        field=field,
        value=column,
    )
