"""Who calls: the key in the request, or this machine itself while no key exists."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Mapping
from threading import Lock
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from palio.access.domain import Identity, Role
from palio.access.service import Keys
from palio.errors import Forbidden, PalioError, Unauthenticated
from palio.http.answers import problem_answer

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

_REMEMBERED_S = 1.0  # how long an answer about a key stays good: revoking takes effect within it
_LOCAL = Identity("local", Role.ADMIN)


class Door:
    """Lets a request in with the identity of its caller, or answers why not.

    It stands before everything else, bodies included, so that no route can forget it. The store
    is asked about a key once a second, not at every request.

    Parameters
    ----------
    app
        What answers those who were let in.
    keys
        The verbs on keys.
    """

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app = app
        self._keys = keys
        self._lock = Lock()
        self._known: dict[str, tuple[float, Identity]] = {}
        self._keyless_until = 0.0
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
        headers = Headers(scope=scope)
        secret = _key_in(headers)
        if secret is not None:
            known = self._remembered(secret)
            return await run_in_threadpool(self._asked, secret) if known is None else known
        if time.monotonic() >= self._keyless_until and await run_in_threadpool(self._needs_key):
            raise Unauthenticated(
                "this server needs a key; send it as `X-API-Key: …` or `Authorization: Bearer …`"
            )
        _check_local(headers, scope.get("client"))
        return _LOCAL

    def _remembered(self, secret: str) -> Identity | None:
        known = self._known.get(secret)
        return known[1] if known is not None and time.monotonic() < known[0] else None

    def _asked(self, secret: str) -> Identity:
        identity = self._keys.authenticate(secret)
        now = time.monotonic()
        with self._lock:
            self._known = {
                kept: answer for kept, answer in self._known.items() if now < answer[0]
            } | {secret: (now + _REMEMBERED_S, identity)}
        return identity

    def _needs_key(self) -> bool:
        """Tell whether keys exist; once they did, a server is never open again.

        Otherwise the last key's expiry would hand the server to whoever can reach it.
        """
        self._closed = self._closed or self._keys.configured()
        self._keyless_until = 0.0 if self._closed else time.monotonic() + _REMEMBERED_S
        return self._closed


def caller(scope: Scope) -> Identity:
    """Return who was let in."""
    identity: Identity = scope["state"]["caller"]
    return identity


def _key_in(headers: Mapping[str, str]) -> str | None:
    if (key := headers.get("x-api-key")) is not None:
        return key
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _check_local(headers: Mapping[str, str], peer: tuple[str, int] | None) -> None:
    """Refuse what does not come from this machine and its user.

    A browser on this machine reaches loopback for any page it shows: a page whose name was
    rebound to 127.0.0.1 says so in ``Host``, a page of another site in ``Origin``.
    """
    host, origin = headers.get("host", ""), headers.get("origin")
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
