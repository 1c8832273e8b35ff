"""Files from a server, compared with the digest that it names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from palio.client.digests import digest_in
from palio.client.remote import Connection, remote_verbs
from palio.errors import CorruptArtifact, PalioError

# witness: RFC 9530, appendix B.1
CONTENT = b'{"hello": "world"}\n'
DIGEST = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"


def fetched(content: bytes, **headers: str) -> Iterator[bytes]:
    """Fetch from a server that answers so."""
    answer = httpx.Response(200, content=iter([content[:5], content[5:]]), headers=headers)
    transport = httpx.MockTransport(lambda _: answer)
    found: Any = remote_verbs(Connection("http://x", transport=transport)).versions
    chunks: Iterator[bytes] = found.fetch("credit:v1", "model.bin")
    return chunks


@pytest.mark.parametrize("more", ["", ", sha-512=:AAAA:"])
def test_what_has_the_digest_arrives(more: str) -> None:
    assert b"".join(fetched(CONTENT, **{"Repr-Digest": DIGEST + more})) == CONTENT


@pytest.mark.parametrize("content", [CONTENT.upper(), CONTENT[:-1], b""])
def test_what_has_not_is_refused_after_the_last_chunk(content: bytes) -> None:
    with pytest.raises(CorruptArtifact, match=r"credit:v1: model\.bin did not arrive") as caught:
        list(fetched(content, **{"Repr-Digest": DIGEST}))
    assert caught.value.details["expected"] == digest_in(DIGEST)


@pytest.mark.parametrize(
    "headers", [{}, {"Repr-Digest": "sha-512=:AAAA:"}, {"Repr-Digest": "sha-256=:A:"}]
)
def test_who_names_no_digest_is_no_palio(headers: dict[str, str]) -> None:
    with pytest.raises(PalioError, match="no digest of the file"):
        list(fetched(CONTENT, **headers))
