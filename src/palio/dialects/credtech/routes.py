"""``/api/…``: models, experiments and scores over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from palio.delivery.domain import Answer, PredictRequest
from palio.dialects.credtech import words
from palio.dialects.credtech.line import Line
from palio.dialects.credtech.log import LOG, log_to
from palio.dialects.credtech.records import Record, training_record
from palio.dialects.credtech.records import model_id as model_id_of
from palio.dialects.credtech.scoring import asked, batch_answer, batch_asked, score_answer
from palio.dialects.credtech.settings import CredtechSettings
from palio.edge.answering import answering
from palio.edge.configuring import configured
from palio.edge.dialects import Served
from palio.edge.problems import status_of
from palio.errors import InvalidRows, NotFound, PalioError

__all__ = ["router"]

ModelId = Annotated[str | None, Query(description="A model; A/B testing or production if none")]
RequestId = Annotated[str | None, Header(alias="X-Request-ID")]
Reader = Callable[[bytes, str | None], tuple[list[object], str | None]]


def router(served: Served) -> APIRouter:
    """Return the routes."""
    chosen = configured(CredtechSettings)
    log_to(chosen.log_file)
    made = APIRouter(prefix="/api", route_class=answering(_refused), include_in_schema=False)
    _add_reading(made, served, chosen)
    _add_scoring(made, served, chosen)
    return made


def _add_reading(made: APIRouter, served: Served, chosen: CredtechSettings) -> None:
    def line(request: Request) -> Line:
        return Line(verbs=served.verbs(request), settings=chosen)

    @made.get("/models")
    def models(request: Request) -> Response:
        """List all models, and which is in production."""
        here = line(request)
        found = here.records(here.versions())
        return _json({"models": found, "production_model_id": here.production()})

    @made.get("/experiments")
    def experiments(request: Request) -> Response:
        """List all experiments."""
        here = line(request)
        return _json({"experiments": [here.told(one) for one in here.experiments()]})

    @made.get("/model-info")
    def model_info(request: Request, model_id: ModelId = None) -> Response:
        """Tell all that is known of a model; of the one in production if none is named."""
        here = line(request)
        version = here.version(model_id or None)
        return _json(here.record(version) | {"training": training_record(version.training)})


def _add_scoring(made: APIRouter, served: Served, chosen: CredtechSettings) -> None:
    async def answered(
        request: Request, read: Reader, model: str | None, request_id: str | None
    ) -> Answer:
        rows, request_id = read(await request.body(), request_id)
        question = PredictRequest(
            endpoint=chosen.address,
            rows=rows,
            request_id=request_id,
            version=model_id_of(model, chosen.model) if model else None,
        )
        with words.loading():
            try:
                return await served.predict(request, question)
            except NotFound as missing:
                if missing.details.get("kind") != "endpoint":
                    raise
            await run_in_threadpool(opened, request)
            return await served.predict(request, question)

    def opened(request: Request) -> None:
        Line(verbs=served.verbs(request), settings=chosen).open()
        served.changed()

    @made.post("/score")
    async def score(
        request: Request, model_id: ModelId = None, sent_as: RequestId = None
    ) -> Response:
        """Score one applicant."""
        answer = await answered(request, asked, model_id, sent_as)
        return _json(score_answer(answer, chosen))

    @made.post("/batch-score")
    async def batch_score(
        request: Request, model_id: ModelId = None, sent_as: RequestId = None
    ) -> Response:
        """Score many applicants, all by one model."""
        answer = await answered(request, batch_asked, model_id, sent_as)
        return _json(batch_answer(answer, chosen))


def _json(content: Record, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def _refused(error: PalioError) -> Response:
    LOG.warning("refused: %s", _logged(error))
    return _json({"detail": error.message, "code": error.code}, status_of(error))


def _logged(error: PalioError) -> str:
    """Return what is logged of an error: nothing of what applicants have sent."""
    if isinstance(error, InvalidRows):
        return f"{error.code}: {error.details.get('field')}"
    return error.message
