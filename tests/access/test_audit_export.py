"""Exported logs: lines that can be checked alone, against which no change goes unnoticed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from palio.access.audit import (
    GENESIS,
    AuditCheck,
    AuditEntry,
    Break,
    Change,
    Mark,
    check_chain,
    entries_of,
    line_of,
    seal,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIELDS = ("at", "actor", "action", "subject", "before", "after", "reason")
json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
details = st.none() | st.dictionaries(st.text(), json, max_size=3)
values: dict[str, st.SearchStrategy[Any]] = {
    "at": st.integers(0, 10**9).map(lambda micros: NOW + timedelta(microseconds=micros)),
    "actor": st.text(),
    "action": st.text(),
    "subject": st.text(),
    "before": details,
    "after": details,
    "reason": st.text(),
}
changes = st.builds(Change, **values)


def chain(made: list[Change]) -> list[AuditEntry]:
    entries: list[AuditEntry] = []
    for seq, one in enumerate(made, start=1):
        entries.append(seal(one, seq=seq, prev_hash=entries[-1].hash if entries else GENESIS))
    return entries


def check(lines: list[bytes], known: Mark | None = None) -> AuditCheck:
    return check_chain(entries_of(lines), known)


@given(st.lists(changes, max_size=5))
def test_an_exported_log_holds(made: list[Change]) -> None:
    entries = chain(made)
    lines = [line_of(entry) for entry in entries]
    head = entries[-1].hash if entries else GENESIS
    assert check(lines) == AuditCheck(len(made), None, head)
    assert list(entries_of(lines)) == entries
    assert all(line.count(b"\n") == 1 and line.endswith(b"\n") for line in lines)


@given(st.lists(changes, min_size=1, max_size=4), st.data())
def test_any_byte_is_covered(made: list[Change], data: st.DataObject) -> None:
    lines = [line_of(entry) for entry in chain(made)]
    place = data.draw(st.integers(0, len(lines) - 1))
    at = data.draw(st.integers(0, len(lines[place]) - 2))  # the line's end is no content
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != lines[place][at]))
    lines[place] = lines[place][:at] + bytes([byte]) + lines[place][at + 1 :]
    whole = b"".join(lines)
    found = check([line + b"\n" for line in whole.split(b"\n")[:-1]])  # as a file is read
    assert found.broken is not None
    assert found.broken.seq == place + 1 == found.entries + 1


@given(st.lists(changes, min_size=1, max_size=4), st.data())
def test_a_line_cut_short_is_found(made: list[Change], data: st.DataObject) -> None:
    lines = [line_of(entry) for entry in chain(made)]
    lines[-1] = lines[-1][: data.draw(st.integers(0, len(lines[-1]) - 2))]
    found = check(lines)
    assert found.broken is not None
    assert found.broken.problem.startswith(f"line {len(lines)} is no audit entry")


def test_no_depth_goes_unnoticed() -> None:
    """From what can be read to what cannot, whatever lies between."""
    line = line_of(*chain([replace(plain(), after={"x": "DEEP"})]))
    for depth in range(900, 1_100):
        found = check([line.replace(b'"DEEP"', b"[" * depth + b"]" * depth)]).broken
        assert found is not None
        assert found.seq == 1


def test_line_ends_of_windows_are_no_edit() -> None:
    lines = [line_of(entry) for entry in chain([plain(), plain()])]
    assert check([line.replace(b"\n", b"\r\n") for line in lines]).broken is None


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (lambda line: line.replace(b"{", b'{"actor":"eve",', 1), "is not as it was exported"),
        (lambda line: line.replace(b"}", b',"note":"x"}'), "is not as it was exported"),
        (lambda line: line.replace(b":", b": ", 1), "is not as it was exported"),
        (lambda line: line.replace(b"ann", b"\\u0061nn"), "is not as it was exported"),
        (lambda line: b"[" * 100_000 + line, "is no audit entry"),
        (lambda _: b"\n", "is no audit entry"),
        (lambda _: b"\xff\n", "is no audit entry"),
        (lambda _: b"{}\n", "is no audit entry"),
    ],
)
def test_what_another_reader_would_read_differently(
    edit: Callable[[bytes], bytes], problem: str
) -> None:
    """A second field of the same name, one that is unknown, blanks: the line is another one."""
    lines = [line_of(entry) for entry in chain([plain(), plain()])]
    found = check([lines[0], edit(lines[1])])
    assert found.entries == 1
    assert found.broken is not None
    assert problem in found.broken.problem


def plain() -> Change:
    return Change(at=NOW, actor="ann", action="model.create", subject="m")


class Forger(RuleBasedStateMachine):
    """Somebody changes copies of a log in any way, sealing again what follows or not.

    The log is known by its head, as a checkpoint has it. A copy must be found wrong unless it
    begins with the very log that was signed.
    """

    @initialize(made=st.lists(changes, min_size=1, max_size=6), data=st.data())
    def write(self, made: list[Change], data: st.DataObject) -> None:
        self.honest = chain(made)
        self.copy = list(self.honest)
        signed = self.honest[data.draw(st.integers(0, len(made) - 1))]
        self.known = Mark(signed.seq, signed.hash)

    @rule()
    def take_a_fresh_copy(self) -> None:
        self.copy = list(self.honest)

    @precondition(lambda self: self.copy)
    @rule(data=st.data(), name=st.sampled_from(FIELDS))
    def edit(self, data: st.DataObject, name: str) -> None:
        place = self.place(data)
        self.copy[place] = replace(self.copy[place], **{name: data.draw(values[name])})

    @precondition(lambda self: self.copy)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        del self.copy[self.place(data)]

    @precondition(lambda self: self.copy)
    @rule(data=st.data())
    def swap(self, data: st.DataObject) -> None:
        one, other = self.place(data), self.place(data)
        self.copy[one], self.copy[other] = self.copy[other], self.copy[one]

    @rule(data=st.data(), change=changes)
    def insert(self, data: st.DataObject, change: Change) -> None:
        place = data.draw(st.integers(0, len(self.copy)))
        self.copy.insert(place, seal(change, seq=place + 1, prev_hash=GENESIS))

    @precondition(lambda self: self.copy)
    @rule(data=st.data())
    def cut_the_tail(self, data: st.DataObject) -> None:
        del self.copy[self.place(data) :]

    @precondition(lambda self: self.copy)
    @rule(data=st.data())
    def seal_again(self, data: st.DataObject) -> None:
        """Number and hash from some place on, so that the chain holds as such."""
        start = self.place(data)
        for place in range(start, len(self.copy)):
            one = Change(**{name: getattr(self.copy[place], name) for name in FIELDS})
            prev_hash = self.copy[place - 1].hash if place else GENESIS
            self.copy[place] = seal(one, seq=place + 1, prev_hash=prev_hash)

    @invariant()
    def only_what_was_signed_passes(self) -> None:
        if not hasattr(self, "honest"):
            return
        signed = [line_of(entry) for entry in self.honest[: self.known.seq]]
        lines = [line_of(entry) for entry in self.copy]
        found = check(lines, self.known)
        if lines[: len(signed)] != signed:
            assert found.broken is not None
        if lines == [line_of(entry) for entry in self.honest]:
            assert found.broken is None

    @invariant()
    def a_chain_that_passes_is_a_chain(self) -> None:
        if hasattr(self, "honest") and check([line_of(one) for one in self.copy]).broken is None:
            assert [one.seq for one in self.copy] == [*range(1, len(self.copy) + 1)]
            hashes = [GENESIS, *(one.hash for one in self.copy)]
            assert [one.prev_hash for one in self.copy] == hashes[:-1]

    def place(self, data: st.DataObject) -> int:
        return data.draw(st.integers(0, len(self.copy) - 1))


TestForger = Forger.TestCase
TestForger.settings = settings(max_examples=200, stateful_step_count=12, deadline=None)


def test_a_cut_tail_and_a_rewrite_show_against_the_head_only() -> None:
    entries = chain([plain(), replace(plain(), reason="why"), plain()])
    known = Mark(3, entries[-1].hash)
    cut = [line_of(entry) for entry in entries[:2]]
    assert check(cut).broken is None
    assert check(cut, known).broken == Break(
        3, "entries 3 to 3 are missing at the end: 3 entries are known from elsewhere"
    )
    anew = [line_of(one) for one in chain([plain(), replace(plain(), actor="eve"), plain()])]
    assert check(anew).broken is None
    rewritten = check(anew, known).broken
    assert rewritten is not None
    assert rewritten.seq == 3
    assert "the log was rewritten here or before" in rewritten.problem


def test_a_line_says_everything() -> None:
    [entry] = chain([plain()])
    assert msgspec.json.decode(line_of(entry)) == {
        "seq": 1,
        "at": "2026-01-01T00:00:00Z",
        "actor": "ann",
        "action": "model.create",
        "subject": "m",
        "before": None,
        "after": None,
        "reason": "",
        "prev_hash": "0" * 64,
        "hash": entry.hash,
    }
