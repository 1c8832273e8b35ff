"""The predict path: a small ASGI layer in front of the router, with decoders of its own."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from palio.access.domain import Role
from palio.delivery.domain import PredictRequest
from palio.delivery.ports import AsyncServer
from palio.errors import InvalidInput, PalioError
from palio.http.access import caller
from palio.http.answers import defect_answer, json_bytes, problem_answer, send_json
from palio.http.headers import header_of

__all__ = ["OPENAPI_PATH", "PredictLayer", "openapi_operation"]

_PREFIX = "/v1/predict/"
_VARIANT = b"x-palio-variant"  # the same as the field, for those who cannot change bodies
OPENAPI_PATH = "/v1/predict/{endpoint}"


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """What a client sends."""

    rows: list[Any]
    unit: str | None = None
    request_id: str | None = None
    version: str | None = None
    attributes: dict[str, bool | int | float | str] | None = None
    variant: str | None = None


_DECODER = msgspec.json.Decoder(Body)


class PredictLayer:
    """Answers ``POST /v1/predict/{endpoint}`` itself and hands everything else on."""

    def __init__(self, app: ASGIApp, server: AsyncServer) -> None:
        self._app = app
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if (
            scope["type"] != "http"
            or scope["method"] != "POST"
            or not scope["path"].startswith(_PREFIX)
        ):
            await self._app(scope, receive, send)
            return
        try:
            body = await self._predict(scope, receive)
        except PalioError as error:
            await problem_answer(error)(scope, receive, send)
        except Exception:
            await defect_answer()(scope, receive, send)
            raise  # to the server's log
        else:
            await send_json(send, body)

    async def _predict(self, scope: Scope, receive: Receive) -> bytes:
        caller(scope).require(Role.OPERATOR, "predict")
        body = _decoded(await _whole(receive))
        request = PredictRequest(
            endpoint=scope["path"][len(_PREFIX) :],
            rows=body.rows,
            unit=body.unit,
            request_id=body.request_id,
            version=body.version,
            attributes=body.attributes,
            variant=body.variant or header_of(scope, _VARIANT),
        )
        return json_bytes(await self._server.predict(request))


async def _whole(receive: Receive) -> bytes:
    parts, more = [], True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidInput("the client went away before the body was whole")
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def _decoded(body: bytes) -> Body:
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failed:
        raise InvalidInput(
            f"the body cannot be read: {failed}; send "
            '{"rows": [{"feature": value, …}], "unit": "…"}',
            field="body",
        ) from failed


def openapi_operation() -> dict[str, Any]:
    """Return how the predict path stands in the OpenAPI document."""
    (body_schema,), components = msgspec.json.schema_components([Body])
    fields = components["Body"] if "$ref" in body_schema else body_schema
    return {
        "tags": ["predict"],
        "summary": "Predict",
        "description": (
            "Answer rows by the version that the endpoint's route chooses for the unit. Rows are "
            "objects by feature name or arrays in feature order. The prediction is in the event "
            "log when the answer arrives."
        ),
        "operationId": "predict",
        "parameters": [
            {"name": "endpoint", "in": "path", "required": True, "schema": {"type": "string"}},
            {"name": "X-Palio-Variant", "in": "header", "schema": {"type": "string"}},
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": fields}}},
        "responses": {
            "200": {"description": "Predictions, and who made them"},
            "4XX": {"description": "Problem details"},
        },
    }
