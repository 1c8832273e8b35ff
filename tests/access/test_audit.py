"""The audit chain: any edit, gap or change of order is found."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from palio.access.audit import GENESIS, AuditEntry, Change, first_break, seal
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
    for seq, change in enumerate(made, start=1):
        prev = entries[-1].hash if entries else GENESIS
        entries.append(seal(change, seq=seq, prev_hash=prev))
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


def test_the_verb_tells_a_missing_end(wired: Wired) -> None:
    for name in ("a", "b", "c"):
        wired.models.create(name)
    assert wired.audit.verify().broken is None
    assert wired.audit.verify().entries == 3

    with wired.store.read() as unit:
        unit.audit.entries = lambda **_: wired.audit.list()[:-1]  # type: ignore[method-assign]
        cut = replace(wired.audit, store=_Given(unit))  # type: ignore[arg-type]
        found = cut.verify()
    assert found.entries == 2
    assert found.broken is not None
    assert (found.broken.seq, found.broken.problem) == (3, "entries are missing at the end")


class _Given:
    """A store that opens the unit it is given."""

    def __init__(self, unit: Any) -> None:
        self._unit = unit

    def read(self) -> _Given:
        return self

    def __enter__(self) -> Any:
        return self._unit

    def __exit__(self, *_: object) -> None:
        return None


def test_pages_of_the_log(wired: Wired) -> None:
    for number in range(5):
        wired.models.create(f"m{number}")
    assert [entry.seq for entry in wired.audit.list(after=2, limit=2)] == [3, 4]
    assert list(wired.audit.list(limit=-1)) == []
    assert len(wired.audit.list(limit=10_000)) == 5
