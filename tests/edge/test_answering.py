"""Errors of a dialect's routes leave in its own form, whatever was wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel, ConfigDict
from starlette.responses import JSONResponse, Response

from palio.edge.answering import answering
from palio.errors import NotFound, PalioError

Ask = Callable[[str, bytes], httpx.Response]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    number: int


def render(error: PalioError) -> Response:
    return JSONResponse({"said": error.message, "field": error.details.get("field")}, 418)


@pytest.fixture
def ask() -> Ask:
    router = APIRouter(route_class=answering(render))

    @router.post("/things/{name}")
    def make(name: str, body: Body) -> Any:
        if name == "lost":
            raise NotFound("no thing of this name", kind="thing", name=name)
        return {"number": body.number}

    app = FastAPI()
    app.include_router(router)

    async def send(path: str, content: bytes) -> httpx.Response:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://palio"
        ) as client:
            return await client.post(
                path, content=content, headers={"Content-Type": "application/json"}
            )

    return lambda path, content: asyncio.run(send(path, content))


@pytest.mark.parametrize(
    ("path", "content", "field", "said"),
    [
        ("/things/lost", b'{"number": 1}', None, "no thing of this name"),
        ("/things/a", b'{"number": "x"}', "number", "number: "),
        ("/things/a", b"{}", "number", "number: Field required"),
        ("/things/a", b'{"number": "x"}', "number", "got 'x'"),
        ("/things/a", b'{"number": 1, "colour": "red"}', "colour", "unknown or frozen"),
        (
            "/things/a",
            b"[]",
            "body",
            "object to extract fields from; send JSON, with `Content-Type",
        ),
        ("/things/a", b"", "body", "the body: Field required; send JSON"),
        ("/things/a", b"{nonsense", "body", "the body is no JSON: Expecting property name"),
        ("/things/a", b'{"number": 1 // one\n}', "body", "at character 13; send JSON"),
    ],
)
def test_errors(ask: Ask, *, path: str, content: bytes, field: Any, said: str) -> None:
    answer = ask(path, content)
    assert answer.status_code == 418
    assert answer.json()["field"] == field
    assert said in answer.json()["said"]


def test_what_fits_is_answered(ask: Ask) -> None:
    assert ask("/things/a", b'{"number": 3}').json() == {"number": 3}
