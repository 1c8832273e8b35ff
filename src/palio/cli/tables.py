"""Tables that commands read: lazily, the columns asked for only, errors that name the option.

CSV cells are read as text and made numbers here, so that the last of a million rows may say what
a cell is, a variant is matched as it is written, and a word among numbers is found and named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from palio.errors import InvalidData, InvalidInput

__all__ = ["misused", "numbers", "refusing", "scan"]

_MISSING = ["", "NA", "N/A", "NULL", "null", "NaN", "nan"]
_TRUTH = {"true": 1.0, "false": 0.0}
_COMPACT = 8  # characters of a date as 20260131
_FIRST_WORD = re.compile(r"^(\w+)(?= (?:must|is|of)\b)")


def scan(path: Path) -> pl.LazyFrame:
    """Open a CSV or Parquet file, told apart by its suffix, without reading its rows.

    Raises
    ------
    InvalidData
        If there is no such file, its suffix is another or it is no table.
    """
    if path.suffix.lower() not in {".csv", ".parquet"}:
        raise _unusable(path, "is neither .csv nor .parquet; save the table as one of them")
    if not path.is_file():
        raise _unusable(path, "is no file; check the path")
    text = path.suffix.lower() == ".csv"
    frame = pl.scan_csv(path, infer_schema=False) if text else pl.scan_parquet(path)
    with _readable(path):
        frame.collect_schema()
    return frame


def numbers(
    path: Path,
    frame: pl.LazyFrame,
    columns: Mapping[str, str],
    keys: Mapping[str, str],
    *,
    days: Mapping[str, str] | None = None,
) -> pl.LazyFrame:
    """Give columns as numbers (missing ones null), keys as text, days as such, nothing else.

    Parameters
    ----------
    path
        Where the table lies, for errors.
    frame
        The table.
    columns, keys, days
        Columns by name, with the option that named each.

    Raises
    ------
    InvalidInput
        If a column is not there, or holds what is no number or day.
    """
    days = days or {}
    schema = frame.collect_schema()
    named: dict[str, str] = {}
    for name, option in [*columns.items(), *days.items(), *keys.items()]:
        if name not in schema:
            known = ", ".join(schema)
            raise misused(option, name, f"is no column of {path.name}, which has {known}")
        if name in named:
            raise misused(option, name, f"is named by {named[name]}, too; name another")
        named[name] = option
    texts = [name for name in [*columns, *days] if schema[name] == pl.String]
    read = {name: _day(name) if name in days else _number(name) for name in texts}
    with _readable(path):
        odd = [name for name, word in _unread(frame, read).items() if word is not None]
        read |= {name: _number_or_truth(name) for name in odd if name in columns}
        for name, word in _unread(frame, {name: read[name] for name in odd}).items():
            if word is not None:
                kind = "numbers, true or false" if name in columns else "days as 2026-01-31 or 17"
                raise misused(named[name], name, f"must hold {kind}, got {word!r}")
    floats = [name for name in columns if schema[name].is_float() or name in read]
    values = [read.get(name, pl.col(name)) for name in [*columns, *days]]
    words = [pl.col(name).cast(pl.String) for name in keys]
    return frame.select(*values, *words).with_columns(pl.col(floats).fill_nan(None))


def misused(option: str, name: str, why: str) -> InvalidInput:
    """Return the error that says why what an option named cannot be used."""
    return InvalidInput(f"{option} {name!r} {why}", field=option.removeprefix("--"), value=name)


@contextmanager
def refusing(options: Mapping[str, str], path: Path | None = None) -> Iterator[None]:
    """Tell what the statistics refuse as an error of the option it came from.

    Parameters
    ----------
    options
        The option by the name that the statistics have for it, where they differ.
    path
        The table that is read meanwhile.
    """
    try:
        with _readable(path or Path()):
            yield
    except ValueError as error:
        found = _FIRST_WORD.match(str(error))
        option = options.get(found.group(1)) if found else None
        first = str(error).splitlines()[0]  # of engines' errors, which go on with their plans
        said = _FIRST_WORD.sub(option, first) if option else first
        field = option.removeprefix("--") if option else None
        raise InvalidInput(said, field=field) from error


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except pl.exceptions.NoDataError as error:
        raise _unusable(path, "is empty; it needs a header and rows") from error
    except pl.exceptions.PolarsError as error:
        first = str(error).splitlines()[0]
        raise _unusable(path, f"cannot be read as {path.suffix}: {first}") from error


def _number(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.Float64, strict=False)


def _number_or_truth(name: str) -> pl.Expr:
    """Read true and false and what has spaces around it, too, at ten times the cost."""
    text = pl.col(name).str.strip_chars()
    truth = text.str.to_lowercase().replace_strict(_TRUTH, default=None, return_dtype=pl.Float64)
    return pl.coalesce(truth, text.cast(pl.Float64, strict=False)).alias(name)


def _day(name: str) -> pl.Expr:
    """Read dates, the dates of times, or whole numbers of days."""
    text = pl.col(name).str.strip_chars()
    iso = text.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    short = pl.when(text.str.len_bytes() == _COMPACT).then(text)
    compact = short.str.to_date("%Y%m%d", strict=False)
    number = text.cast(pl.Int64, strict=False)
    return pl.coalesce(iso.cast(pl.Int64), compact.cast(pl.Int64), number).alias(name)


def _unread(frame: pl.LazyFrame, read: Mapping[str, pl.Expr]) -> dict[str, str | None]:
    """Give for each column the first word that was not read, None if all were."""
    if not read:
        return {}
    words = [
        pl.col(name).filter(
            as_read.is_null()
            & pl.col(name).is_not_null()
            & ~pl.col(name).str.strip_chars().is_in(_MISSING)
        ).first()
        for name, as_read in read.items()
    ]  # fmt: skip
    return frame.select(words).collect().row(0, named=True)


def _unusable(path: Path, why: str) -> InvalidData:
    return InvalidData(f"{path} {why}", field="table", value=str(path))
