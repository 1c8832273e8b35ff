"""What drivers raise becomes what Palio raises: a cause, a remedy, and no secret."""

from __future__ import annotations

import sqlite3
import sys
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.pool import QueuePool

from palio.errors import (
    AlreadyExists,
    Conflict,
    InvalidInput,
    MissingExtra,
    PalioError,
    StoreUnavailable,
)
from palio.storage import store as module
from palio.storage.schema import prepare
from palio.storage.store import SqlStore, engine_for
from palio.testing.records import RECORDS, outcome, prediction
from palio.testing.steps import change

MODEL = RECORDS["models"][0]


def opened(url: str) -> PalioError:
    """Return the error of opening a store there."""
    with pytest.raises(PalioError) as caught:
        ask(url)
    assert caught.value.__cause__ is None or "\n" not in str(caught.value)
    return caught.value


def ask(url: str) -> None:
    store = SqlStore(engine_for(url))
    try:
        with store.write() as unit:
            unit.models.find()
    finally:
        store.close()


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    error = opened(str(tmp_path / "nowhere" / "palio.db"))
    assert isinstance(error, InvalidInput)
    assert "create it, or name another file" in str(error)


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    error = opened(str(tmp_path))
    assert isinstance(error, StoreUnavailable)
    assert "unable to open database file" in str(error)
    assert "check PALIO_STORE" in str(error)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "palio.db"
    path.write_text("These are not the bytes you are looking for." * 100)
    error = opened(str(path))
    assert isinstance(error, StoreUnavailable)
    assert "file is not a database" in str(error)


def test_a_store_without_schema(tmp_path: Path) -> None:
    error = opened(str(tmp_path / "palio.db"))
    assert isinstance(error, StoreUnavailable)
    assert "no such table: models" in str(error)


def test_a_server_that_is_not_there() -> None:
    error = opened("postgresql://ann:s3cret@127.0.0.1:1/palio?connect_timeout=2")
    assert isinstance(error, StoreUnavailable)
    assert "127.0.0.1" in str(error)
    assert "s3cret" not in str(error)


@pytest.mark.parametrize("scheme", ["mysql+nothing", "ftp"])
def test_a_database_that_palio_does_not_speak(scheme: str) -> None:
    error = opened(f"{scheme}://ann:s3cret@host/db")
    assert isinstance(error, InvalidInput)
    assert f"no store speaks {scheme!r}" in str(error)
    assert "s3cret" not in str(error)


@pytest.mark.parametrize("url", ["postgresql://ann:s3cret@host:port/db", "://"])
def test_an_address_that_cannot_be_read(url: str) -> None:
    error = opened(url)
    assert isinstance(error, InvalidInput)
    assert "s3cret" not in str(error)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_a_missing_driver_names_its_extra(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "psycopg"]:
        monkeypatch.setitem(sys.modules, name, None)
    error = opened(f"{scheme}://host/db")
    assert isinstance(error, MissingExtra)
    assert "pip install 'palio[postgres]'" in str(error)
    assert error.details == {"extra": "postgres"}


def test_a_file_that_another_holds(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BUSY_MS", 10)
    other = sqlite3.connect(sqlite_url, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        error = opened(sqlite_url)
    finally:
        other.close()
    assert isinstance(error, StoreUnavailable)
    assert "database is locked" in str(error)
    assert "try again" in str(error)


def test_a_server_that_goes_away(postgres_store: SqlStore, postgres_url: str) -> None:
    def write() -> None:
        with postgres_store.write() as unit:
            unit.models.add(MODEL)
            with psycopg.connect(postgres_url, autocommit=True) as admin:
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            unit.models.find()

    with pytest.raises(StoreUnavailable, match="try again"):
        write()
    with postgres_store.read() as unit:  # a new connection, and nothing was kept
        assert list(unit.models.find()) == []


def test_no_connection_is_free(sqlite_url: str) -> None:
    engine = create_engine(
        f"sqlite:///{sqlite_url}",
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=0.01,
    )
    store = SqlStore(engine)
    with store.read(), pytest.raises(StoreUnavailable, match="QueuePool limit"), store.read():
        pass
    store.close()


def test_a_taken_key(sql_store: SqlStore) -> None:
    with sql_store.write() as unit:
        unit.models.add(MODEL)
    taken = pytest.raises(AlreadyExists, match=f"models has {MODEL.name} already")
    with taken as caught, sql_store.write() as unit:
        unit.models.add(MODEL)
    assert caught.value.details == {"kind": "models", "name": MODEL.name}


def test_a_text_that_postgres_cannot_hold(postgres_store: SqlStore) -> None:
    with pytest.raises(InvalidInput, match="cannot contain NUL"), postgres_store.write() as unit:
        unit.models.add(replace(MODEL, name="a\0b"))


def test_a_text_that_is_no_unicode(sql_store: SqlStore) -> None:
    refused = pytest.raises(InvalidInput, match="surrogates not allowed")
    with refused, sql_store.write() as unit:
        unit.log.append([prediction("\ud800")])
    with sql_store.read() as unit:
        assert unit.log.head() == 0


def test_a_number_beyond_64_bits(sql_store: SqlStore) -> None:
    with pytest.raises(InvalidInput, match="cannot be kept"), sql_store.read() as unit:
        unit.audit.entries(after=10**30)


def test_values_do_not_show_in_messages(sql_store: SqlStore) -> None:
    with pytest.raises(InvalidInput) as caught, sql_store.write() as unit:
        unit.models.add(replace(MODEL, name="s3cret", description="\ud800"))
    assert "s3cret" not in str(caught.value)
    assert "INSERT" not in str(caught.value)


def test_an_outcome_of_a_revision_that_is_there(sql_store: SqlStore) -> None:
    with sql_store.write() as unit:
        unit.log.append([outcome("o", request_id="r")])
    with pytest.raises(StoreUnavailable, match="try again"), sql_store.write() as unit:
        unit.log.append([outcome("o", request_id="r")])


def test_an_audit_log_without_its_head(sql_store: SqlStore) -> None:
    with sql_store.engine.begin() as connection:
        connection.execute(text("DELETE FROM audit_head"))
    with pytest.raises(StoreUnavailable, match="restore the store"), sql_store.write() as unit:
        unit.audit.append(change())


def test_what_the_block_raises_is_not_touched(sql_store: SqlStore) -> None:
    with pytest.raises(ZeroDivisionError), sql_store.write():
        _ = 1 / 0


def test_units_return_their_connections(sql_store: SqlStore) -> None:
    given, returned = [], []
    event.listen(sql_store.engine, "checkout", lambda *_: given.append(1))
    event.listen(sql_store.engine, "checkin", lambda *_: returned.append(1))
    for _ in range(30):  # more than the pool has
        with pytest.raises(ZeroDivisionError), sql_store.write():
            _ = 1 / 0
        with sql_store.read():
            pass
    assert len(given) == len(returned) == 60


@pytest.mark.parametrize("url", [":memory:", "", "sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="the path of a file"):
        engine_for(url)


@pytest.mark.parametrize("name", ["a?b=c.db", "50%25.db", "ünïcode #1.db", "postgres.db"])
def test_any_name_of_a_file(tmp_path: Path, name: str) -> None:
    engine = engine_for(str(tmp_path / name))
    prepare(engine)
    engine.dispose()
    assert (tmp_path / name).stat().st_size > 0


def test_a_record_that_names_nothing_is_refused(sql_store: SqlStore) -> None:
    version = RECORDS["versions"][0]
    refused = {"match": "names another that is not there"}
    with pytest.raises(Conflict, **refused), sql_store.write() as unit:
        unit.versions.add(version)
    with pytest.raises(Conflict, **refused), sql_store.write() as unit:
        unit.cursors.put_many(RECORDS["cursors"])
    with sql_store.read() as unit:
        assert list(unit.versions.find()) == list(unit.cursors.find()) == []
