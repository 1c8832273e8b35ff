"""The native routes, made from the table that server and client share."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends
from pydantic import BeforeValidator, ConfigDict, create_model
from starlette.responses import Response

from palio.edge.fields import unknown_field
from palio.edge.routes import ROUTES, Route
from palio.edge.verbs import Verbs
from palio.errors import InvalidInput
from palio.http.answers import json_answer

__all__ = ["native_router"]


def native_router(
    verbs_of_caller: Callable[..., Verbs], after_change: Callable[[], None]
) -> APIRouter:
    """Return a router with one path operation per row of the table.

    Parameters
    ----------
    verbs_of_caller
        A FastAPI dependency that authenticates and returns the verbs in the caller's name.
    after_change
        Called when a verb may have changed something, before its answer leaves.
    """
    router = APIRouter()
    for route in ROUTES:
        router.add_api_route(
            route.path,
            _operation(route, verbs_of_caller, after_change),
            methods=[route.method],
            name=f"{route.noun}.{route.verb}",
            operation_id=f"{route.noun}_{route.verb}",
            tags=[route.noun],
            summary=(route.function.__doc__ or "").splitlines()[0],
            description=f"Needs the role {route.role}.",
            response_model=route.answer,
        )
    return router


def _operation(
    route: Route, verbs_of_caller: Callable[..., Verbs], after_change: Callable[[], None]
) -> Callable[..., Response]:
    """Return a function with the parameters of a verb, for FastAPI to read and call."""

    def operate(**given: Any) -> Response:
        verbs: Verbs = given.pop("caller")
        body = given.pop("body", None)
        if body is not None:
            given |= _unpacked(route, body)
        verb = getattr(getattr(verbs, route.noun), route.verb)
        answer = verb(**given)
        if route.method != "GET":
            after_change()
        return json_answer(answer)

    parameters = [
        _parameter(name, parameter.annotation, parameter.default)
        for name, parameter in route.parameters.items()
        if name in route.in_path or not route.has_body
    ]
    if route.has_body:
        parameters.append(_body_parameter(route))
    caller = Annotated[Verbs, Depends(verbs_of_caller)]
    parameters.append(_parameter("caller", caller, inspect.Parameter.empty))
    operate.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    operate.__name__ = f"{route.noun}_{route.verb}"
    return operate


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
    )


def _body_parameter(route: Route) -> inspect.Parameter:
    if route.record is not None:
        record = _known_fields_only(route.elsewhere[route.record].annotation)
        return _parameter("body", Annotated[record, Body()], inspect.Parameter.empty)
    fields: dict[str, Any] = {
        name: (
            _known_fields_only(parameter.annotation)
            if is_dataclass(parameter.annotation)
            else parameter.annotation,
            ... if parameter.default is parameter.empty else parameter.default,
        )
        for name, parameter in route.elsewhere.items()
    }
    title = f"{route.noun.title()}{route.verb.title().replace('_', '')}"
    model = create_model(title, __config__=ConfigDict(extra="forbid"), **fields)
    optional = all(p.default is not p.empty for p in route.elsewhere.values())
    default = None if optional else inspect.Parameter.empty
    return _parameter("body", Annotated[model | None if optional else model, Body()], default)


def _known_fields_only(record: Any) -> Any:
    def check(sent: Any) -> Any:
        if (unknown := unknown_field(record, sent)) is not None:
            raise InvalidInput(
                f"{unknown}: the field is unknown; /docs lists those there are", field=unknown
            )
        return sent

    return Annotated[record, BeforeValidator(check)]


def _unpacked(route: Route, body: Any) -> dict[str, Any]:
    if route.record is not None:
        return {route.record: body}
    return {name: getattr(body, name) for name in route.elsewhere}
