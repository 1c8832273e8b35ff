"""Identities, roles and API keys."""

from __future__ import annotations

import enum
import functools
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from palio.errors import Forbidden

__all__ = [
    "ApiKey",
    "Identity",
    "KeyRing",
    "NewKey",
    "Role",
    "digest_of",
    "required_role",
    "requires",
]

P = ParamSpec("P")
R = TypeVar("R")


class Role(enum.StrEnum):
    """What an identity may do; each role includes the ones before it."""

    VIEWER = "viewer"  # reads
    OPERATOR = "operator"  # serves, trains, runs experiments, moves production
    ADMIN = "admin"  # hands out keys

    def includes(self, other: Role) -> bool:
        """Tell whether this role may do all that ``other`` may."""
        return _RANKS[self] >= _RANKS[other]


_RANKS = {role: rank for rank, role in enumerate(Role)}


@dataclass(frozen=True, slots=True)
class Identity:
    """Who acts: the name that the audit log keeps, and the role."""

    name: str
    role: Role

    def require(self, role: Role, action: str) -> None:
        """Raise ``Forbidden`` unless this identity has ``role``."""
        if not self.role.includes(role):
            raise Forbidden(
                f"{self.name} is {self.role}, and {action} needs {role}; "
                f"use a key with the role {role}",
                actor=self.name,
                role=self.role,
                required=role,
            )


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is kept: its digest only, never the secret."""

    id: str
    name: str
    role: Role
    digest: str
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def is_valid(self, now: datetime) -> bool:
        """Tell whether it opens anything at ``now``."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """All keys at one moment, by digest: tells who calls without asking the store."""

    keys: Mapping[str, ApiKey]

    @property
    def configured(self) -> bool:
        """Tell whether any key exists that was not revoked.

        An expired key counts: time alone must not open a server to whoever can reach it.
        """
        return any(key.revoked_at is None for key in self.keys.values())

    def identify(self, secret: str, now: datetime) -> Identity | None:
        """Return whose key this is; ``None`` if it is unknown, revoked or expired."""
        key = self.keys.get(digest_of(secret))
        return Identity(key.name, key.role) if key is not None and key.is_valid(now) else None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key at the one moment its secret is shown."""

    key: ApiKey
    secret: str


def digest_of(secret: str) -> str:
    """Return the SHA-256 of a secret; secrets are random, so no slow hash is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Acting(Protocol):
    """Anything that acts in somebody's name."""

    @property
    def actor(self) -> Identity:
        """Who acts."""
        ...


A = TypeVar("A", bound=Acting)


def requires(
    role: Role,
) -> Callable[[Callable[Concatenate[A, P], R]], Callable[Concatenate[A, P], R]]:
    """Mark a verb with the role it needs, and refuse it to lower ones.

    Parameters
    ----------
    role
        The least role that may call the verb.
    """

    def mark(verb: Callable[Concatenate[A, P], R]) -> Callable[Concatenate[A, P], R]:
        @functools.wraps(verb)
        def guarded(self: A, /, *args: P.args, **kwargs: P.kwargs) -> R:
            self.actor.require(role, f"{type(self).__name__.lower()}.{verb.__name__}")
            return verb(self, *args, **kwargs)

        guarded.required_role = role  # type: ignore[attr-defined]
        return guarded

    return mark


def required_role(verb: Callable[..., object]) -> Role:
    """Return the role that a verb was marked with.

    Raises
    ------
    AttributeError
        If the verb is not marked: a verb without a role is a defect.
    """
    return Role(verb.required_role)  # type: ignore[attr-defined]
