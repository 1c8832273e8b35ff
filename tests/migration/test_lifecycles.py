"""Lifecycles that were declared before stages could require anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import text

from palio.registry.lifecycle import Lifecycle
from palio.storage import schema
from palio.storage.store import SqlStore, engine_for
from palio.testing.wired import Wired

OLD = Lifecycle(  # with a stage that nothing reaches: declared today it would be refused
    name="old",
    initial="a",
    production="b",
    retired="c",
    transitions={"a": ("b",), "b": ("c",), "c": ("b",), "lost": ()},
)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_an_old_lifecycle_works_on(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    new: Callable[[], str] = (
        (lambda: str(tmp_path / "old.db"))
        if kind == "sqlite"
        else request.getfixturevalue("new_postgres")
    )
    engine = engine_for(new())
    with engine.connect() as connection, connection.begin():
        command.upgrade(schema._config(connection), "0001")
        connection.execute(
            text(
                "INSERT INTO lifecycles (name, initial, production, retired, transitions) VALUES "
                """('old', 'a', 'b', 'c', '{"a":["b"],"b":["c"],"c":["b"],"lost":[]}')"""
            )
        )
    schema.upgrade(engine)
    store = SqlStore(engine)
    wired = Wired(store)
    assert wired.lifecycles.get("old") == OLD
    wired.models.create("m", lifecycle="old")
    wired.register("m:1", "m:2")
    wired.versions.promote("m:1")
    wired.versions.promote("m:2")
    assert wired.models.rollback("m").version == "1"
    assert wired.models.set_alias("m", "next", "2").version == "2"
    assert wired.versions.requirements("m:2").ready
    store.close()
