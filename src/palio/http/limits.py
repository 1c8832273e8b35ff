"""Bodies that are too large are refused: those that say so at once, others as they arrive."""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from palio.errors import TooLarge
from palio.http.answers import problem_answer
from palio.http.headers import header_of

__all__ = ["BodyLimit"]

_UPLOAD = re.compile(r"/v1/models/[^/]+/versions")


class BodyLimit:
    """Refuses bodies beyond a limit; counts the bytes of those that declare no length.

    Parameters
    ----------
    app
        What answers requests within the limit.
    limit_bytes, upload_limit_bytes
        The limit of all bodies but one kind, the registration of a version, and of that one.
    """

    def __init__(self, app: ASGIApp, *, limit_bytes: int, upload_limit_bytes: int) -> None:
        self._app = app
        self._limit_bytes = limit_bytes
        self._upload_limit_bytes = upload_limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._upload_limit_bytes if _UPLOAD.fullmatch(scope["path"]) else self._limit_bytes
        declared = header_of(scope, b"content-length") or ""
        if not declared.isdecimal():
            await self._counted(scope, receive, send, limit)
        elif int(declared) > limit:
            await problem_answer(_too_large(limit, int(declared)))(scope, receive, send)
        elif header_of(scope, b"transfer-encoding") is not None:  # the length says nothing then
            await self._counted(scope, receive, send, limit)
        else:  # HTTP hands on as many bytes as were declared, and no more
            await self._app(scope, receive, send)

    async def _counted(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        seen, refused, begun = 0, None, False

        async def counted() -> Message:
            nonlocal seen, refused
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                refused = _too_large(limit, seen)
                raise refused
            return message

        async def watched(message: Message) -> None:
            nonlocal begun
            if begun or refused is None:  # else the app speaks of an error in reading
                begun = True
                await send(message)

        try:
            await self._app(scope, counted, watched)
        except TooLarge:
            if refused is None:
                raise
        if refused is not None and not begun:
            await problem_answer(refused)(scope, receive, send)


def _too_large(limit: int, size: int) -> TooLarge:
    return TooLarge(
        f"the body is larger than {limit} bytes; send less at once", field="body", value=size
    )
