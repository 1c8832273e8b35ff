"""Answers: records as JSON, errors as problem details."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import Send

from palio.edge.problems import problem_of, status_of
from palio.errors import PalioError, Unauthenticated

__all__ = [
    "defect_answer",
    "json_answer",
    "json_bytes",
    "problem_answer",
    "send_json",
]

_JSON = (b"content-type", b"application/json")
_ENCODE = msgspec.json.Encoder().encode


def json_answer(content: Any, *, status: int = 200) -> Response:
    """Return a record, or records, as JSON."""
    return Response(_ENCODE(content), status_code=status, media_type="application/json")


def json_bytes(content: Any) -> bytes:
    """Return a record as JSON."""
    return _ENCODE(content)


async def send_json(send: Send, body: bytes) -> None:
    """Send JSON: what `json_answer` does, without an object for the answer."""
    headers = [_JSON, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def problem_answer(error: PalioError) -> Response:
    """Return an error as RFC 9457 problem details."""
    headers = {}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    status = status_of(error)
    if status in (429, 503):
        headers["Retry-After"] = "1"
    return Response(
        _ENCODE(problem_of(error)),
        status_code=status,
        media_type="application/problem+json",
        headers=headers,
    )


def defect_answer() -> Response:
    """Return what a defect of ours answers: no traceback leaves the house."""
    return problem_answer(
        PalioError("something went wrong inside Palio; the server's log says what")
    )
