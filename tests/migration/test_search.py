"""Versions that were registered before they could be searched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import text

from palio.registry.search.fields import facts_of
from palio.storage import schema
from palio.storage.store import SqlStore, engine_for
from palio.storage.versions import fact_row
from palio.testing.wired import Wired

OLD = (
    "INSERT INTO versions (model, version, ordinal, stage, flavor, manifest, metrics, training, "
    "tags, description, created_at, created_by, approved_by, parent, backtest, deleted_at, "
    "source) VALUES "
    "('m', :version, :ordinal, 'production', 'sklearn', '{\"files\":[],\"digest\":\"d\"}', "
    ":metrics, '{}', :tags, :description, '2026-11-01 12:00:00.000001+00:00', 'ann', :approved, "
    ":parent, :backtest, :deleted, '{}')"
)
SECOND = {
    "version": "v2", "ordinal": 2, "metrics": '{"auc":0.9,"roc auc":1}',
    "tags": '{"team":"risk","nul":"a\\u0000b"}', "description": "long" * 200, "approved": "bob",
    "parent": "m:v1", "backtest": '{"profit":-3.5}', "deleted": None,
}  # fmt: skip
FIRST = {
    "version": "v1", "ordinal": 1, "metrics": "{}", "tags": "{}", "description": "",
    "approved": None, "parent": None, "backtest": "{}", "deleted": "2026-11-02 00:00:00.000000",
}  # fmt: skip
MODEL = (
    "INSERT INTO models (name, lifecycle, created_at, created_by, description, tags) "
    "VALUES ('m', 'standard', '2026-11-01 00:00:00', 'ann', '', '{}')"
)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_old_versions_are_found(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    """What the migration wrote is what registering the same version writes today."""
    file = str(tmp_path / "old.db")
    engine = engine_for(file if kind == "sqlite" else request.getfixturevalue("new_postgres")())
    with engine.connect() as connection, connection.begin():
        command.upgrade(schema._config(connection), "0003")
        connection.execute(text(MODEL))
        old = OLD if kind == "postgres" else OLD.replace("+00:00", "")
        for version in (FIRST, SECOND):
            connection.execute(text(old), version)
    schema.upgrade(engine)
    store = SqlStore(engine)
    versions = Wired(store).versions
    asked = "metrics.auc > 0.8 and tags.team = 'risk' and description contains 'glong'"
    assert [found.version for found in versions.search(asked).versions] == ["v2"]
    assert [found.version for found in versions.search("deleted = true").versions] == ["v1"]
    with store.read() as unit:
        expected = [
            fact_row(arrival, name, value)
            for arrival, version in enumerate(unit.versions.find(), start=1)
            for name, value in facts_of(version).items()
        ]
    assert rows_of(store) == sorted(expected, key=lambda row: (row["version"], row["name"]))
    versions.edit("m:v2", tags={"team": "fraud"})
    assert versions.search("tags.nul contains 'ab' or tags.team = 'risk'").versions == ()
    store.close()


def rows_of(store: SqlStore) -> list[dict[str, Any]]:
    with store.engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM version_facts")).mappings().all()
    return sorted(map(dict, rows), key=lambda row: (row["version"], row["name"]))
