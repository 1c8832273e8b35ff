"""What cannot be read is refused in words, and routes answer errors in a form of their own."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from typing_extensions import override

from palio.errors import InvalidInput, PalioError

__all__ = ["answering", "refused"]

_SHOWN = 256  # characters of what was sent that an error repeats
_AS_JSON = "send JSON, with `Content-Type: application/json`"
_UNKNOWN = "the field is unknown or frozen here; /docs lists those that can be sent"

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def answering(render: Callable[[PalioError], Response]) -> type[APIRoute]:
    """Return a class of routes, ``APIRouter(route_class=…)``, whose errors are rendered so.

    Parameters
    ----------
    render
        Makes the answer of an error. A body or a query that does not fit, or is no JSON, comes
        as ``InvalidInput``, its ``field`` named.
    """

    class Answering(APIRoute):
        @override
        def get_route_handler(self) -> Handler:
            handle = super().get_route_handler()

            async def handled(request: Request) -> Response:
                try:
                    return await handle(request)
                except PalioError as error:
                    return render(error)
                except RequestValidationError as error:
                    return render(refused(error))
                except HTTPException as error:
                    return render(InvalidInput(str(error.detail), field="body"))

            return handled

    return Answering


def refused(error: RequestValidationError) -> InvalidInput:
    """Return the error for a body or a query that does not fit, or a body that is no JSON."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return _no_json(first)
    place = [str(part) for part in first["loc"] if part not in ("body", "query", "path")]
    if not place:
        return InvalidInput(f"the body: {first['msg']}; {_AS_JSON}", field="body")
    field = ".".join(place)
    value = first.get("input")
    simple = value if isinstance(value, str | int | float | bool | None) else None
    if isinstance(simple, str):
        simple = simple[:_SHOWN]
    shown = "" if simple is None else f", got {simple!r}"
    said = _UNKNOWN if first["type"] == "extra_forbidden" else first["msg"]
    return InvalidInput(f"{field}: {said}{shown}", field=field, value=simple)


def _no_json(first: Mapping[str, Any]) -> InvalidInput:
    why = str(first["ctx"]["error"]).rstrip(".")
    return InvalidInput(
        f"the body is no JSON: {why}, at character {first['loc'][-1]}; send JSON, without "
        "comments, names in double quotes",
        field="body",
    )
