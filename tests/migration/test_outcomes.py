"""Statistics that were folded before windows, and before variants were told anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import text

from palio.experiments.statistics import UnitValues, VariantCounts
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
    "INSERT INTO variant_counts VALUES ('e', 1, 'control', 1, 2, 3, 4, 5, 6)",
)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_what_was_folded_is_as_it_was(
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
        assert unit.unit_values.find() == [
            UnitValues(
                experiment="e", epoch=1, unit="u", variant="control", values={"brier": (1, 0.25)}
            )
        ]
        assert unit.variant_counts.find() == [
            VariantCounts(
                experiment="e", epoch=1, variant="control", units=1, requests=2, errors=3,
                labelled=4, outcomes=5, crossovers=6, overdue=0,
            )
        ]  # fmt: skip
        assert unit.reported_sums.find() == []
    store.close()
