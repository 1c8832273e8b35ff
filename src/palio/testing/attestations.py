"""Signatures for tests: made without a key, and checked by a fake one."""

from __future__ import annotations

from dataclasses import dataclass

from palio.registry.domain import Version
from palio.registry.signing.bundle import Bundle, content_signed, statement_of, written

__all__ = ["FakeKey", "signed_by"]


@dataclass(frozen=True, slots=True)
class FakeKey:
    """A key whose signature is its id before the content."""

    id: str

    def sign(self, content: bytes) -> bytes:
        """Return the signature over some bytes."""
        return self.id.encode() + content

    def holds(self, signature: bytes, content: bytes) -> bool:
        """Tell whether this key signed."""
        return signature == self.sign(content)


def signed_by(key: FakeKey, version: Version, payload: bytes | None = None) -> str:
    """Return the bundle of a version that a fake key signed, or of another statement."""
    content = statement_of(version) if payload is None else payload
    signature = key.sign(content_signed(content))
    return written(Bundle(payload=content, signature=signature, key_id=key.id))
