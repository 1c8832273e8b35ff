"""The documented routes below ``/api/v1``: predictions of sound, and analyses of experiments."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from palio.dialects.nightscan.audio import samples_of
from palio.dialects.nightscan.deployments import DeploymentManager
from palio.dialects.nightscan.experiments import ABTestManager
from palio.dialects.nightscan.words import NightscanSettings
from palio.edge.answering import answering
from palio.edge.configuring import configured
from palio.edge.dialects import Served
from palio.edge.problems import status_of
from palio.errors import InvalidInput, NotFound, PalioError

__all__ = ["router"]

_FORM = "multipart/form-data"
_NO_EXPERIMENT = "Experiment not found"


def router(served: Served) -> APIRouter:
    """Return the routes."""
    settings = configured(NightscanSettings)
    routes = APIRouter(prefix="/api/v1", tags=["nightscan"], route_class=answering(_refused))

    @routes.post("/predict", operation_id="nightscan_predict")
    async def predict_audio(
        request: Request, experiment_id: str | None = None, deployment_id: str | None = None
    ) -> Response:
        """Answer an uploaded WAV file, or samples as JSON, and record the answer."""
        predict = partial(served.predict, request)
        manager = DeploymentManager(served.verbs(request), predict, settings)
        audio, request_id = await _sent(request, settings.sample_rate)
        result = await manager.run_inference(
            audio, request_id=request_id, experiment_id=experiment_id, deployment_id=deployment_id
        )
        taking = {"experiment_id": experiment_id, "variant": result["variant"]}
        said = {
            name: result[name]
            for name in ("request_id", "model_version", "predictions", "inference_time")
        }
        return JSONResponse(said | {"experiment_info": taking if experiment_id else None})

    @routes.get("/experiments/{experiment_id}/analysis", operation_id="nightscan_analysis")
    def get_experiment_analysis(request: Request, experiment_id: str) -> Response:
        """Return the analysis of an experiment."""
        manager = ABTestManager(served.verbs(request), settings)
        analysis = manager.analyze_experiment(experiment_id)
        if analysis is None:
            return JSONResponse({"error": _NO_EXPERIMENT}, status_code=404)
        return JSONResponse(analysis)

    return routes


async def _sent(request: Request, rate: int) -> tuple[Any, str | None]:
    """Return the samples of a request, and the id that it gives itself, if any."""
    if not request.headers.get("content-type", "").startswith(_FORM):
        return _decoded(await request.body())
    async with request.form(max_files=1) as form:
        named = form.get("request_id")
        for part in form.values():
            if isinstance(part, UploadFile):
                samples = await run_in_threadpool(samples_of, await part.read(), rate)
                return samples, named if isinstance(named, str) else None
    raise InvalidInput("the form holds no file; send the audio as the part 'file'", field="file")


def _decoded(body: bytes) -> tuple[Any, str | None]:
    try:
        sent = json.loads(body)
        return sent["audio_data"], sent.get("request_id")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as odd:
        raise InvalidInput(
            "the body cannot be read; upload a WAV file as multipart/form-data, or send "
            '{"audio_data": [0.1, …]}',
            field="body",
        ) from odd


def _refused(error: PalioError) -> Response:
    unknown = isinstance(error, NotFound) and error.details.get("kind") == "experiment"
    told = _NO_EXPERIMENT if unknown else error.message
    return JSONResponse({"error": told, "code": error.code}, status_code=status_of(error))
