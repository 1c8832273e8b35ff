"""Bytes that a server sends, compared with the digest that it names beforehand."""

from __future__ import annotations

import base64
import hashlib
import re
from binascii import Error as Unreadable
from collections.abc import Iterable, Iterator

from palio.errors import CorruptArtifact

__all__ = ["compared", "digest_in"]

_NAMED = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]*):")


def digest_in(header: str) -> str | None:
    """Return the SHA-256 that a header ``Repr-Digest`` names, in hex digits; ``None`` if none.

    References
    ----------
    RFC 9530, section 3.
    """
    named = _NAMED.search(header)
    try:
        return None if named is None else base64.b64decode(named[1], validate=True).hex()
    except Unreadable:
        return None


def compared(
    chunks: Iterable[bytes], *, reference: str, path: str, sha256: str
) -> Iterator[bytes]:
    """Yield chunks, and raise after the last one if they do not have the digest.

    Raises
    ------
    CorruptArtifact
        If they differ: what was yielded must not be used.
    """
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
        yield chunk
    if digest.hexdigest() != sha256:
        raise CorruptArtifact(
            f"{reference}: {path} did not arrive as it was registered: its bytes differ; try "
            f"again, and if it stays, `palio artifacts verify {reference}` tells what is wrong",
            version=reference,
            file=path,
            expected=sha256,
            found=digest.hexdigest(),
        )
