"""Webhooks: an alert as a message signed after Standard Webhooks, and who is sent it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

import httpx
import msgspec

from palio.access.alerts import Alert
from palio.errors import InvalidInput

__all__ = ["Receiver", "Secret", "body_of", "post", "receivers"]

_PREFIX = "whsec_"
_SHORTEST, _LONGEST = 24, 64  # bytes of a secret, as the standard has it
_PATIENCE_S = 10.0
_SAID = 200  # characters of an answer that are kept


@dataclass(frozen=True, slots=True)
class Receiver:
    """An address that alerts are sent to; it may hold a secret, so it is shown as its host."""

    url: str = field(repr=False)

    @property
    def host(self) -> str:
        """What may be shown of it."""
        return urlsplit(self.url).hostname or ""

    @property
    def target(self) -> str:
        """A name for it that says nothing of its secrets."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Secret:
    """What messages are signed with."""

    key: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Secret:
        """Read ``whsec_`` and 24 to 64 bytes in base64.

        Raises
        ------
        InvalidInput
            If it is anything else.
        """
        try:
            key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not text.startswith(_PREFIX) or not _SHORTEST <= len(key) <= _LONGEST:
            raise InvalidInput(
                f"PALIO_WEBHOOK_SECRET is not {_PREFIX} and {_SHORTEST} to {_LONGEST} bytes in "
                "base64; make one: python -c 'import base64, secrets; "
                'print("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())\'',
                field="PALIO_WEBHOOK_SECRET",
            )
        return cls(key)

    def headers(self, name: str, at: datetime, body: bytes) -> Mapping[str, str]:
        """Return the headers of a message.

        Parameters
        ----------
        name
            The message's id, the same at every attempt.
        at
            When this attempt is made.
        body
            The bytes that are sent.

        References
        ----------
        Standard Webhooks 1.0.0, standardwebhooks.com.
        """
        stamp = str(int(at.timestamp()))
        signed = b".".join((name.encode(), stamp.encode(), body))
        signature = base64.b64encode(hmac.digest(self.key, signed, hashlib.sha256)).decode()
        return {
            "webhook-id": name,
            "webhook-timestamp": stamp,
            "webhook-signature": f"v1,{signature}",
            "content-type": "application/json",
        }


def receivers(urls: Sequence[str]) -> Sequence[Receiver]:
    """Return the receivers that are configured, each once.

    Raises
    ------
    InvalidInput
        If an address is not ``http(s)://host…``.
    """
    for place, url in enumerate(urls, 1):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidInput(
                f"PALIO_WEBHOOK_URLS: address {place} is not http://… or https://… with a host",
                field="PALIO_WEBHOOK_URLS",
            )
    return [Receiver(url) for url in dict.fromkeys(urls)]


def body_of(alert: Alert) -> bytes:
    """Return an alert as a message: its type, when it was, and the rest as data."""
    data = {
        "id": alert.id,
        "subject": alert.subject,
        "severity": alert.severity,
        "text": alert.text,
        "evidence": alert.evidence,
    }
    return msgspec.json.encode({"type": alert.kind, "timestamp": alert.at, "data": data})


def post(url: str, headers: Mapping[str, str], body: bytes) -> str:
    """Send a message once, and return why it has not arrived; empty if it has.

    A redirect is not followed: the message would go where nobody has said that it may.
    """
    try:
        with httpx.stream(
            "POST", url, content=body, headers=headers, timeout=_PATIENCE_S, follow_redirects=False
        ) as answer:  # whose body nobody waits for
            return "" if answer.is_success else f"HTTP {answer.status_code}"
    except (httpx.HTTPError, httpx.InvalidURL) as failed:
        return f"{type(failed).__name__}: {failed}"[:_SAID]
