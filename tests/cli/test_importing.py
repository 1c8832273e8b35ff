"""``palio outcomes import``: every row once, from any table, also after it was cut short."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.e2e import servers

import palio
from palio.experiments.designs.design import Metrics, Variant
from palio.experiments.events import Outcome
from palio.storage.store import SqlStore, engine_for
from palio.testing.records import design, prediction

Cli = Callable[..., tuple[int, str, str]]
SALES = 24_000  # batches enough that the first is seen before the last
VARIANTS = (Variant("control", "v1", 0.5), Variant("challenger", "v2", 0.5))


def outcomes(store: str) -> list[Outcome]:
    """Return the outcomes in a store's log."""
    with closing(SqlStore(engine_for(store))) as opened, opened.read() as unit:
        events = [entry.event for entry in unit.log.after(0, limit=10**6)]
    return [event for event in events if isinstance(event, Outcome)]


def told(out: str) -> list[int]:
    """Return rows, accepted, corrected, repeated and unknown."""
    return [*json.loads(out).values()][:5]


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    """Write a CSV file."""

    def write(*lines: str, name: str = "sales.csv") -> Path:
        (tmp_path / name).write_text("\n".join([*lines, ""]))
        return tmp_path / name

    return write


@pytest.fixture(params=["file", "server"])
def store(request: pytest.FixtureRequest, home: str) -> Iterator[str]:
    """A store as a file, then the address of a server on it."""
    if request.param == "file":
        yield home
        return
    with servers.serving(home) as address:
        yield address


def test_rows_are_kept_once_in_process_and_over_http(
    cli: Cli, store: str, home: str, table: Callable[..., Path]
) -> None:
    file = table("unit,value,name", *(f"u{n % 7},{n / 4},revenue" for n in range(2_500)))
    call = ("--store", store, "outcomes", "import", file, "--json")
    assert cli(*call) == (0, cli_json(rows=2_500, accepted=2_500), "")
    assert cli(*call) == (0, cli_json(rows=2_500, repeated=2_500), "")
    assert [one.value for one in outcomes(home)] == [n / 4 for n in range(2_500)]
    assert len({one.outcome_id for one in outcomes(home)}) == 2_500


def cli_json(**counts: int) -> str:
    plain = dict.fromkeys(("rows", "accepted", "corrected", "repeated", "unknown", "late"), 0)
    return json.dumps(plain | counts, indent=2) + "\n"


def test_columns_are_chosen(cli: Cli, home: str, table: Callable[..., Path]) -> None:
    file = table(
        "rid,paid,seen,key,value",
        "r1,2.5,2026-01-31T12:00:00Z,a,9",
        'r2,"[1, 2]",2026-01-31T13:00:00+01:00,b,9',
        "r3,true,,c,9",
    )
    columns = ["--request-id", "rid", "--value", "paid", "--at", "seen", "--outcome-id", "key"]
    code, out, _ = cli(
        "--store", home, "outcomes", "import", file, *columns, "--name", "revenue", "--json"
    )
    assert (code, told(out)) == (0, [3, 3, 0, 0, 3])
    kept = outcomes(home)
    assert [(one.request_id, one.value, one.outcome_id) for one in kept] == [
        ("r1", 2.5, "a"), ("r2", [1, 2], "b"), ("r3", True, "c"),
    ]  # fmt: skip
    assert {one.name for one in kept} == {"revenue"}
    assert kept[0].at == kept[1].at == datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_parquet(cli: Cli, home: str, tmp_path: Path) -> None:
    moment = datetime(2026, 1, 31, 12, tzinfo=UTC)
    frame = pl.DataFrame(
        {
            "unit": [1, 2],
            "value": [Decimal("2.50"), Decimal("0.25")],
            "name": ["paid", "paid"],
            "at": [moment, moment],
        }
    )
    frame.write_parquet(tmp_path / "sales.parquet")
    code, out, _ = cli("--store", home, "outcomes", "import", tmp_path / "sales.parquet", "--json")
    assert (code, told(out)) == (0, [2, 2, 0, 0, 0])
    kept = outcomes(home)
    assert [(one.unit, one.value, one.at) for one in kept] == [
        ("1", 2.5, moment),
        ("2", 0.25, moment),
    ]


def test_a_label_of_a_request_is_the_one_that_is_recorded(
    cli: Cli, home: str, table: Callable[..., Path]
) -> None:
    """A request has one outcome of a name without an id, by whichever way it comes."""
    file = table("request_id,value", "r1,yes", "r1,no", "r2,yes")
    assert cli("--store", home, "outcomes", "record", "yes", "--request-id", "r1")[0] == 0
    code, out, _ = cli("--store", home, "outcomes", "import", file, "--json")
    assert (code, told(out)) == (0, [3, 2, 1, 1, 2])
    assert [(one.request_id, one.value) for one in outcomes(home)] == [
        ("r1", "yes"), ("r1", "no"), ("r2", "yes"),
    ]  # fmt: skip


def test_a_row_that_cannot_be_kept_is_mended_and_the_rest_follows(
    cli: Cli, home: str, table: Callable[..., Path]
) -> None:
    rows = [f"u{n},{n},revenue" for n in range(1_500)]
    file = table("unit,value,name", *rows[:1_200], "u,much,revenue", *rows[1_200:])
    code, out, err = cli("--store", home, "outcomes", "import", file)
    assert (code, out) == (2, "")
    assert f"{file}, row 1201, column value: revenue must be a number" in " ".join(err.split())
    assert "the first 1000 rows are kept, none after them" in " ".join(err.split())
    assert len(outcomes(home)) == 1_000
    table("unit,value,name", *rows)
    code, out, _ = cli("--store", home, "outcomes", "import", file, "--json")
    assert (code, told(out)) == (0, [1_500, 500, 0, 1_000, 0])


def test_what_the_store_refuses_is_a_row_of_the_file(
    cli: Cli, home: str, table: Callable[..., Path]
) -> None:
    with closing(SqlStore(engine_for(home))) as opened, opened.write() as unit:
        unit.log.append([prediction("r7")])
    file = table("request_id,truth", *(f"r{n},1" for n in range(7)), "r7,2")
    code, _, err = cli("--store", home, "outcomes", "import", file, "--value", "truth")
    said = " ".join(err.split())
    assert code == 2
    assert "row 8, column truth: the label 2 is none of the classes 0, 1" in said
    assert "the first 0 rows are kept" in said


def test_a_dry_run_checks_all_rows_and_keeps_none(
    cli: Cli, home: str, table: Callable[..., Path]
) -> None:
    good = table("unit,value", "a,1", "b,2")
    call = ("--store", home, "outcomes", "import", "--dry-run")
    assert cli(*call, good)[:2] == (0, "2 rows can be imported; nothing was kept\n")
    bad = table("unit,value,at", "a,,", ",2,", "b,2,yesterday", "c,2,2026-01-31", "d,1,")
    code, _, err = cli(*call, bad)
    said = " ".join(err.split())
    assert (code, outcomes(home)) == (2, [])
    for part in (
        "4 of 5 rows cannot be imported, nothing was kept",
        "row 1, column value: the value is missing",
        "row 2, column request_id: give request_id or unit, not both",
        "row 3, column at: 'yesterday' is no time as 2026-01-31T12:00:00Z",
        "row 4, column at: the time has no zone",
    ):
        assert part in said


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("unit,paid\na,1", [], "has no column 'value'; name one by --value: unit, paid"),
        ("who,value\na,1", [], "has no column 'request_id'; name one by --request-id or"),
        ("unit,value\na,1", ["--at", "seen"], "has no column 'seen'; name one by --at"),
        ("unit,value\na,1", ["--name", "x", "--name-column", "y"], "give one of them"),
        ("unit,value\na,1,2,3", [], "cannot be read as .csv"),
        ("", [], "is empty; it needs a header and rows"),
    ],
)
def test_tables_that_cannot_be_imported(
    cli: Cli, tmp_path: Path, *, text: str, options: list[str], message: str
) -> None:
    file = tmp_path / "sales.csv"
    file.write_text(text)
    code, _, err = cli("--store", tmp_path / "palio.db", "outcomes", "import", file, *options)
    assert code == 2
    assert message in " ".join(err.split())


def test_ids_that_lost_their_digits_are_refused(cli: Cli, home: str, tmp_path: Path) -> None:
    pl.DataFrame({"unit": [1.0], "value": [1]}).write_parquet(tmp_path / "a.parquet")
    code, _, err = cli("--store", home, "outcomes", "import", tmp_path / "a.parquet")
    assert code == 2
    assert "row 1, column unit: unit is a float; save it as text" in " ".join(err.split())


def test_killed_in_the_middle_and_run_again(
    cli: Cli, home: str, tmp_path: Path, table: Callable[..., Path]
) -> None:
    """The log is the same as without the kill, and the statistics equal a recomputation."""
    running(home)
    whole = str(shutil.copytree(Path(home).parent, tmp_path / "whole") / "palio.db")
    file = table("unit,value,name", *(f"u{n % 300},{n % 9 / 4},revenue" for n in range(SALES)))
    interrupted(home, file)
    found = len(outcomes(home))
    assert 0 < found < SALES
    code, out, _ = cli("--store", home, "outcomes", "import", file, "--json")
    assert (code, told(out)) == (0, [SALES, SALES - found, 0, found, 0])
    assert cli("--store", whole, "outcomes", "import", file, "--json")[0] == 0
    assert plain(home) == plain(whole)
    with palio.connect(home) as opened:
        verified = opened.experiments.verify("exp")
        arms = opened.experiments.analyze("exp").arms
    assert (verified.differences, verified.compared > 0) == ((), True)
    assert sum(arm.outcomes for arm in arms) == SALES


def plain(store: str) -> list[Any]:
    return [(one.outcome_id, one.revision, one.unit, one.value) for one in outcomes(store)]


def running(home: str) -> None:
    """Start an experiment, and serve 300 units."""
    with palio.connect(home) as opened:
        metrics = Metrics("revenue:higher")
        opened.experiments.draft(design(variants=VARIANTS, metrics=metrics))
        split = opened.experiments.start("exp").split()
    served = [
        prediction(f"r{n}", unit=f"u{n}", experiment="exp", epoch=1, variant=split.assign(f"u{n}"))
        for n in range(300)
    ]
    with closing(SqlStore(engine_for(home))) as store, store.write() as unit:
        unit.log.append(served)


def interrupted(home: str, file: Path) -> None:
    """Import in a process of its own, killed as soon as some rows are kept."""
    command = [sys.executable, "-m", "palio", "--store", home, "outcomes", "import", str(file)]
    child = subprocess.Popen(command, env=servers.environment(), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + servers.PATIENCE_S
    with closing(sqlite3.connect(home)) as seen:
        while not seen.execute("SELECT 1 FROM events WHERE kind = 'outcome' LIMIT 1").fetchall():
            assert child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    assert child.wait(servers.PATIENCE_S) == -signal.SIGKILL
