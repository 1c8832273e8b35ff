"""Verbs on keys and on the audit log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from palio.access.audit import AuditEntry, Break, Change, first_break
from palio.access.domain import ApiKey, Identity, KeyRing, NewKey, Role, digest_of, requires
from palio.access.ports import AccessUnit
from palio.errors import InvalidInput, NotFound, Unauthenticated
from palio.ports import Clock, Ids, Store

__all__ = ["Audit", "AuditCheck", "Keys"]

_PAGE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """API keys: created, listed, revoked; kept hashed and shown once."""

    store: Store[AccessUnit]
    clock: Clock
    ids: Ids
    actor: Identity

    @requires(Role.ADMIN)
    def create(
        self, name: str, role: Role = Role.VIEWER, expires_in_days: float | None = None
    ) -> NewKey:
        """Make a key; its secret is in the answer and nowhere else.

        Parameters
        ----------
        name
            Who or what will use it: the actor in the audit log.
        role
            What it may do.
        expires_in_days
            Days until it stops working; never, when not given.
        """
        if not name.strip():
            raise InvalidInput("name is empty; say who will use the key", field="name", value=name)
        if expires_in_days is not None and not 0 < expires_in_days <= 36_500:  # noqa: PLR2004
            raise InvalidInput(
                f"expires_in_days must be above 0 and at most 36500, got {expires_in_days}",
                field="expires_in_days",
                value=expires_in_days,
            )
        now, secret = self.clock(), self.ids("palio_")
        key = ApiKey(
            id=self.ids("key_"),
            name=name,
            role=role,
            digest=digest_of(secret),
            created_at=now,
            created_by=self.actor.name,
            expires_at=None if expires_in_days is None else now + timedelta(days=expires_in_days),
        )
        with self.store.write() as unit:
            unit.keys.add(key)
            shown = {"name": name, "role": role, "expires_at": key.expires_at}
            unit.audit.append(self._change("key.create", key.id, after=shown))
        return NewKey(_without_digest(key), secret)

    @requires(Role.ADMIN)
    def list(self) -> Sequence[ApiKey]:
        """Return all keys, revoked ones too, without their digests."""
        with self.store.read() as unit:
            return [_without_digest(key) for key in unit.keys.find()]

    @requires(Role.ADMIN)
    def revoke(self, id: str) -> ApiKey:  # noqa: A002
        """Make a key useless from now on; revoking twice changes nothing."""
        with self.store.write() as unit:
            key = unit.keys.get(id, lock=True)
            if key is None:
                raise NotFound(
                    f"no key has the id {id!r}; `palio keys list` shows them", kind="key", name=id
                )
            if key.revoked_at is None:
                key = replace(key, revoked_at=self.clock())
                unit.keys.put_many([key])
                unit.audit.append(
                    self._change("key.revoke", id, after={"revoked_at": key.revoked_at})
                )
        return _without_digest(key)

    def ring(self) -> KeyRing:
        """Return all keys at once, for whoever stands at a door; needs no role."""
        with self.store.read() as unit:
            return KeyRing({key.digest: key for key in unit.keys.find()})

    def authenticate(self, secret: str) -> Identity:
        """Return whose key this is.

        Raises
        ------
        Unauthenticated
            If no living key has this secret.
        """
        identity = self.ring().identify(secret, self.clock())
        if identity is None:
            raise Unauthenticated(
                "this key is unknown, revoked or expired; ask an admin for a new one "
                "(`palio keys create`)"
            )
        return identity

    def configured(self) -> bool:
        """Tell whether any key exists that was not revoked."""
        return self.ring().configured

    def _change(self, action: str, subject: str, *, after: Mapping[str, object]) -> Change:
        return Change(
            at=self.clock(), actor=self.actor.name, action=action, subject=subject, after=after
        )


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """The result of reading the whole chain: how many entries, and the first break, if any."""

    entries: int
    broken: Break | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The audit log, read."""

    store: Store[AccessUnit]
    actor: Identity

    @requires(Role.VIEWER)
    def list(self, after: int = 0, limit: int = 100) -> Sequence[AuditEntry]:
        """Return entries in order, from the one following ``after``; at most 1,000."""
        with self.store.read() as unit:
            return unit.audit.entries(after=after, limit=max(0, min(limit, _PAGE)))

    @requires(Role.VIEWER)
    def verify(self) -> AuditCheck:
        """Read the chain from its start and report the first entry that does not hold."""
        with self.store.read() as unit:
            entries = unit.audit.entries()
            broken = first_break(entries)
            if broken is None and len(entries) != unit.audit.head():
                broken = Break(len(entries) + 1, "entries are missing at the end")
        return AuditCheck(len(entries), broken)


def _without_digest(key: ApiKey) -> ApiKey:
    return replace(key, digest="")
