"""The audit log: who changed what, when and why, each entry sealed with the one before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from palio.errors import InvalidInput

__all__ = [
    "GENESIS",
    "AuditCheck",
    "AuditEntry",
    "AuditQuery",
    "Break",
    "Change",
    "Mark",
    "check_chain",
    "entries_of",
    "first_break",
    "line_of",
    "seal",
]

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of state, not yet in the log.

    ``action`` is a noun and a verb (``version.promote``), ``subject`` what was changed;
    ``before`` and ``after`` hold the fields that differ.
    """

    at: datetime
    actor: str
    action: str
    subject: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """A change at its place in the chain: ``hash`` covers all else, ``prev_hash`` included."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    reason: str
    prev_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class Break:
    """Where the chain does not hold: the first entry that is wrong, and how."""

    seq: int
    problem: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the chain as it is known from elsewhere: an entry's number and its hash."""

    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """What reading a chain found.

    ``entries`` hold, ``head`` is the hash of the last of them, ``broken`` is what comes next
    and does not.
    """

    entries: int
    broken: Break | None
    head: str = GENESIS


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditQuery:
    """Which entries are asked for; what is not given does not restrict.

    Parameters
    ----------
    model
        Entries on the model, its versions and aliases, its endpoints and experiments.
    actor
        Who acted, exactly.
    action
        An action (``version.promote``), or a noun for all actions on it (``version``).
    since, until
        From this moment on, and before that one; both with a zone.
    """

    model: str | None = None
    actor: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        for name in ("since", "until"):
            at = getattr(self, name)
            if at is not None and at.tzinfo is None:
                raise InvalidInput(
                    f"{name} is {at.isoformat()}, which has no zone; write {at.isoformat()}Z",
                    field=name,
                    value=at.isoformat(),
                )

    def admits(self, entry: AuditEntry) -> bool:
        """Tell whether an entry is by the actor, of the action and in the time asked for."""
        noun = entry.action.partition(".")[0]
        return (
            self.actor in (None, entry.actor)
            and self.action in (None, entry.action, noun)
            and (self.since is None or self.since <= entry.at)
            and (self.until is None or entry.at < self.until)
        )


def seal(change: Change, *, seq: int, prev_hash: str) -> AuditEntry:
    """Give a change its place after the entry that hashes to ``prev_hash``."""
    change = replace(change, at=change.at.astimezone(UTC))  # as every store reads it back
    content = msgspec.to_builtins(change)
    return AuditEntry(
        seq=seq,
        at=change.at,
        actor=change.actor,
        action=change.action,
        subject=change.subject,
        before=content["before"],
        after=content["after"],
        reason=change.reason,
        prev_hash=prev_hash,
        hash=_digest(content, seq, prev_hash),
    )


def check_chain(entries: Iterable[AuditEntry | Break], known: Mark | None = None) -> AuditCheck:
    """Read a chain from its start to the first place where it does not hold.

    Parameters
    ----------
    entries
        All entries in order of ``seq``, read one at a time; a `Break` among them stands for
        what could not be read.
    known
        A place that the chain must contain.
    """
    last = Mark(0, GENESIS)
    for entry in entries:
        if isinstance(entry, Break):
            return AuditCheck(last.seq, replace(entry, seq=last.seq + 1), last.hash)
        broken = _break_at(entry, last) or _rewritten(entry, known)
        if broken is not None:
            return AuditCheck(last.seq, broken, last.hash)
        last = Mark(entry.seq, entry.hash)
    return AuditCheck(last.seq, _cut(last, known), last.hash)


def first_break(entries: Iterable[AuditEntry]) -> Break | None:
    """Return the first place where the chain does not hold, reading from its start.

    Parameters
    ----------
    entries
        All entries in order of ``seq``.
    """
    return check_chain(entries).broken


def line_of(entry: AuditEntry) -> bytes:
    """Return an entry as one line of JSON: all that is needed to check it after the one before."""
    return msgspec.json.encode(entry) + b"\n"


def entries_of(lines: Iterable[bytes]) -> Iterator[AuditEntry | Break]:
    """Read lines made by `line_of`; one that differs in any byte is a `Break`, and the last.

    Line ends may have become those of Windows.
    """
    for number, line in enumerate(lines, start=1):
        try:
            entry = _READ(line)
            again = line_of(entry)
        except (msgspec.DecodeError, ValueError, RecursionError) as unreadable:
            yield Break(number, f"line {number} is no audit entry: {unreadable}")
            return
        if again.rstrip(b"\n") != line.rstrip(b"\r\n"):
            yield Break(number, f"line {number} is not as it was exported")
            return
        yield entry


_READ = msgspec.json.Decoder(AuditEntry).decode


def _break_at(entry: AuditEntry, last: Mark) -> Break | None:
    expected = last.seq + 1
    if entry.seq != expected:
        return Break(expected, f"entry {expected} is missing; {entry.seq} follows")
    if entry.prev_hash != last.hash:
        return Break(expected, "it does not follow the entry before it")
    try:
        found = _digest_again(entry)
    except RecursionError:  # as deep as it could be read, and too deep to be written
        return Break(expected, "its content is nested too deeply")
    return None if found == entry.hash else Break(expected, "its content was edited")


def _digest_again(entry: AuditEntry) -> str:
    content = msgspec.to_builtins(entry)
    for field in ("seq", "prev_hash", "hash"):
        content.pop(field)
    return _digest(content, entry.seq, entry.prev_hash)


def _rewritten(entry: AuditEntry, known: Mark | None) -> Break | None:
    if known is None or entry.seq != known.seq or entry.hash == known.hash:
        return None
    return Break(
        entry.seq,
        f"its hash is {entry.hash[:12]}…, and {known.hash[:12]}… is known from elsewhere: "
        "the log was rewritten here or before",
    )


def _cut(last: Mark, known: Mark | None) -> Break | None:
    if known is None or known.seq <= last.seq:
        return None
    return Break(
        last.seq + 1,
        f"entries {last.seq + 1} to {known.seq} are missing at the end: "
        f"{known.seq} entries are known from elsewhere",
    )


def _digest(content: Mapping[str, Any], seq: int, prev_hash: str) -> str:
    sealed = {**content, "seq": seq, "prev_hash": prev_hash}
    return hashlib.sha256(msgspec.json.encode(sealed, order="sorted")).hexdigest()
