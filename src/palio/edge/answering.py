"""Routes that answer errors in a form of their own."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from typing_extensions import override

from palio.edge.refusals import refused_body
from palio.errors import InvalidInput, PalioError

__all__ = ["answering"]

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
                    return render(refused_body(error.errors()))
                except HTTPException as error:
                    return render(InvalidInput(str(error.detail), field="body"))

            return handled

    return Answering
