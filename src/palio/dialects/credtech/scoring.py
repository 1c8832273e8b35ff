"""Bodies of the scoring routes, and what is answered: the document shows neither."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from palio.delivery.domain import Answer
from palio.dialects.credtech.records import Record, model_id
from palio.dialects.credtech.settings import CredtechSettings
from palio.errors import InvalidInput

__all__ = ["asked", "batch_answer", "batch_asked", "score_answer"]

_POINTS = 1_000
_BINARY = 2
_WRAPPING = {"features", "request_id"}


def asked(body: bytes, request_id: str | None) -> tuple[list[object], str | None]:
    """Return the one row of a body and the id of the request.

    Parameters
    ----------
    body
        An object of features, or ``{"features": {…}, "request_id": …}``.
    request_id
        From the header ``X-Request-ID``, which comes first.
    """
    row, given = _parted(body)
    if not isinstance(row, Mapping):
        raise InvalidInput(
            "features must be an object of values by name, as in "
            '{"features": {"income": 4200}, "request_id": "r-1"}',
            field="features",
            value=row,
        )
    return [row], _id(request_id, given)


def batch_asked(body: bytes, request_id: str | None) -> tuple[list[object], str | None]:
    """Return the rows of a body, a list or ``{"features": [{…}, …]}``, and the request's id."""
    rows, given = _parted(body)
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise InvalidInput(
            "features must be a list of objects of values by name, as in "
            '{"features": [{"income": 4200}, {"income": 3100}]}',
            field="features",
            value=rows,
        )
    return rows, _id(request_id, given)


def score_answer(answer: Answer, settings: CredtechSettings) -> Record:
    """Return the answer to one row."""
    return _head(answer, settings) | _rows(answer, settings)[0]


def batch_answer(answer: Answer, settings: CredtechSettings) -> Record:
    """Return the answers to many rows, which one model has given."""
    return _head(answer, settings) | {"results": _rows(answer, settings)}


def _parted(content: bytes) -> tuple[Any, Any]:
    """Return what is scored and the id beside it, whatever type the body says it has."""
    try:
        body = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failed:
        raise InvalidInput(f"the body is no JSON: {failed}", field="body") from failed
    if isinstance(body, Mapping) and "features" in body and _is_wrapped(body):
        return body["features"], body.get("request_id")
    return body, None


def _is_wrapped(body: Mapping[str, Any]) -> bool:
    """Tell whether ``features`` holds the features; it could be the name of one."""
    return isinstance(body["features"], Mapping | list) or set(body) <= _WRAPPING


def _id(header: str | None, given: Any) -> str | None:
    if given is not None and not isinstance(given, str):
        raise InvalidInput("request_id must be a text", field="request_id", value=given)
    return header or given


def _head(answer: Answer, settings: CredtechSettings) -> Record:
    return {
        "request_id": answer.request_id,
        "model_id": model_id(f"{answer.model}:{answer.version}", settings.model),
        "experiment_id": answer.experiment,
    }


def _rows(answer: Answer, settings: CredtechSettings) -> list[Record]:
    if answer.probabilities is None:
        return [
            {"score": value, "probability": None, "decision": _decision(value, settings)}
            for value in answer.predictions
        ]
    return [
        _judged(value, row, settings)
        for value, row in zip(answer.predictions, answer.probabilities, strict=True)
    ]


def _judged(value: object, row: list[float], settings: CredtechSettings) -> Record:
    """Return a classifier's answer: points of 1,000 that grow as the risk falls."""
    binary = len(row) == _BINARY
    risk = row[-1] if binary else max(row)
    return {
        "score": round(_POINTS * (1 - risk)) if binary else None,
        "probability": risk,
        "decision": _decision(value, settings),
    }


def _decision(value: object, settings: CredtechSettings) -> str:
    return settings.decisions.get(str(value), str(value))
