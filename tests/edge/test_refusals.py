"""What does not fit is named, with what was sent; a body that is no JSON is called that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
import pytest
from fastapi import Body, FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import StrictFloat, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse

from palio.edge.refusals import refused_body, refused_fields

Send = Callable[[bytes, dict[str, str]], httpx.Response]


@pytest.fixture(scope="module")
def send() -> Send:
    """Send shares, to a route that takes any names."""
    app = FastAPI()

    @app.post("/shares")
    def shares(given: dict[str, StrictFloat] = Body()) -> dict[str, float]:  # noqa: B008
        return given

    @app.exception_handler(RequestValidationError)
    def refused(_: Request, error: RequestValidationError) -> JSONResponse:
        told = refused_body(error.errors())
        return JSONResponse([told.message, told.details["field"]], status_code=422)

    async def sent(content: bytes, headers: dict[str, str]) -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://palio") as client:
            return await client.post("/shares", content=content, headers=headers)

    return lambda content, headers: asyncio.run(sent(content, headers))


@pytest.mark.parametrize(
    ("content", "media_type", "text", "field"),
    [
        (
            b"v1=1",
            "application/json",
            (
                "the body is no JSON: Expecting value, at character 0; "
                "send JSON, without comments, names in double quotes"
            ),
            "body",
        ),
        (
            b'{"v1": 1.0}',
            "application/x-www-form-urlencoded",  # as curl -d sends it
            "the body was not sent as JSON; send JSON, with `Content-Type: application/json`",
            "body",
        ),
        (
            b'{"v1": "1.0"}',
            "application/json",
            "v1: Input should be a valid number, got '1.0'",
            "v1",
        ),
        (
            b"7",
            "application/json",
            (
                "the body: Input should be a valid dictionary, got 7; "
                "send JSON, with `Content-Type: application/json`"
            ),
            "body",
        ),
    ],
)
def test_what_does_not_fit_is_named(
    send: Send, *, content: bytes, media_type: str, text: str, field: str | None
) -> None:
    answer = send(content, {"Content-Type": media_type})
    assert (answer.status_code, answer.json()) == (422, [text, field])


def test_what_fits_is_answered(send: Send) -> None:
    whole = send(b'{"v1": 1}', {"Content-Type": "application/json"})
    assert (whole.status_code, whole.json()) == (200, {"v1": 1.0})


def test_fields_of_a_record_are_named_with_the_place_they_stand_in() -> None:
    kind: TypeAdapter[dict[str, float]] = TypeAdapter(dict[str, float])
    with pytest.raises(ValidationError) as unfit:
        kind.validate_python({"cpu": "many"})
    told = refused_fields(unfit.value, "resources")
    assert told.message.startswith("resources.cpu: Input should be a valid number")
    assert told.message.endswith(", got 'many'")
    assert told.details == {"field": "resources.cpu", "value": "many"}
