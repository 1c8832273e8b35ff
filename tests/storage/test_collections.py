"""What the statements of a collection must see to themselves, on each database."""

from __future__ import annotations

from dataclasses import replace

from palio.storage.store import SqlStore
from palio.testing.records import RECORDS


def test_whole_numbers_and_fractions_together(sql_store: SqlStore) -> None:
    """A driver refuses an array of both; the column takes both."""
    first, *_ = RECORDS["variant_counts"]
    rows = [
        replace(first, variant="a", expected=1),
        replace(first, variant="b", expected=0.5),
    ]
    with sql_store.write() as unit:
        unit.models.put_many(RECORDS["models"])
        unit.experiments.put_many(RECORDS["experiments"])
        unit.variant_counts.put_many(rows)
    keys = [(row.experiment, row.epoch, row.variant) for row in rows]
    with sql_store.read() as unit:
        assert [unit.variant_counts.get_many(keys)[key].expected for key in keys] == [1, 0.5]


def test_a_key_with_a_nul_is_no_other_key(sqlite_store: SqlStore) -> None:
    """SQLite ends a text of a JSON list at its NUL."""
    row = RECORDS["unit_values"][0]
    with sqlite_store.write() as unit:
        unit.unit_values.put_many([row])
    known = (row.experiment, row.epoch, row.unit)
    with sqlite_store.read() as unit:
        found = unit.unit_values.get_many([known, (*known[:2], f"{row.unit}\0more")])
        assert list(unit.log.of_requests(["r\0"])) == []
    assert found == {known: row}
