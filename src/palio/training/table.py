"""Tables to learn from: read, and told apart by a fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import polars as pl

from palio.errors import InvalidData

__all__ = ["fingerprint", "read_table"]

_MISSING = ["", "NA", "N/A", "NULL", "null"]


def _read_csv(path: Path) -> pl.DataFrame:
    # all rows decide the types, so that a letter in the last row is no error in the middle
    return pl.read_csv(path, infer_schema_length=None, try_parse_dates=True, null_values=_MISSING)


_READERS: Mapping[str, Callable[[Path], pl.DataFrame]] = {
    ".csv": _read_csv,
    ".parquet": pl.read_parquet,
}


def read_table(path: Path | str) -> pl.DataFrame:
    """Read a CSV or Parquet file, told apart by its suffix.

    In CSV, types are inferred from all rows, and empty cells, ``NA``, ``N/A``, ``NULL`` and
    ``null`` are missing values.

    Raises
    ------
    InvalidData
        If there is no such file, its suffix is another, it cannot be read, or it has no rows.
    """
    path = Path(path)
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise _unusable(
            path, f"is neither of {', '.join(_READERS)}; save the table as one of them"
        )
    if not path.is_file():
        raise _unusable(path, "is no file; check the path")
    try:
        frame = read(path)
    except pl.exceptions.NoDataError as error:
        raise _unusable(path, "is empty; it needs a header and rows") from error
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unusable(path, f"cannot be read as {path.suffix}: {error}") from error
    if frame.is_empty():
        raise _unusable(path, "has no rows; it needs at least 20 to learn from")
    return frame


def fingerprint(frame: pl.DataFrame) -> str:
    """Return the SHA-256 over names, types and cells of a table.

    Rows and columns count in their order; how the table was stored does not.
    """
    digest = hashlib.sha256(json.dumps([frame.height, frame.width]).encode())
    for column in frame.iter_columns():
        digest.update(json.dumps([column.name, str(column.dtype)]).encode())
        digest.update(np.packbits(column.is_not_null().to_numpy()).tobytes())
        if column.dtype.is_numeric() or column.dtype == pl.Boolean:
            digest.update(column.drop_nulls().to_numpy().tobytes())
        else:
            texts = [str(cell) for cell in column.drop_nulls().to_list()]
            digest.update(json.dumps(texts).encode())
    return digest.hexdigest()


def _unusable(path: Path, why: str) -> InvalidData:
    return InvalidData(f"{path} {why}", field="data", value=str(path))
