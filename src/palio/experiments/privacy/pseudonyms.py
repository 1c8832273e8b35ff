"""Pseudonyms: what is kept of a unit's id where it is not kept as it was sent.

With a key, a keyed hash stands for the id wherever something is kept of it. Variants are still
given by the id itself, so that a split means the same with and without a key, and what a client
is answered names the unit as the client does.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from datetime import datetime

from palio.errors import InvalidInput, Refused
from palio.experiments.ports import ExperimentUnit
from palio.experiments.privacy.marks import UNIT_KEY, StoreMark
from palio.ports import Store

__all__ = ["AS_SENT", "Pseudonyms", "agree"]

_LEAST = 16  # characters of a key
_BYTES = 16  # of a hash that are kept: 128 bits
_CONSTANT = "\0which key"  # no unit has this id


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """What is kept of unit ids.

    Parameters
    ----------
    key
        The secret that ids are hashed with; without one they are kept as they are.
    """

    key: bytes | None = field(default=None, repr=False)

    @classmethod
    def by(cls, secret: str | None) -> Pseudonyms:
        """Return those of a secret text, or ids as they were sent where there is none.

        Raises
        ------
        InvalidInput
            If it has fewer than 16 characters; what it is, is not told.
        """
        if secret is None:
            return AS_SENT
        if len(secret) < _LEAST:
            raise InvalidInput(
                f"PALIO_UNIT_KEY has {len(secret)} characters, at least {_LEAST} are needed; "
                "`openssl rand -hex 32` makes one",
                field="PALIO_UNIT_KEY",
            )
        return cls(secret.encode("utf-8", "surrogateescape"))

    def of(self, unit: str) -> str:
        """Return what is kept of a unit: ``u_`` and 128 bits of HMAC-SHA256 in hex."""
        if self.key is None:
            return unit
        return "u_" + hmac.digest(self.key, unit.encode(), "sha256")[:_BYTES].hex()

    @property
    def fingerprint(self) -> str | None:
        """What tells one key from another and lets nobody guess it."""
        return None if self.key is None else self.of(_CONSTANT)


AS_SENT = Pseudonyms()
"""Unit ids are kept as they were sent."""


def agree(store: Store[ExperimentUnit], pseudonyms: Pseudonyms, now: datetime) -> None:
    """Remember the first key of a store; refuse none or another where units are hashed.

    A store never mixes: one unit would be two.

    Raises
    ------
    Refused
        With the remedy, if the store keeps units in another way.
    """
    with store.read() as unit:
        mark = unit.marks.get(UNIT_KEY)
    if mark is None and pseudonyms.key is not None:
        with store.write() as unit:
            mark = unit.marks.get(UNIT_KEY, lock=True)
            if mark is None:
                mark = _first(unit, pseudonyms, now)
    if mark is not None and mark.value != pseudonyms.fingerprint:
        raise _other(pseudonyms, mark)


def _first(unit: ExperimentUnit, pseudonyms: Pseudonyms, now: datetime) -> StoreMark:
    if unit.log.head() or unit.unit_values.find(last=1) or unit.sticky.find(last=1):
        raise Refused(
            "PALIO_UNIT_KEY is set, and this store already keeps units as they were sent; hashed "
            "ones would be other units to its experiments. Unset it, or begin a new store with it",
            field="PALIO_UNIT_KEY",
        )
    mark = StoreMark(name=UNIT_KEY, value=pseudonyms.fingerprint or "", at=now)
    unit.marks.put_many([mark])
    return mark


def _other(pseudonyms: Pseudonyms, mark: StoreMark) -> Refused:
    is_set = "is not set" if pseudonyms.key is None else "is another key"
    return Refused(
        f"this store keeps units hashed since {mark.at:%Y-%m-%d}, and PALIO_UNIT_KEY {is_set}; "
        "set it to the key that the store was begun with",
        field="PALIO_UNIT_KEY",
    )
