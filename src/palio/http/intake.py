"""The two routes whose bodies are not a verb's parameters: outcomes, and files of versions."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.responses import Response

from palio.access.domain import required_role
from palio.edge.verbs import Verbs
from palio.errors import InvalidInput, InvalidOutcome
from palio.experiments.events import OutcomeDraft, Receipt
from palio.experiments.outcomes import Outcomes
from palio.http.answers import json_answer
from palio.http.fields import unknown_field
from palio.registry.domain import Version, VersionDraft
from palio.registry.service import Models

__all__ = ["intake_router"]

_CHUNK_BYTES = 1 << 20
_LONGEST_NAME = 255  # bytes of one part of a path: what file systems take
_LONGEST_PATH = 1_024
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
        tags=["models"],
        response_model=Version,
        operation_id="models_register",
        status_code=201,
        openapi_extra=_version_body(),
    )
    async def register(
        model: str,
        request: Request,
        verbs: Verbs = allowed(Models.register),  # noqa: B008 - FastAPI's way
    ) -> Response:
        """Register a version: a part ``draft`` with its record, and a part ``files`` per file."""
        async with request.form(max_files=1_000, max_part_size=_CHUNK_BYTES) as form:
            draft = _draft(form.get("draft"))
            with tempfile.TemporaryDirectory(prefix="palio-upload-") as folder:
                for file in form.getlist("files"):
                    await _save(file, Path(folder))
                version = await run_in_threadpool(
                    verbs.models.register, model, draft, Path(folder)
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


def _draft(sent: Any) -> VersionDraft:
    if not isinstance(sent, str):
        raise InvalidInput(
            "the part 'draft' is missing; send the version's record as JSON", field="draft"
        )
    try:
        if (unknown := unknown_field(VersionDraft, msgspec.json.decode(sent))) is not None:
            raise InvalidInput(f"draft: the field {unknown!r} is unknown", field=unknown)
        return msgspec.json.decode(sent, type=VersionDraft)
    except (*_UNREADABLE, UnicodeEncodeError) as failed:
        raise InvalidInput(f"draft: {failed}", field="draft") from failed


async def _save(file: Any, folder: Path) -> None:
    if not isinstance(file, UploadFile) or not file.filename:
        raise InvalidInput("each part 'files' is a file with its path as file name", field="files")
    target = folder / _relative(file.filename)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as written:
            while chunk := await file.read(_CHUNK_BYTES):
                written.write(chunk)
    except (FileExistsError, NotADirectoryError) as taken:
        raise _unusable(file.filename, "was sent twice, or as file and folder") from taken


def _relative(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name:
        raise _unusable(name, "leaves the version's folder; send a relative path")
    longest = max((len(part.encode()) for part in path.parts), default=0)
    if not 0 < longest <= _LONGEST_NAME or len(name) > _LONGEST_PATH or not name.isprintable():
        raise _unusable(name[:_LONGEST_NAME], "cannot be the name of a file")
    return path


def _unusable(name: str, why: str) -> InvalidInput:
    return InvalidInput(f"the file name {name!r} {why}", field="files", value=name)


def _outcomes_body() -> dict[str, Any]:
    example = {"request_id": "req_1", "value": 1}
    schema = {"oneOf": [{"type": "object"}, {"type": "array", "items": {"type": "object"}}]}
    content = {"application/json": {"schema": schema, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def _version_body() -> dict[str, Any]:
    files = {"type": "array", "items": {"type": "string", "format": "binary"}}
    schema = {
        "type": "object",
        "required": ["draft", "files"],
        "properties": {"draft": {"type": "string"}, "files": files},
    }
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    }
