"""The route that sends a file of a version, streamed from the artifact store."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from itertools import chain

from fastapi import APIRouter, Depends
from starlette.responses import StreamingResponse

from palio.access.domain import Role
from palio.edge.verbs import Verbs

__all__ = ["download_router"]

_HEADERS = {
    "X-Content-Type-Options": "nosniff",  # bytes of anyone's making, shown by no browser
    "Content-Disposition": "attachment",
}


def download_router(verbs_of_caller: Callable[..., Verbs]) -> APIRouter:
    """Return the router of the route."""
    router = APIRouter()

    @router.get(
        "/v1/versions/{reference}/files/{path:path}",
        tags=["versions"],
        operation_id="versions_fetch",
        description=f"Needs the role {Role.VIEWER}.",
        response_class=StreamingResponse,
        responses={200: {"content": {"application/octet-stream": {}}}},
    )
    def fetch(
        reference: str,
        path: str,
        verbs: Verbs = Depends(verbs_of_caller),  # noqa: B008 - FastAPI's way
    ) -> StreamingResponse:
        """Send one file of a version; its SHA-256 stands in the header Repr-Digest (RFC 9530).

        A file that is too short breaks off; whether its bytes are those that were registered
        is known after the last one, so whoever receives them compares the digest.
        """
        version = verbs.versions.get(reference)  # an alias may move before the bytes are read
        file = version.manifest.file(path)
        chunks = verbs.versions.fetch(version.reference, path)
        digest = base64.b64encode(bytes.fromhex(file.sha256)).decode()
        return StreamingResponse(
            _begun(chunks),
            media_type="application/octet-stream",
            headers={
                **_HEADERS,
                "Content-Length": str(file.size_bytes),
                "Repr-Digest": f"sha-256=:{digest}:",
            },
        )

    return router


def _begun(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Read the first chunk at once, so that a missing file is a problem and no broken answer."""
    first = next(chunks, b"")
    return chain([first], chunks)
