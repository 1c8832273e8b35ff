"""Tables become rows to learn from and cases to replay."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from palio.demo.loan_book import SYNTHETIC_NOTE
from palio.demo.material import Case, material_of, usable
from palio.demo.options import DemoOptions
from palio.errors import InvalidData
from palio.registry.signature import Feature, FeatureType, Signature, Task

SIGNATURE = Signature((Feature("x", FeatureType.NUMBER),), Task.CLASSIFICATION, (0, 1))


def test_the_synthetic_book_says_what_it_is() -> None:
    found = material_of(DemoOptions(requests=1_000))
    assert found.note == SYNTHETIC_NOTE
    assert "synthetic" in found.source
    assert found.learnt.height == 8_000
    assert len(found.cases) == 1_000
    assert set(found.cases[0].row) == set(found.learnt.columns) - {found.target}


def test_more_requests_than_the_book_has_rows_make_a_longer_book() -> None:
    assert len(material_of(DemoOptions(requests=13_000)).cases) == 13_000


def test_a_table_is_shuffled_and_every_row_is_used_once(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    frame = pl.DataFrame({"x": range(900), "gone": range(900)})
    frame.with_columns(y=pl.col("x") >= 450).write_parquet(path)  # sorted by class
    found = material_of(DemoOptions(data=path, target="y", drop=("gone",)))
    assert found.learnt.columns == ["x", "y"]
    assert found.learnt.height == 300
    assert 100 < int(found.learnt["y"].sum()) < 200
    live = [case.row["x"] for case in found.cases]
    assert sorted(live + found.learnt["x"].to_list()) == list(range(900))
    assert all(case.label == (case.row["x"] >= 450) for case in found.cases)


def test_cells_are_plain_json(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pl.DataFrame(
        {
            "text": pl.Series(["a", "b"] * 300, dtype=pl.Categorical),
            "number": pl.Series([1.5, float("nan")] * 300, dtype=pl.Float32),
            "exact": pl.Series([1, 2] * 300).cast(pl.Decimal(8, 2)),
            "y": ["no", "yes"] * 300,
        }
    ).write_parquet(path)
    rows = [case.row for case in material_of(DemoOptions(data=path, target="y")).cases]
    assert {tuple(type(cell).__name__ for cell in row.values()) for row in rows} == {
        ("str", "float", "float"),
        ("str", "NoneType", "float"),
    }


def test_a_short_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    pl.DataFrame({"x": range(100), "y": [0, 1] * 50}).write_csv(path)
    with pytest.raises(InvalidData, match="at least 400"):
        material_of(DemoOptions(data=path, target="y"))


def test_rows_the_server_would_refuse_are_left_out() -> None:
    good = [Case({"x": 1.0}, 1)] * 200
    found = usable([Case({"x": None}, 1), *good, Case({"x": 2.0}, 7)], SIGNATURE, source="t.csv")
    assert found == good


def test_too_few_rows_left_name_the_first_reason() -> None:
    with pytest.raises(InvalidData, match="field 'x': is missing") as refused:
        usable([Case({"x": None}, 1)] * 300, SIGNATURE, source="t.csv")
    assert refused.value.message.startswith("t.csv: only 0 of 300 rows")
