"""Verbs on keys and on the audit log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from palio.access.audit import (
    AuditCheck,
    AuditEntry,
    AuditQuery,
    Break,
    Change,
    Mark,
    check_chain,
)
from palio.access.domain import ApiKey, Identity, KeyRing, NewKey, Role, digest_of, requires
from palio.access.ports import AccessUnit, AuditLog
from palio.errors import CorruptArtifact, InvalidInput, NotFound, Unauthenticated
from palio.ports import Clock, Ids, Store

__all__ = ["Audit", "AuditCheck", "Keys", "every_entry"]

_PAGE = 1_000
_BEFORE_ALL = 1 - 2**63  # an entry that somebody numbered 0 or less is read as well


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The audit log, read."""

    store: Store[AccessUnit]
    actor: Identity

    @requires(Role.VIEWER)
    def list(
        self,
        after: int = 0,
        limit: int = 100,
        *,
        model: str | None = None,
        actor: str | None = None,
        action: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Sequence[AuditEntry]:
        """Return entries in order, from the one following ``after``; at most 1,000.

        Parameters
        ----------
        after
            The ``seq`` of the last entry already read: the next page begins behind it.
        limit
            Entries at most; more than 1,000 is 1,000.
        model
            Only entries on this model, its versions, aliases, endpoints and experiments.
        actor
            Only what this actor did.
        action
            Only this action (``version.promote``), or all on a noun (``version``).
        since, until
            Only entries from ``since`` on and before ``until``; moments with a zone.
        """
        query = AuditQuery(model=model, actor=actor, action=action, since=since, until=until)
        with self.store.read() as unit:
            return unit.audit.find(query, after=after, limit=max(0, min(limit, _PAGE)))

    @requires(Role.VIEWER)
    def verify(self, known_seq: int = 0, known_hash: str = "") -> AuditCheck:
        """Read the chain from its start and report the first entry that does not hold.

        Parameters
        ----------
        known_seq, known_hash
            A place that the chain must contain, as a checkpoint tells it; none by default.
        """
        known = _known(known_seq, known_hash)
        with self.store.read() as unit:
            found = check_chain(_paged(unit.audit), known)
            if found.broken is None:
                found = replace(found, broken=_beside_the_head(found, unit.audit))
        return found


def every_entry(audit: Audit) -> Iterator[AuditEntry]:
    """Read the whole log, a page at a time, in process or over HTTP."""
    after = _BEFORE_ALL
    while page := audit.list(after, _PAGE):
        yield from page
        after = page[-1].seq


def _paged(log: AuditLog) -> Iterator[AuditEntry | Break]:
    """Read page by page; a page with an entry that cannot be read, entry by entry."""
    after, limit = _BEFORE_ALL, _PAGE
    while True:
        try:
            page = log.entries(after=after, limit=limit)
        except CorruptArtifact as unreadable:
            if limit == 1:
                yield Break(after + 1, f"it cannot be read: {unreadable.__cause__}")
                return
            limit = 1
            continue
        if not page:
            return
        yield from page
        after = page[-1].seq


def _known(seq: int, hash_: str) -> Mark | None:
    if seq < 0:
        raise InvalidInput(f"known_seq must be 0 or more, got {seq}", field="known_seq", value=seq)
    if (seq > 0) is not bool(hash_):
        raise InvalidInput(
            "known_seq and known_hash go together; give both, as the checkpoint has them",
            field="known_hash",
            value=hash_,
        )
    return Mark(seq, hash_) if seq else None


def _beside_the_head(found: AuditCheck, log: AuditLog) -> Break | None:
    """Compare what was read with the head that is kept beside it."""
    head = log.head()
    if head > found.entries:
        return Break(found.entries + 1, "entries are missing at the end")
    if head < found.entries:
        return Break(head + 1, f"it follows entry {head}, which the store knows as the last")
    if log.head_hash() != found.head:
        return Break(head, "its hash is not the one that the store knows as the last")
    return None


def _without_digest(key: ApiKey) -> ApiKey:
    return replace(key, digest="")
