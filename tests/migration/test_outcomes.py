"""Statistics that older schemas folded are folded anew, from the log's first event on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import text

from palio.storage import schema
from palio.storage.store import SqlStore, engine_for

OLD = (
    (
        "INSERT INTO models (name, lifecycle, created_at, created_by, description, tags, "
        "lifecycle_revision) VALUES ('m', 'standard', '2026-01-01 00:00:00', 'ann', '', '{}', 1)"
    ),
    (
        "INSERT INTO experiments (key, design, model, salt, state, created_at, created_by, epoch, "
        "reason) VALUES ('e', '{}', 'm', '', 'draft', '2026-01-01 00:00:00', 'ann', 1, '')"
    ),
    "INSERT INTO unit_values VALUES ('e', 1, 'u', 'control', '{\"brier\":[1,0.25]}')",
    "INSERT INTO cursors VALUES ('e', 7)",
    "INSERT INTO variant_counts VALUES ('e', 1, 'control', 1, 2, 3, 4, 5, 6)",
)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_what_was_folded_is_empty(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    new: Callable[[], str] = (
        (lambda: str(tmp_path / "old.db"))
        if kind == "sqlite"
        else request.getfixturevalue("new_postgres")
    )
    engine = engine_for(new())
    with engine.connect() as connection, connection.begin():
        command.upgrade(schema._config(connection), "0004")
        for statement in OLD:
            connection.execute(text(statement.replace(":[", "\\:[")))
    schema.upgrade(engine)
    store = SqlStore(engine)
    with store.read() as unit:
        for folded in (unit.unit_values, unit.variant_counts, unit.metric_sums, unit.cursors):
            assert folded.find() == []
        assert unit.reported_sums.find() == []
    store.close()
