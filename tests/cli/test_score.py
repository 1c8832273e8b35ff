"""``palio score``: tables through an endpoint, in a store and over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.e2e import servers

import palio
from palio.experiments.events import Prediction

Cli = Callable[..., tuple[int, str, str]]
FRAME = pl.DataFrame(
    {**{f"x{n}": servers.SAMPLE[:, n] for n in range(3)}, "customer": ["a", "a", "b", "a"] * 50}
)


@pytest.fixture(params=["file", "server"])
def store(request: pytest.FixtureRequest, home: str) -> Iterator[str]:
    if request.param == "file":
        yield home
        return
    with servers.serving(home) as address:
        yield address


@pytest.fixture
def table(tmp_path: Path) -> Path:
    FRAME.write_parquet(tmp_path / "rows.parquet")
    FRAME.write_csv(tmp_path / "rows.csv")
    return tmp_path / "rows.parquet"


def expected(strength: float) -> Any:
    return servers.model(strength).predict_proba(servers.SAMPLE)[:, 1].tolist()


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_table_is_scored(cli: Cli, store: str, table: Path, kind: str) -> None:
    output = table.with_name(f"scores.{kind}")
    given = table.with_suffix(f".{kind}")
    code, out, err = cli("--store", store, "score", "credit", given, "-o", output, "--rows", 64)
    assert (code, err) == (0, "")
    assert out == f"200 rows are in {output}: 200 by credit:v1\n"
    read = pl.read_parquet(output) if kind == "parquet" else pl.read_csv(output)
    assert read.columns == [
        *FRAME.columns, "prediction", "probability_0", "probability_1", "version", "variant",
        "request_id",
    ]  # fmt: skip
    # witness: the estimator itself
    assert read["probability_1"].to_list() == pytest.approx(expected(1.0), rel=1e-9)
    assert read["customer"].to_list() == FRAME["customer"].to_list()
    assert read["request_id"].n_unique() == 4  # 200 rows, 64 a request
    assert not list(table.parent.glob("*.part"))


def test_each_request_is_recorded_against_its_version(cli: Cli, home: str, table: Path) -> None:
    output = table.with_name("scores.parquet")
    code, out, _ = cli(
        "--store", home, "score", "credit", table, "-o", output, "--version", "v2", "--json"
    )
    receipt = {"output": str(output), "rows": 200, "requests": 1, "versions": {"credit:v2": 200}}
    assert (code, json.loads(out)) == (0, receipt)
    read = pl.read_parquet(output)
    assert read["probability_1"].to_list() == pytest.approx(expected(0.001), rel=1e-9)
    (kept,) = recorded(home)
    assert (kept.version, len(kept.values), kept.request_id) == ("v2", 200, read["request_id"][0])


def test_rows_of_a_unit_that_follow_each_other_go_together(
    cli: Cli, home: str, table: Path
) -> None:
    FRAME.head(4).write_parquet(table)
    output = table.with_name("scores.csv")
    code, _, err = cli(
        "--store", home, "score", "credit", table, "-o", output, "--unit", "customer"
    )
    assert (code, err) == (0, "")
    assert [(one.unit, len(one.values)) for one in recorded(home)] == [
        ("a", 2),
        ("b", 1),
        ("a", 1),
    ]


def recorded(store: str) -> list[Prediction]:
    from palio.storage.store import SqlStore, engine_for  # noqa: PLC0415

    opened = SqlStore(engine_for(store))
    with opened.read() as unit:
        found = [one.event for one in unit.log.after(0, limit=1_000)]
    opened.close()
    return [one for one in found if isinstance(one, Prediction)]


@pytest.mark.parametrize(
    ("lines", "more", "ending"),
    [
        (["x0,x1,x2", "1,2,3", "1,two,3"], [],
         (2, "row 2, column x1: 'two' is no number; put it right, or leave it empty")),
        (["x0,x1", "1,2"], [], (2, "has no column 'x2', which the version takes; it has x0, x1")),
        (["x0,x1,x2,version", "1,2,3,4"], [], (2, "has a column 'version', as the output will")),
        (["x0,x1,x2", "1,,3"], [], (2, "rows 1 to 1: row 0, field 'x1': is missing")),
        (["x0,x1,x2", "1,2,3"], ["--unit", "who"], (2, "--unit 'who' is no column of")),
        (["x0,x1,x2", "1,2,3"], ["--version", "v9"], (3, "credit has no version 'v9'")),
    ],
)  # fmt: skip
def test_what_cannot_be_scored_is_named(
    cli: Cli,
    home: str,
    tmp_path: Path,
    *,
    lines: list[str],
    more: list[str],
    ending: tuple[int, str],
) -> None:
    table, output = tmp_path / "t.csv", tmp_path / "o.csv"
    table.write_text("\n".join(lines))
    code, out, err = cli("--store", home, "score", "credit", table, "-o", output, *more)
    assert (code, out, output.exists()) == (ending[0], "", False)
    assert ending[1] in err


@pytest.mark.parametrize(
    ("output", "why"),
    [
        ("o.txt", "is neither .csv nor .parquet"),
        ("rows.parquet", "is the table itself"),
        ("nowhere/o.csv", "lies in a folder that is not there"),
    ],
)
def test_where_nothing_can_be_written(
    cli: Cli, home: str, table: Path, *, output: str, why: str
) -> None:
    out = table.with_name(output) if "/" not in output else table.parent / output
    code, _, err = cli("--store", home, "score", "credit", table, "-o", out)
    assert (code, why in err) == (2, True)
    assert recorded(home) == []


def test_what_a_version_takes_besides_numbers(cli: Cli, home: str, tmp_path: Path) -> None:
    from palio.registry.signature import Feature, FeatureType, Signature, Task  # noqa: PLC0415

    signature = Signature(
        (
            Feature("n", FeatureType.INTEGER, nullable=True),
            Feature("b", FeatureType.BOOLEAN),
            Feature("s", FeatureType.STRING),
        ),
        Task.CLASSIFICATION,
        ("no", "yes"),
    )
    with palio.connect(home) as opened:
        opened.register("kinds", _kinds, version="v1", signature=signature)
        opened.versions.promote("kinds:v1")
        opened.endpoints.create("kinds", "kinds")
    table, output = tmp_path / "t.csv", tmp_path / "o.csv"
    table.write_text("s,b,n\n007,true,3\nx,False,\n007,0,4\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PALIO_ALLOW_PICKLE", "true")
        code, out, err = cli("--store", home, "score", "kinds", table, "-o", output)
    assert (code, out, err) == (0, f"3 rows are in {output}: 3 by kinds:v1\n", "")
    assert pl.read_csv(output)["prediction"].to_list() == ["yes", "no", "no"]


def _kinds(rows: Any) -> Any:
    import numpy as np  # noqa: PLC0415 - it is pickled by value

    return np.array(["yes" if n == 3 and b and s == "007" else "no" for n, b, s in rows])
