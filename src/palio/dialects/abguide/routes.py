"""Its routes: parse, one call, render."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Body, Depends, Request, Response
from pydantic import StrictFloat

from palio.access.domain import Role
from palio.dialects.abguide.prediction import answer_of, request_of
from palio.dialects.abguide.registration import Registration
from palio.dialects.abguide.registry import Registry
from palio.dialects.abguide.settings import Settings
from palio.dialects.abguide.traffic import compare, weigh
from palio.dialects.abguide.words import NOT_ENABLED, NOTHING_SERVES, Status
from palio.edge.answering import answering
from palio.edge.configuring import configured
from palio.edge.dialects import Served
from palio.edge.problems import problem_of, status_of
from palio.errors import Conflict, NotFound, PalioError

__all__ = ["routes"]

Weights = dict[str, StrictFloat]


def routes(served: Served) -> APIRouter:
    """Return its routes, by the settings of now."""
    settings = configured(Settings)
    router = APIRouter(route_class=answering(_refusal), tags=["abguide"])
    _add_registry(router, served, settings)
    _add_traffic(router, served, settings)
    _add_predict(router, served, settings)
    return router


def _add_registry(router: APIRouter, served: Served, settings: Settings) -> None:
    read, write = (_allowed(served, settings, role) for role in (Role.VIEWER, Role.OPERATOR))

    @router.get("/registry/models")
    def list_models(
        registry: Registry = read, status: Status | None = None
    ) -> list[dict[str, Any]]:
        """List all registered models, or those of one status."""
        return registry.models(status)

    @router.post("/registry/models", status_code=201)
    def register_model(asked: Registration, registry: Registry = write) -> dict[str, Any]:
        """Register a new model version by the paths of its files."""
        made = registry.register(asked)
        served.changed()
        return made

    @router.get("/registry/models/{version}")
    def get_model(version: str, registry: Registry = read) -> dict[str, Any]:
        """Get the metadata of a model."""
        return registry.get(version)

    @router.post("/registry/models/{version}/load")
    def load_model(version: str, registry: Registry = write) -> dict[str, Any]:
        """Load a model into memory, where it stays."""
        with registry.known(version):
            registry.verbs.endpoints.load(registry.model, version)
        served.changed()
        registry.check_loaded(version)
        return {"message": f"Model version '{version}' loaded", "version": version}

    @router.post("/registry/models/{version}/unload")
    def unload_model(version: str, registry: Registry = write) -> dict[str, Any]:
        """Unload a model from memory."""
        registry.version(version)
        registry.verbs.endpoints.unload(registry.model, version)
        served.changed()
        return {"message": f"Model version '{version}' unloaded", "version": version}


def _add_traffic(router: APIRouter, served: Served, settings: Settings) -> None:
    read, write = (
        _allowed(served, settings, role, enabled=True) for role in (Role.VIEWER, Role.OPERATOR)
    )

    @router.get("/registry/ab-test/weights")
    def get_weights(registry: Registry = read) -> Mapping[str, float]:
        """Get the current traffic weights."""
        return registry.shares()

    @router.post("/registry/ab-test/weights")
    def set_weights(
        weights: Annotated[Weights, Body()], registry: Registry = write
    ) -> Mapping[str, float]:
        """Set traffic weights."""
        made = weigh(registry, weights)
        served.changed()
        return made

    @router.get("/registry/ab-test/compare/{v1}/{v2}")
    def compare_models(v1: str, v2: str, registry: Registry = read) -> dict[str, Any]:
        """Compare two model versions."""
        return compare(registry, v1, v2)


def _add_predict(router: APIRouter, served: Served, settings: Settings) -> None:
    allowed = _allowed(served, settings, Role.OPERATOR)

    @router.post("/predict", dependencies=[allowed])
    async def predict(request: Request, sent: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        """Answer a row by the version that the traffic weights choose for it."""
        asked = request_of(sent, settings)
        try:
            answer = await served.predict(request, asked)
        except NotFound as nothing:
            if nothing.details.get("kind") not in {"endpoint", "champion"}:
                raise
            raise NotFound(NOTHING_SERVES, kind="endpoint", name=settings.model) from nothing
        return answer_of(answer, settings)


def _allowed(served: Served, settings: Settings, role: Role, *, enabled: bool = False) -> Any:
    """Return the dependency that refuses low roles before a body is looked at."""

    def registry(request: Request) -> Registry:
        served.caller(request).require(role, request.url.path)
        if enabled and not settings.ab_testing_enabled:
            raise Conflict(NOT_ENABLED, setting="AB_TESTING_ENABLED")
        return Registry(served.verbs(request), settings)

    found: Callable[[Request], Registry] = registry
    return Depends(found)


def _refusal(error: PalioError) -> Response:
    """Return an error as its clients read it: a text under ``detail``, and Palio's code."""
    problem = problem_of(error)
    content = msgspec.json.encode({"detail": problem["detail"], "code": problem["code"]})
    return Response(content, status_code=status_of(error), media_type="application/json")
