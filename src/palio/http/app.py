"""The application: routes, doorkeeping, limits, problems, health."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from palio.access.domain import Identity, Role
from palio.delivery.domain import Answer, PredictRequest
from palio.delivery.ports import AsyncServer
from palio.edge.answering import refused
from palio.edge.dialects import Dialect, Served
from palio.edge.verbs import Verbs
from palio.errors import InvalidInput, NotFound, PalioError
from palio.http.access import Door, caller
from palio.http.answers import defect_answer, json_answer, problem_answer
from palio.http.background import Background, repeat
from palio.http.downloads import download_router
from palio.http.intake import intake_router
from palio.http.limits import BodyLimit
from palio.http.native import native_router
from palio.http.predict import OPENAPI_PATH, PredictLayer, openapi_operation

__all__ = ["create_app"]

Metrics = Callable[[str], tuple[bytes, str]]


def create_app(
    verbs: Verbs,
    server: AsyncServer,
    *,
    version: str,
    body_limit_bytes: int,
    upload_limit_bytes: int,
    on_ready: Callable[[], None] = lambda: None,
    on_stop: Callable[[], None] = lambda: None,
    background: Sequence[Background] = (),
    metrics: Metrics | None = None,
    dialects: Sequence[Dialect] = (),
) -> ASGIApp:
    """Return the ASGI application.

    Parameters
    ----------
    verbs
        All verbs; each request calls them in the name of its key.
    server
        Who predicts; started and stopped with the application.
    version
        Palio's version, for the OpenAPI document.
    body_limit_bytes, upload_limit_bytes
        Largest body of a request, and of the registration of a version.
    on_ready, on_stop
        Called when requests can be answered, and when the last one has been.
    background
        What is done beside answering, until the end, each beside the others.
    metrics
        Gives what Prometheus scrapes, and its media type, by what a scraper accepts.
    dialects
        Contracts of other systems that are answered too.
    """

    def verbs_of_caller(request: Request) -> Verbs:
        return verbs.acting_as(caller(request.scope))

    app = FastAPI(
        title="Palio",
        version=version,
        lifespan=_lifespan(server, on_ready, on_stop, background),
        redoc_url=None,
    )
    app.include_router(intake_router(verbs_of_caller))
    app.include_router(download_router(verbs_of_caller))
    app.include_router(native_router(verbs_of_caller, server.catch_up))
    served = Served(
        verbs=verbs_of_caller,
        own=lambda name: verbs.acting_as(Identity(name, Role.OPERATOR)),
        caller=lambda request: caller(request.scope),
        predict=partial(_predict, server),
        changed=server.catch_up,
    )
    for router in filter(None, (dialect.router(served) for dialect in dialects)):
        app.include_router(router)
    _add_health(app, verbs)
    if metrics is not None:
        _add_metrics(app, metrics)
    _add_problems(app)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    limited = BodyLimit(
        PredictLayer(app, server),
        limit_bytes=body_limit_bytes,
        upload_limit_bytes=upload_limit_bytes,
    )
    return Door(limited, verbs.keys, lambda: server.revision)


async def _predict(server: AsyncServer, request: Request, asked: PredictRequest) -> Answer:
    caller(request.scope).require(Role.OPERATOR, "predict")
    return await server.predict(asked)


def _lifespan(
    server: AsyncServer,
    on_ready: Callable[[], None],
    on_stop: Callable[[], None],
    background: Sequence[Background],
) -> Any:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await server.start()
        ending = asyncio.Event()
        beside = [asyncio.create_task(repeat(one, ending)) for one in background]
        on_ready()
        yield
        ending.set()
        await asyncio.gather(*beside)
        await server.stop()
        on_stop()

    return lifespan


def _add_health(app: FastAPI, verbs: Verbs) -> None:
    @app.get("/healthz", tags=["health"], operation_id="healthz")
    def alive() -> Response:
        """Tell that the process answers."""
        return json_answer({"status": "ok"})

    @app.get("/readyz", tags=["health"], operation_id="readyz")
    def ready() -> Response:
        """Tell that the store answers too."""
        verbs.keys.configured()
        return json_answer({"status": "ready"})


def _add_metrics(app: FastAPI, metrics: Metrics) -> None:
    @app.get("/metrics", tags=["health"], operation_id="metrics", response_class=Response)
    def scrape(request: Request) -> Response:
        """Tell Prometheus what is seen; needs the role viewer."""
        text, media_type = metrics(request.headers.get("accept", ""))
        return Response(text, headers={"Content-Type": media_type})


def _add_problems(app: FastAPI) -> None:
    @app.exception_handler(PalioError)
    def known(_: Request, error: PalioError) -> Response:
        return problem_answer(error)

    @app.exception_handler(RequestValidationError)
    def unreadable(_: Request, error: RequestValidationError) -> Response:
        return problem_answer(refused(error))

    @app.exception_handler(HTTPException)
    def other(request: Request, error: HTTPException) -> Response:
        asked = f"{request.method} {request.url.path}"
        if error.status_code in (404, 405):
            return problem_answer(
                NotFound(f"{asked} is no route; /docs lists them", kind="route", name=asked)
            )
        return problem_answer(InvalidInput(str(error.detail), field="body"))

    @app.exception_handler(Exception)
    def defect(_: Request, __: Exception) -> Response:
        return defect_answer()


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes)
        document["components"]["securitySchemes"] = {
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            "bearer": {"type": "http", "scheme": "bearer"},
        }
        document["security"] = [{"key": []}, {"bearer": []}]
        document["paths"][OPENAPI_PATH] = {"post": openapi_operation()}
        app.openapi_schema = document
    return app.openapi_schema
