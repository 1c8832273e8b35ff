"""The audit chain: any edit, gap or change of order is found."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from tests.e2e.servers import design

from palio.access.audit import (
    GENESIS,
    AuditCheck,
    AuditEntry,
    Break,
    Change,
    first_break,
    seal,
)
from palio.access.service import every_entry
from palio.errors import CorruptArtifact, InvalidInput
from palio.storage.store import SqlStore, engine_for
from palio.storage.tables import audit_entries
from palio.testing.steps import change
from palio.testing.wired import Wired

NOW = datetime(2026, 1, 1, tzinfo=UTC)
json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
zones = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
changes = st.builds(
    Change,
    at=st.datetimes(
        min_value=datetime(1990, 1, 1),  # noqa: DTZ001 - the zone is drawn beside it
        max_value=datetime(2100, 1, 1),  # noqa: DTZ001
        timezones=zones,
    ),
    actor=st.text(),
    action=st.text(),
    subject=st.text(),
    before=st.none() | st.dictionaries(st.text(), json, max_size=3),
    after=st.none() | st.dictionaries(st.text(), json, max_size=3),
    reason=st.text(),
)
chains = st.lists(changes, min_size=1, max_size=6)


def chain(made: list[Change]) -> list[AuditEntry]:
    entries: list[AuditEntry] = []
    for seq, one in enumerate(made, start=1):
        prev = entries[-1].hash if entries else GENESIS
        entries.append(seal(one, seq=seq, prev_hash=prev))
    return entries


@given(chains)
def test_a_chain_holds(made: list[Change]) -> None:
    entries = chain(made)
    assert first_break(entries) is None
    assert [entry.prev_hash for entry in entries] == [GENESIS, *(e.hash for e in entries[:-1])]


def test_an_empty_chain_holds() -> None:
    assert first_break([]) is None


edits: dict[str, st.SearchStrategy[Any]] = {
    "at": st.just(datetime(1980, 1, 1, tzinfo=UTC)),
    "actor": st.text(),
    "action": st.text(),
    "subject": st.text(),
    "before": st.none() | st.dictionaries(st.text(), st.integers(), max_size=2),
    "after": st.none() | st.dictionaries(st.text(), st.integers(), max_size=2),
    "reason": st.text(),
    "prev_hash": st.text(),
    "hash": st.text(),
}


@given(chains, st.data())
def test_any_edit_is_found(made: list[Change], data: st.DataObject) -> None:
    entries = chain(made)
    place = data.draw(st.integers(0, len(entries) - 1))
    name = data.draw(st.sampled_from(sorted(edits)))
    value = data.draw(edits[name].filter(lambda value: value != getattr(entries[place], name)))
    entries[place] = replace(entries[place], **{name: value})
    found = first_break(entries)
    assert found is not None
    assert found.seq == place + 1


@given(chains, st.data())
def test_a_removed_entry_is_found(made: list[Change], data: st.DataObject) -> None:
    entries = chain(made)
    place = data.draw(st.integers(0, len(entries) - 1))
    removed = entries[:place] + entries[place + 1 :]
    found = first_break(removed)
    if place == len(made) - 1:  # the end: what is left holds, and only the head's number tells
        assert found is None
    else:
        assert found is not None
        assert found.problem == f"entry {place + 1} is missing; {place + 2} follows"


@given(chains.filter(lambda made: len(made) > 1), st.randoms(use_true_random=False))
def test_another_order_is_found(made: list[Change], random: Any) -> None:
    entries = chain(made)
    shuffled = entries.copy()
    random.shuffle(shuffled)
    assert (first_break(shuffled) is None) == (shuffled == entries)


@given(chains, changes)
def test_an_inserted_entry_is_found(made: list[Change], more: Change) -> None:
    entries = chain(made)
    forged = seal(more, seq=1, prev_hash=GENESIS)
    assert first_break([forged, *entries]) is not None
    renumbered = [forged, *(replace(entry, seq=entry.seq + 1) for entry in entries)]
    assert first_break(renumbered) is not None


def test_a_check_says_how_far_it_holds(wired: Wired) -> None:
    assert wired.audit.verify() == AuditCheck(0, None, GENESIS)
    for name in ("a", "b", "c"):
        wired.models.create(name)
    assert wired.audit.verify() == AuditCheck(3, None, wired.audit.list()[-1].hash)


# What somebody with the store in hand may do, and what is told about it.
TAMPERED = {
    "UPDATE audit_entries SET reason = 'forged' WHERE seq = 2": (2, "its content was edited"),
    "UPDATE audit_entries SET at = '2020-01-01 00:00:00' WHERE seq = 1": (
        1,
        "its content was edited",
    ),
    "DELETE FROM audit_entries WHERE seq = 1": (1, "entry 1 is missing; 2 follows"),
    "DELETE FROM audit_entries WHERE seq = 2": (2, "entry 2 is missing; 3 follows"),
    "DELETE FROM audit_entries WHERE seq = 4": (4, "entries are missing at the end"),
    "DELETE FROM audit_entries": (1, "entries are missing at the end"),
    "UPDATE audit_entries SET seq = 9 WHERE seq = 1; "
    "UPDATE audit_entries SET seq = 1 WHERE seq = 4; "
    "UPDATE audit_entries SET seq = 4 WHERE seq = 9": (
        1,
        "it does not follow the entry before it",
    ),
    "UPDATE audit_entries SET seq = 0 WHERE seq = 1": (1, "entry 1 is missing; 0 follows"),
    "UPDATE audit_entries SET seq = -7 WHERE seq = 4": (1, "entry 1 is missing; -7 follows"),
    "UPDATE audit_head SET seq = 3": (
        4,
        "it follows entry 3, which the store knows as the last",
    ),
    "UPDATE audit_head SET hash = 'forged'": (
        4,
        "its hash is not the one that the store knows as the last",
    ),
    "DELETE FROM audit_head": (1, "it follows entry 0, which the store knows as the last"),
}


@pytest.mark.parametrize("statements", TAMPERED)
def test_a_tampered_store_is_found(sql_store: SqlStore, statements: str) -> None:
    wired = Wired(sql_store)
    for name in ("a", "b", "c", "d"):
        wired.models.create(name)
    with sql_store.engine.begin() as connection:
        for statement in statements.split("; "):
            connection.execute(text(statement))
    assert wired.audit.verify().broken == Break(*TAMPERED[statements])


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("after", "{", "it cannot be read: Input data was truncated"),
        (
            "before",
            "[]",
            "it cannot be read: Expected `object | null`, got `array` - at `$.before`",
        ),
        ("after", '{"a":' + "[" * 5_000, "it cannot be read: maximum recursion depth exceeded"),
    ],
)
def test_an_entry_that_cannot_be_read_is_named(
    sql_store: SqlStore, column: str, value: str, problem: str
) -> None:
    wired = Wired(sql_store)
    for name in ("a", "b", "c", "d"):
        wired.models.create(name)
    with sql_store.engine.begin() as connection:
        connection.execute(
            text(f"UPDATE audit_entries SET {column} = :value WHERE seq = 3"), {"value": value}
        )
    found = wired.audit.verify()
    assert found.entries == 2
    assert found.broken is not None
    assert found.broken.seq == 3
    assert found.broken.problem.startswith(problem)
    with pytest.raises(CorruptArtifact, match="`palio audit verify` says which"):
        wired.audit.list()


@pytest.mark.parametrize("value", ["yesterday", "x'ff'"])
def test_a_moment_that_is_none_is_named(sqlite_store: SqlStore, value: str) -> None:
    """SQLite keeps anything in any column."""
    wired = Wired(sqlite_store)
    wired.models.create("a")
    with sqlite_store.engine.begin() as connection:
        connection.execute(text("UPDATE audit_entries SET at = :value"), {"value": value})
    found = wired.audit.verify().broken
    assert found is not None
    assert (found.seq, "it cannot be read: " in found.problem) == (1, True)


def test_an_edited_end_that_was_sealed_again_is_found(sql_store: SqlStore) -> None:
    """The chain of entries holds; the head beside it tells."""
    wired = Wired(sql_store)
    for name in ("a", "b"):
        wired.models.create(name)
    first, last = wired.audit.list()
    forged = seal(
        Change(at=last.at, actor="eve", action=last.action, subject=last.subject),
        seq=2,
        prev_hash=first.hash,
    )
    with sql_store.engine.begin() as connection:
        connection.execute(text("DELETE FROM audit_entries WHERE seq = 2"))
        row = {column.name: getattr(forged, column.name) for column in audit_entries.c}
        connection.execute(audit_entries.insert(), row)
    assert first_break(wired.audit.list()) is None
    found = wired.audit.verify()
    assert found.broken is not None
    assert found.broken.problem == "its hash is not the one that the store knows as the last"


def test_a_copy_of_a_store_is_checked_as_the_store(
    sqlite_store: SqlStore, sqlite_url: str, tmp_path: Path
) -> None:
    wired = Wired(sqlite_store)
    for name in ("a", "b", "c"):
        wired.models.create(name)
    with sqlite3.connect(sqlite_url) as source, sqlite3.connect(tmp_path / "copy.db") as target:
        source.backup(target)
    source.close()
    target.close()
    copy = SqlStore(engine_for(str(tmp_path / "copy.db")))
    try:
        assert Wired(copy).audit.verify() == wired.audit.verify()
        with copy.engine.begin() as connection:
            connection.execute(text("UPDATE audit_entries SET actor = 'eve' WHERE seq = 3"))
        assert Wired(copy).audit.verify().broken == Break(3, "its content was edited")
    finally:
        copy.close()
    assert wired.audit.verify().broken is None


def test_a_known_place_is_looked_for(sql_store: SqlStore) -> None:
    wired = Wired(sql_store)
    for name in ("a", "b", "c"):
        wired.models.create(name)
    for entry in wired.audit.list():
        assert wired.audit.verify(entry.seq, entry.hash).broken is None
    rewritten = wired.audit.verify(2, "f" * 64)
    assert rewritten.entries == 1
    assert rewritten.broken is not None
    assert rewritten.broken.seq == 2
    assert "the log was rewritten here or before" in rewritten.broken.problem
    assert wired.audit.verify(5, "f" * 64).broken == Break(
        4, "entries 4 to 5 are missing at the end: 5 entries are known from elsewhere"
    )


@pytest.mark.parametrize(
    ("seq", "hash_", "field"),
    [(-1, "", "known_seq"), (1, "", "known_hash"), (0, "f", "known_hash")],
)
def test_a_place_is_given_whole(wired: Wired, seq: int, hash_: str, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        wired.audit.verify(seq, hash_)
    assert caught.value.details["field"] == field


def test_every_entry_comes_once(wired: Wired) -> None:
    with wired.store.write() as unit:
        for number in range(2_345):  # two pages and a bit
            unit.audit.append(change(action=f"a.{number}"))
    assert [entry.seq for entry in every_entry(wired.audit)] == [*range(1, 2_346)]
    assert wired.audit.verify().entries == 2_345


def test_pages_of_the_log(wired: Wired) -> None:
    for number in range(5):
        wired.models.create(f"m{number}")
    assert [entry.seq for entry in wired.audit.list(after=2, limit=2)] == [3, 4]
    assert list(wired.audit.list(limit=-1)) == []
    assert len(wired.audit.list(limit=10_000)) == 5


def test_a_query_by_model(wired: Wired) -> None:
    """What every noun writes about a model is found, and nothing about another."""
    wired.serve("v1", "v2")
    wired.models.create("other")
    wired.endpoints.create("second", "other")
    wired.endpoints.override("credit", "v2")
    wired.run(design("exp"))
    wired.models.set_alias("credit", "next", "v2")
    wired.keys.create("credit")
    everything = wired.audit.list(limit=1_000)
    others = {("model.create", "other"), ("endpoint.create", "second")}
    of_credit = [
        entry
        for entry in everything
        if (entry.action, entry.subject) not in others and not entry.action.startswith("key.")
    ]
    assert {entry.action.partition(".")[0] for entry in of_credit} == {
        *("alias", "endpoint", "experiment", "model", "version"),
    }
    assert list(wired.audit.list(model="credit", limit=1_000)) == of_credit
    pages, after = [], 0
    while page := wired.audit.list(after, 2, model="credit"):
        pages += page
        after = page[-1].seq
    assert pages == of_credit


@pytest.mark.parametrize("name", ["since", "until"])
def test_a_moment_has_a_zone(wired: Wired, name: str) -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 - that is the point
    with pytest.raises(InvalidInput, match=f"{name} is .*has no zone; write") as caught:
        wired.audit.list(**{name: naive})  # type: ignore[arg-type]
    assert caught.value.details == {"field": name, "value": "2026-01-01T00:00:00"}
