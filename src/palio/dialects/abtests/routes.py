"""``/api/v1/ab-tests``: its routes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict
from starlette.responses import JSONResponse

from palio.dialects.abtests.asking import AskedTest
from palio.dialects.abtests.service import Tests
from palio.edge.answering import answering
from palio.edge.dialects import Served
from palio.edge.problems import status_of
from palio.errors import PalioError, Unauthenticated

__all__ = ["routes"]

_OWN = "abtests"  # who gives users their variants, in the audit log and in roles


class Completion(BaseModel):
    """Who has won: ``a``, ``b`` or nobody."""

    model_config = ConfigDict(extra="forbid")

    winner: str | None = None


class Recorded(BaseModel):
    """A value of a custom metric, for a variant as a whole."""

    model_config = ConfigDict(extra="forbid")

    variant: str
    metric: str
    value: float


def routes(served: Served) -> APIRouter:
    """Return the routes."""
    router = APIRouter(
        prefix="/api/v1/ab-tests", route_class=answering(_failed), tags=["dialect: abtests"]
    )

    def tests(request: Request) -> Tests:
        return Tests(served.verbs(request))

    _add_users(router, served)
    _add_reading(router, tests)
    _add_changing(router, tests, served)
    return router


def _add_users(router: APIRouter, served: Served) -> None:
    @router.get("/user/variant")
    def user_variant(request: Request, model_type: str) -> Any:
        """Give the bearer of the token the variant of the active test."""
        found = Tests(served.own(_OWN)).variant_for(_user(request, served), model_type)
        return found or {"test_id": None, "variant": None, "model_type": model_type}


def _user(request: Request, served: Served) -> str:
    """Return whom the token identifies: a key's name is the user's id."""
    if "authorization" not in request.headers and "x-api-key" not in request.headers:
        raise Unauthenticated(
            "a user's variant needs the user's token; send it as `Authorization: Bearer …` "
            "(palio keys create USER_ID --role viewer makes one)"
        )
    return served.caller(request).name


def _add_reading(router: APIRouter, tests: Callable[[Request], Tests]) -> None:
    @router.get("")
    def list_tests(
        request: Request, model_type: str | None = None, status: str | None = None
    ) -> Any:
        """List tests, of a model type or in a status."""
        return tests(request).listed(model_type, status)

    @router.get("/{test_id}")
    def get_test(request: Request, test_id: str) -> Any:
        """Return a test with its metrics and assignments."""
        return tests(request).get(test_id)

    @router.get("/{test_id}/assignments")
    def assignments(request: Request, test_id: str, user_id: str | None = None) -> Any:
        """Return which users keep which variant."""
        return tests(request).assignments(test_id, user_id)


def _add_changing(router: APIRouter, tests: Callable[[Request], Tests], served: Served) -> None:
    def changed(answer: Any) -> Any:
        served.changed()
        return answer

    @router.post("", status_code=201)
    def create(request: Request, asked: AskedTest) -> Any:
        """Draft a test of two versions of a model type."""
        return changed(tests(request).create(asked))

    @router.post("/{test_id}/start")
    def start(request: Request, test_id: str) -> Any:
        """Start a draft, or go on after a pause."""
        return changed(tests(request).start(test_id))

    @router.post("/{test_id}/pause")
    def pause(request: Request, test_id: str) -> Any:
        """Route nobody for now."""
        return changed(tests(request).pause(test_id))

    @router.post("/{test_id}/complete")
    def complete(request: Request, test_id: str, asked: Completion | None = None) -> Any:
        """End a test; the winner is promoted, where it is not in production yet."""
        return changed(tests(request).complete(test_id, asked.winner if asked else None))

    @router.post("/{test_id}/metrics", status_code=202)
    def record(request: Request, test_id: str, asked: Recorded) -> Any:
        """Record a value of a custom metric for a variant as a whole."""
        tests(request).record(test_id, asked.variant, asked.metric, asked.value)
        return {"recorded": True}


def _failed(error: PalioError) -> Response:
    told = {"error": error.message, "code": error.code, **_field(error)}
    return JSONResponse(told, status_code=status_of(error))


def _field(error: PalioError) -> dict[str, Any]:
    return {name: error.details[name] for name in ("field",) if name in error.details}
