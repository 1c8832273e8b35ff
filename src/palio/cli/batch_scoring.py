"""``palio score``: the rows of a table through an endpoint, request by request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from palio.cli.output import AsJson, done
from palio.cli.session import opened
from palio.cli.tables import misused, refusing, scan
from palio.delivery.domain import Answer
from palio.edge.session import Session
from palio.errors import InvalidData, InvalidInput, PalioError
from palio.registry.signature import FeatureType, Signature

__all__ = ["ScoreReceipt", "score"]

_MOST_ROWS = 10_000
_MISSING = ["", "NA", "N/A", "NULL", "null", "NaN", "nan"]
_TRUTH = {"true": True, "false": False, "1": True, "0": False}
_ADDED = ("prediction", "version", "variant", "request_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreReceipt:
    """What became of a table: rows, requests, and rows by the version that answered them."""

    output: str
    rows: int
    requests: int
    versions: Mapping[str, int]


def score(
    ctx: typer.Context,
    endpoint: Annotated[str, typer.Argument(help="Which endpoint.")],
    file: Annotated[Path, typer.Argument(help="CSV or Parquet file, a row a case.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="CSV or Parquet file to write, all columns kept."),
    ],
    version: Annotated[
        str | None, typer.Option(help="Ask for one version, outside of experiments.")
    ] = None,
    unit: Annotated[
        str | None,
        typer.Option(help="Column of units; rows of one that follow each other go together."),
    ] = None,
    rows: Annotated[
        int, typer.Option(help="Rows a request at most.", min=1, max=_MOST_ROWS)
    ] = _MOST_ROWS,
    as_json: AsJson = False,
) -> None:
    """Score the rows of a table, each recorded like any other request.

    Without --unit each request is a unit: where an experiment runs, all its rows get one variant.
    The output is written once all rows are answered.

    [dim]palio score credit loans.parquet -o scores.parquet --version v2[/dim]
    """
    session = opened(ctx)
    table = _Table.open(file, _signature(session, endpoint, version), unit)
    _check_output(output, file)
    scored = _Scored()
    with _progress() as progress:
        task = progress.add_task("rows", total=table.rows())
        for of_unit, part in table.parts(rows):
            answer = _asked(session, table, part, scored.rows, endpoint=endpoint,
                            version=version, unit=of_unit)  # fmt: skip
            scored.add(part, answer)
            progress.advance(task, part.height)
    _write(scored.frames, output)
    receipt = ScoreReceipt(
        output=str(output), rows=scored.rows, requests=len(scored.frames), versions=scored.versions
    )
    by = ", ".join(f"{n:,} by {name}" for name, n in receipt.versions.items())
    done(receipt, f"{receipt.rows:,} rows are in {output}: {by or 'none'}", as_json=as_json)


@dataclass(slots=True)
class _Scored:
    """What has been answered so far."""

    frames: list[pl.DataFrame] = field(default_factory=list)
    versions: Counter[str] = field(default_factory=Counter)
    rows: int = 0

    def add(self, part: pl.DataFrame, answer: Answer) -> None:
        reference = f"{answer.model}:{answer.version}"
        shares = answer.probabilities or []
        columns = [pl.Series("prediction", answer.predictions, strict=False)]
        columns += [
            pl.Series(f"probability_{label}", [row[at] for row in shares], pl.Float64)
            for at, label in enumerate(answer.classes if shares else ())
        ]
        self.frames.append(
            part.with_columns(
                *columns,
                pl.lit(reference).alias("version"),
                pl.lit(answer.variant, pl.String).alias("variant"),
                pl.lit(answer.request_id).alias("request_id"),
            )
        )
        self.versions[reference] += part.height
        self.rows += part.height


@dataclass(frozen=True, slots=True)
class _Table:
    """A file, and how its columns become a version's features."""

    path: Path
    frame: pl.LazyFrame
    signature: Signature
    unit: str | None

    @classmethod
    def open(cls, path: Path, signature: Signature, unit: str | None) -> _Table:
        """Find the columns; others stay as they are."""
        frame = scan(path)
        known = frame.collect_schema().names()
        if unit is not None and unit not in known:
            raise misused("--unit", unit, f"is no column of {path}, which has {', '.join(known)}")
        if missing := [one.name for one in signature.features if one.name not in known]:
            raise InvalidData(
                f"{path} has no column {missing[0]!r}, which the version takes; it has "
                f"{', '.join(known)}",
                field="table",
                value=missing,
            )
        taken = [name for name in known if name in _ADDED or name.startswith("probability_")]
        if taken:
            raise InvalidData(
                f"{path} has a column {taken[0]!r}, as the output will; rename it",
                field="table",
                value=taken,
            )
        return cls(path, frame, signature, unit)

    def rows(self) -> int:
        """Return how many rows there are."""
        with refusing({}, self.path):
            return int(self.frame.select(pl.len()).collect().item())

    def parts(self, most: int) -> Iterator[tuple[str | None, pl.DataFrame]]:
        """Yield rows as they go into requests, with their unit."""
        with refusing({}, self.path):
            batches = self.frame.collect_batches(
                chunk_size=_MOST_ROWS, maintain_order=True, lazy=True
            )
            for batch in batches:
                for of_unit, rows in self._of_units(batch):
                    for part in rows.iter_slices(most):
                        yield of_unit, part

    def _of_units(self, batch: pl.DataFrame) -> Iterator[tuple[str | None, pl.DataFrame]]:
        if self.unit is None:
            yield None, batch
            return
        start = 0
        for length, value in batch[self.unit].rle().struct.unnest().iter_rows():
            yield None if value is None else str(value), batch.slice(start, length)
            start += length

    def cells(self, part: pl.DataFrame, before: int) -> Sequence[Sequence[Any]]:
        """Return the rows of a part in feature order, each cell as its feature takes it.

        Raises
        ------
        InvalidData
            Naming row and column of the first text that is none.
        """
        read = part.select(
            _read(one.name, one.type) if part.schema[one.name] == pl.String else _plain(part, one)
            for one in self.signature.features
        )
        for name in read.columns:
            given = part[name]
            if given.dtype != pl.String or read.schema[name] == pl.String:
                continue
            lost = read[name].is_null() & given.is_not_null() & ~given.is_in(_MISSING)
            if (at := lost.arg_max()) is not None and lost[at]:
                kind = next(f.type for f in self.signature.features if f.name == name)
                raise InvalidData(
                    f"{self.path}, row {before + at + 1}, column {name}: {given[at]!r} is no "
                    f"{kind}; put it right, or leave it empty if it is missing",
                    field=name,
                    value=given[at],
                )
        return read.rows()


def _read(name: str, kind: FeatureType) -> pl.Expr:
    text = pl.col(name)
    match kind:
        case FeatureType.NUMBER:
            return text.str.strip_chars().cast(pl.Float64, strict=False).fill_nan(None)
        case FeatureType.INTEGER:
            return text.str.strip_chars().cast(pl.Int64, strict=False)
        case FeatureType.BOOLEAN:
            lower = text.str.strip_chars().str.to_lowercase()
            return lower.replace_strict(_TRUTH, default=None, return_dtype=pl.Boolean).alias(name)
        case FeatureType.STRING:
            return text


def _plain(part: pl.DataFrame, feature: Any) -> pl.Expr:
    column = pl.col(feature.name)
    if feature.type is FeatureType.STRING:
        return column.cast(pl.String)
    return column.fill_nan(None) if part.schema[feature.name].is_float() else column


def _signature(session: Session, endpoint: str, version: str | None) -> Signature:
    found = session.verbs.endpoints.get(endpoint)
    name = version or found.override
    reference = f"{found.model}@champion" if name is None else f"{found.model}:{name}"
    known = session.verbs.versions.get(reference)
    if known.signature is None:
        raise InvalidInput(
            f"{known.reference} has no signature, so it takes no rows; score with another version",
            field="version",
            value=known.reference,
        )
    return known.signature


def _asked(
    session: Session,
    table: _Table,
    part: pl.DataFrame,
    before: int,
    *,
    endpoint: str,
    version: str | None,
    unit: str | None,
) -> Answer:
    cells = table.cells(part, before)
    try:
        return session.predict(endpoint, cells, version=version, unit=unit)
    except PalioError as error:
        message = (
            f"{table.path}, rows {before + 1:,} to {before + part.height:,}: {error.message}; "
            f"{before:,} rows before them were answered and recorded, nothing is written"
        )
        raise type(error)(message, **{**error.details, "answered": before}) from error


def _check_output(output: Path, file: Path) -> None:
    if output.suffix.lower() not in {".csv", ".parquet"}:
        raise misused("--output", str(output), "is neither .csv nor .parquet; name one of them")
    if output.resolve() == file.resolve():
        raise misused("--output", str(output), "is the table itself; name another file")
    if not output.resolve().parent.is_dir():
        raise misused("--output", str(output), "lies in a folder that is not there; make it first")


def _write(frames: Sequence[pl.DataFrame], output: Path) -> None:
    """Write all at once: there is never half a file."""
    whole = pl.concat(frames, how="vertical_relaxed") if frames else pl.DataFrame()
    part = output.with_name(f".{output.name}.part")
    if output.suffix.lower() == ".csv":
        whole.write_csv(part)
    else:
        whole.write_parquet(part)
    part.replace(output)


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
