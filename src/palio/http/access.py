"""Who calls: the key in the request, or this machine itself while no key exists."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from palio.access.domain import Identity, KeyRing, Role
from palio.access.service import Keys
from palio.errors import Forbidden, PalioError, Unauthenticated
from palio.http.answers import problem_answer
from palio.http.headers import header_of

__all__ = ["OPEN", "Door", "caller"]

OPEN = frozenset(
    {
        "/healthz",  # for what restarts processes, which has no key
        "/readyz",  # for what balances load, likewise
        "/docs",  # the same for every Palio of this version
        "/openapi.json",  # likewise
    }
)
"""Paths that anybody may ask for."""

_LOCAL = Identity("local", Role.ADMIN)


class Door:
    """Lets a request in with the identity of its caller, or answers why not.

    It stands before everything else, bodies included, so that no route can forget it. Keys are
    held in memory and read again when the state has changed, not at every request.

    Parameters
    ----------
    app
        What answers those who were let in.
    keys
        The verbs on keys.
    revision
        The revision of the state that this process knows of; costs nothing to ask.
    """

    def __init__(self, app: ASGIApp, keys: Keys, revision: Callable[[], int]) -> None:
        self._app = app
        self._keys = keys
        self._revision = revision
        self._ring, self._ring_at = KeyRing({}), -1
        self._closed = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http" and scope["path"] not in OPEN:
            try:
                scope.setdefault("state", {})["caller"] = await self._identified(scope)
            except PalioError as error:
                await problem_answer(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _identified(self, scope: Scope) -> Identity:
        await self._look_up()
        secret = _key_in(scope)
        if secret is not None:
            known = self._ring.identify(secret, self._keys.clock())
            if known is not None:
                return known
            # another process may have made the key just now
            return await run_in_threadpool(self._keys.authenticate, secret)
        if self._closed:
            raise Unauthenticated(
                "this server needs a key; send it as `X-API-Key: …` or `Authorization: Bearer …`"
            )
        _check_local(scope)
        return _LOCAL

    async def _look_up(self) -> None:
        """Read the keys again if the state has changed since.

        Once there was a key, a server is never open again: revoking the last one must not hand
        it to whoever can reach it.
        """
        revision = self._revision()
        if revision != self._ring_at:
            self._ring, self._ring_at = await run_in_threadpool(self._keys.ring), revision
            self._closed = self._closed or self._ring.configured


def caller(scope: Scope) -> Identity:
    """Return who was let in."""
    identity: Identity = scope["state"]["caller"]
    return identity


def _key_in(scope: Scope) -> str | None:
    if (key := header_of(scope, b"x-api-key")) is not None:
        return key
    scheme, _, token = (header_of(scope, b"authorization") or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _check_local(scope: Scope) -> None:
    """Refuse what does not come from this machine and its user.

    A browser on this machine reaches loopback for any page it shows: a page whose name was
    rebound to 127.0.0.1 says so in ``Host``, a page of another site in ``Origin``.
    """
    peer, origin = scope.get("client"), header_of(scope, b"origin")
    host = header_of(scope, b"host") or ""
    if peer is not None and not _is_loopback(peer[0]):
        raise _not_local(f"this one comes from {peer[0]}")
    if not _is_loopback(_hostname(host)):
        raise _not_local(f"this one asks for the host {host!r}")
    if origin is not None and origin.partition("://")[2] != host:
        raise _not_local(f"this one was sent by a page of {origin!r}")


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(name: str) -> bool:
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _not_local(why: str) -> Forbidden:
    return Forbidden(
        "without any key this server answers only what this machine asks of itself, and "
        f"{why}; make a key and send it: palio keys create NAME --role operator"
    )
