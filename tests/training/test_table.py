"""Reading tables, and telling them apart."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from palio.errors import InvalidData
from palio.training.table import fingerprint, read_table

FRAME = pl.DataFrame({"a": [1, None, 3], "b": ["x", None, "z"], "c": [0.5, 1.5, None]})


def test_csv_and_parquet_give_the_same_table(tmp_path: Path) -> None:
    FRAME.write_csv(tmp_path / "t.csv")
    FRAME.write_parquet(tmp_path / "t.PARQUET")
    assert read_table(tmp_path / "t.csv").equals(FRAME)
    assert read_table(str(tmp_path / "t.PARQUET")).equals(FRAME)


def test_types_are_inferred_from_all_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,due\n" + "1,2024-01-31\n" * 5_000 + "1.5,NA\n")
    assert read_table(path).schema == {"a": pl.Float64, "due": pl.Date}


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("t.xlsx", b"", r"neither of \.csv, \.parquet"),
        ("t.csv", None, "is no file"),
        ("t.csv", b"", "is empty"),
        ("t.csv", b"a,b\n", "has no rows"),
        ("t.csv", b"a,b\n1,2,3\n", r"cannot be read as \.csv"),
        ("t.parquet", b"no parquet", r"cannot be read as \.parquet"),
    ],
)
def test_files_of_no_use(tmp_path: Path, name: str, content: bytes | None, why: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidData, match=why):
        read_table(tmp_path / name)


def test_fingerprint_does_not_depend_on_storage(tmp_path: Path) -> None:
    FRAME.write_parquet(tmp_path / "t.parquet")
    chunked = pl.concat([FRAME[:1], FRAME[1:]], rechunk=False)
    assert fingerprint(read_table(tmp_path / "t.parquet")) == fingerprint(FRAME)
    assert fingerprint(chunked) == fingerprint(FRAME)


@pytest.mark.parametrize(
    "other",
    [
        FRAME.rename({"a": "A"}),
        FRAME.cast({"a": pl.Int32}),
        FRAME.with_columns(a=pl.Series([1, 0, 3])),
        FRAME.with_columns(b=pl.Series(["x", "", "z"])),
        FRAME.with_columns(b=pl.Series(["xz", None, ""])),
        FRAME.select("b", "a", "c"),
        FRAME[::-1],
        FRAME[:2],
        FRAME.with_columns(d=pl.lit(date(2024, 1, 1))),
    ],
)
def test_fingerprint_changes_with_names_types_cells_and_order(other: pl.DataFrame) -> None:
    assert fingerprint(other) != fingerprint(FRAME)
