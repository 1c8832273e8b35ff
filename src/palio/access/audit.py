"""The audit log: who changed what, when and why, each entry sealed with the one before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import msgspec

__all__ = ["GENESIS", "AuditEntry", "Break", "Change", "first_break", "seal"]

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


def first_break(entries: Iterable[AuditEntry]) -> Break | None:
    """Return the first place where the chain does not hold, reading from its start.

    Parameters
    ----------
    entries
        All entries in order of ``seq``.
    """
    prev, expected = GENESIS, 1
    for entry in entries:
        if entry.seq != expected:
            return Break(expected, f"entry {expected} is missing; {entry.seq} follows")
        if entry.prev_hash != prev:
            return Break(entry.seq, "it does not follow the entry before it")
        content = msgspec.to_builtins(entry)
        for field in ("seq", "prev_hash", "hash"):
            content.pop(field)
        if _digest(content, entry.seq, prev) != entry.hash:
            return Break(entry.seq, "its content was edited")
        prev, expected = entry.hash, expected + 1
    return None


def _digest(content: Mapping[str, Any], seq: int, prev_hash: str) -> str:
    sealed = {**content, "seq": seq, "prev_hash": prev_hash}
    return hashlib.sha256(msgspec.json.encode(sealed, order="sorted")).hexdigest()
