"""Exchanges as they were once agreed on: what is sent, and what is answered."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.dialects.documented import documents
from tests.dialects.exchanges import same_as_golden

ROW = {"x0": 0.4, "x1": -0.2, "x2": 1.5}
VOLATILE = ("created_at", "started_at", "experiment_id", "probability")
EXCHANGES: dict[str, tuple[str, str, Any]] = {
    "models": ("GET", "models", None),
    "model-info": ("GET", "model-info?model_id=model_v2", None),
    "model-info-unknown": ("GET", "model-info?model_id=nope", None),
    "score": ("POST", "score?model_id=model_v1", {"features": ROW, "request_id": "r-1"}),
    "score-unknown-model": ("POST", "score?model_id=nope", ROW),
    "score-unfit": ("POST", "score?model_id=model_v1", {"x0": 0.4}),
    "batch-score": (
        "POST",
        "batch-score?model_id=v3.0.0",
        {"features": [ROW, {"x0": -2.0, "x1": -1.5, "x2": 0.0}], "request_id": "r-2"},
    ),
}


@documents("credtech:api", "credtech:api-models", "credtech:api-model-info", "credtech:api-score",
           "credtech:api-batch-score", "credtech:model-not-found")  # fmt: skip
@pytest.mark.parametrize("name", list(EXCHANGES))
def test_what_is_sent_is_answered_so(http: httpx.Client, name: str) -> None:
    method, path, body = EXCHANGES[name]
    answer = http.request(method, f"/api/{path}", json=body)
    same_as_golden(f"credtech/{name}", body, answer, volatile=VOLATILE)


@documents("credtech:api-experiments")
@pytest.mark.usefixtures("experiment")
def test_experiments_are_answered_so(http: httpx.Client) -> None:
    answer = http.get("/api/experiments")
    same_as_golden("credtech/experiments", None, answer, volatile=VOLATILE)
