"""Stores old and new: made by migrations they equal the tables, and others are refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, inspect, text

from palio.errors import Conflict
from palio.storage import schema
from palio.storage.store import SqlStore, engine_for
from palio.storage.tables import metadata
from palio.testing.steps import change

_PREPARE = """
import sys
from palio.storage.schema import prepare
from palio.storage.store import engine_for

engine = engine_for(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
prepare(engine)
engine.dispose()
"""


@pytest.fixture(params=["sqlite", "postgres"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of a store that has nothing yet, not even a schema."""
    if request.param == "sqlite":
        return str(tmp_path / "new.db")
    new: Callable[[], str] = request.getfixturevalue("new_postgres")
    return new()


@pytest.fixture
def engine(new_url: str) -> Iterator[Engine]:
    made = engine_for(new_url)
    yield made
    made.dispose()


@pytest.fixture
def other(new_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """A second new store of the same kind, for tables made without migrations."""
    is_file = "://" not in new_url
    made = engine_for(
        str(tmp_path / "other.db") if is_file else request.getfixturevalue("new_postgres")()
    )
    yield made
    made.dispose()


def set_revision(engine: Engine, revision: str) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :r"), {"r": revision})


def test_migrated_equals_the_tables(engine: Engine) -> None:
    schema.prepare(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []


def test_migrated_equals_fresh(engine: Engine, other: Engine) -> None:
    schema.prepare(engine)
    with other.begin() as connection:
        metadata.create_all(connection)
    assert described(engine) == described(other)


def described(engine: Engine) -> dict[str, Any]:
    """Return what the database itself says of every table, and for SQLite its statements."""
    found = inspect(engine)
    tables = {
        name: (
            [
                (column["name"], str(column["type"]), column["nullable"], column["default"])
                for column in found.get_columns(name)
            ],
            found.get_pk_constraint(name),
            sorted(found.get_unique_constraints(name), key=str),
            sorted(map(plain, found.get_indexes(name)), key=str),
        )
        for name in found.get_table_names()
        if name != "alembic_version"
    }
    numbered = "SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'"
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            tables["numbered"] = sorted(connection.execute(text(numbered)).scalars())
    return tables


def plain(index: Any) -> dict[str, Any]:
    """Return an index with the conditions of its dialect as texts."""
    options = {name: str(value) for name, value in index.get("dialect_options", {}).items()}
    return {**index, "dialect_options": options}


def test_the_audit_log_of_a_new_store_has_a_head(engine: Engine) -> None:
    schema.prepare(engine)
    store = SqlStore(engine)
    with store.write() as unit:
        assert unit.audit.head() == 0
        assert unit.audit.append(change()).seq == 1


def test_a_new_store_is_made(engine: Engine) -> None:
    assert schema.current_revision(engine) is None
    schema.prepare(engine)
    assert schema.current_revision(engine) == schema.latest_revision() != ""


def test_a_store_of_today_is_left_alone(engine: Engine) -> None:
    schema.prepare(engine)
    before = described(engine)
    schema.prepare(engine)
    assert schema.upgrade(engine) == schema.latest_revision()
    assert described(engine) == before


def test_a_newer_store_is_refused(engine: Engine) -> None:
    schema.prepare(engine)
    set_revision(engine, "9999")
    with pytest.raises(Conflict, match="made by a newer Palio; install that one") as caught:
        schema.prepare(engine)
    assert caught.value.details == {"current": "9999", "latest": schema.latest_revision()}
    assert schema.current_revision(engine) == "9999"


def test_an_older_store_is_refused(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    schema.prepare(engine)
    today = schema.latest_revision()
    monkeypatch.setattr(schema, "latest_revision", lambda: "9999")
    with pytest.raises(Conflict, match="make a copy of the store, then run `palio store upgrade`"):
        schema.prepare(engine)
    assert schema.current_revision(engine) == today


def test_an_upgrade_that_fails_leaves_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        with engine.connect():
            raise RuntimeError("power cut")

    upgrade = schema.command.upgrade
    monkeypatch.setattr(schema.command, "upgrade", lambda *args: (upgrade(*args), fail()))
    with pytest.raises(RuntimeError, match="power cut"):
        schema.prepare(engine)
    assert inspect(engine).get_table_names() == []


def test_threads_prepare_one_store_at_once(engine: Engine) -> None:
    with ThreadPoolExecutor(8) as pool:
        for job in [pool.submit(schema.prepare, engine) for _ in range(8)]:
            job.result()
    assert schema.current_revision(engine) == schema.latest_revision()


def test_processes_prepare_one_store_at_once(new_url: str, engine: Engine) -> None:
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", _PREPARE, new_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n", worker.communicate()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        said, complained = worker.communicate(timeout=60)
        assert (worker.returncode, said, complained) == (0, "", "")
    assert schema.current_revision(engine) == schema.latest_revision()
