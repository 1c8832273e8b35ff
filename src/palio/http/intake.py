"""The two routes whose bodies are not a verb's parameters: outcomes, and files of versions."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from palio.access.domain import required_role
from palio.edge.fields import unknown_field
from palio.edge.verbs import Verbs
from palio.errors import InvalidInput, InvalidOutcome
from palio.experiments.events import OutcomeDraft, Receipt
from palio.experiments.outcomes import Outcomes
from palio.http.answers import json_answer
from palio.http.uploads import received
from palio.registry.domain import Version, VersionDraft
from palio.registry.versions import Versions

__all__ = ["intake_router"]

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Many(msgspec.Struct, forbid_unknown_fields=True):
    outcomes: list[Any]


def intake_router(verbs_of_caller: Callable[..., Verbs]) -> APIRouter:
    """Return the router of the two routes."""
    router = APIRouter()

    def allowed(verb: Callable[..., Any]) -> Any:
        """Return the dependency that refuses low roles before a body is read."""

        def check(verbs: Verbs = Depends(verbs_of_caller)) -> Verbs:  # noqa: B008 - FastAPI's way
            verbs.audit.actor.require(required_role(verb), verb.__qualname__.lower())
            return verbs

        return Depends(check)

    @router.post(
        "/v1/outcomes",
        tags=["outcomes"],
        response_model=Receipt,
        operation_id="outcomes_record",
        openapi_extra=_outcomes_body(),
    )
    async def record_outcomes(
        request: Request,
        verbs: Verbs = allowed(Outcomes.record),  # noqa: B008 - FastAPI's way
    ) -> Response:
        """Take one outcome, a list of them, or ``{"outcomes": […]}``; all or none."""
        drafts = _outcomes(await request.body())
        return json_answer(await run_in_threadpool(verbs.outcomes.record, drafts))

    @router.post(
        "/v1/models/{model}/versions",
        tags=["versions"],
        response_model=Version,
        operation_id="versions_register",
        status_code=201,
        openapi_extra=_version_body(),
    )
    async def register(
        model: str,
        request: Request,
        verbs: Verbs = allowed(Versions.register),  # noqa: B008 - FastAPI's way
    ) -> Response:
        """Register a version from parts ``draft`` and ``files``, or one ``archive`` of files."""
        with tempfile.TemporaryDirectory(prefix="palio-upload-") as folder:
            upload = await received(request, Path(folder))
            files = upload.archive or Path(folder)
            register = verbs.versions.register
            version = await run_in_threadpool(
                register, model, _draft(upload.draft), files, unpack=upload.archive is not None
            )
        return json_answer(version, status=201)

    return router


def _outcomes(body: bytes) -> list[OutcomeDraft]:
    try:
        sent = msgspec.json.decode(body)
        if isinstance(sent, dict) and "outcomes" in sent:
            sent = msgspec.convert(sent, type=_Many).outcomes
    except _UNREADABLE as failed:
        raise InvalidOutcome(f"the body cannot be read: {failed}", field="body") from failed
    listed = sent if isinstance(sent, list) else [sent]
    return [_outcome(number, one) for number, one in enumerate(listed)]


def _outcome(number: int, sent: Any) -> OutcomeDraft:
    if (unknown := unknown_field(OutcomeDraft, sent)) is not None:
        raise InvalidOutcome(
            f"outcome {number}: the field {unknown!r} is unknown; "
            f"fields are {', '.join(sorted(OutcomeDraft.__dataclass_fields__))}",
            outcome=number,
            field=unknown,
        )
    try:
        return msgspec.convert(sent, type=OutcomeDraft)
    except msgspec.ValidationError as failed:
        raise InvalidOutcome(
            f"outcome {number}: {failed}", outcome=number, field=_field_in(str(failed))
        ) from failed


def _field_in(message: str) -> str | None:
    _, found, place = message.partition("`$.")
    return place.rstrip("`").partition("[")[0] if found else None


def _draft(sent: bytearray | None) -> VersionDraft:
    if sent is None:
        raise InvalidInput(
            "the part 'draft' is missing; send the version's record as JSON", field="draft"
        )
    try:
        if (unknown := unknown_field(VersionDraft, msgspec.json.decode(sent))) is not None:
            raise InvalidInput(f"draft: the field {unknown!r} is unknown", field=unknown)
        return msgspec.json.decode(sent, type=VersionDraft)
    except (*_UNREADABLE, UnicodeEncodeError) as failed:
        raise InvalidInput(f"draft: {failed}", field="draft") from failed


def _outcomes_body() -> dict[str, Any]:
    example = {"request_id": "req_1", "value": 1}
    schema = {"oneOf": [{"type": "object"}, {"type": "array", "items": {"type": "object"}}]}
    content = {"application/json": {"schema": schema, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def _version_body() -> dict[str, Any]:
    files = {"type": "array", "items": {"type": "string", "format": "binary"}}
    schema = {
        "type": "object",
        "required": ["draft"],
        "properties": {
            "draft": {"type": "string"},
            "files": files,
            "archive": files["items"],
        },
    }
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    }
