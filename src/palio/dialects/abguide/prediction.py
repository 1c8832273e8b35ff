"""Requests for a prediction, and answers: one row, whose hash is the unit unless one is named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from palio.delivery.domain import Answer, PredictRequest
from palio.dialects.abguide.settings import Settings
from palio.errors import InvalidInput

__all__ = ["answer_of", "request_of", "unit_of"]

_FIELDS = ("features", "user_id", "request_id")


def request_of(sent: Mapping[str, Any], settings: Settings) -> PredictRequest:
    """Read a request: features alone, or ``features`` beside ``user_id`` and ``request_id``.

    Raises
    ------
    InvalidInput
        If another field stands beside ``features``, or an id is no text.
    """
    features = sent.get("features")
    if not isinstance(features, Mapping | list):  # a feature of that name is a plain cell
        sent = {"features": sent}
    for name, value in sent.items():
        if name not in _FIELDS:
            raise InvalidInput(
                f"{name}: beside features there may stand user_id and request_id", field=name
            )
        if name != "features" and not isinstance(value, str | None):
            raise InvalidInput(f"{name} is {value!r}; give a text", field=name, value=str(value))
    row = sent["features"]
    return PredictRequest(
        endpoint=settings.model,
        rows=[row],
        unit=sent.get("user_id") or unit_of(row),
        request_id=sent.get("request_id"),
    )


def unit_of(row: object) -> str:
    """Return the hash of a row: the same for the same features, in whatever order and notation.

    Examples
    --------
    >>> unit_of({"age": 40, "income": 1.5}) == unit_of({"income": 1.50, "age": 40.0})
    True
    """
    canonical = json.dumps(_plain(row), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def answer_of(answer: Answer, settings: Settings) -> dict[str, Any]:
    """Return who has answered, and what."""
    (prediction,) = answer.predictions
    probabilities = None
    if answer.probabilities is not None:
        names = [str(one) for one in answer.classes]
        probabilities = dict(zip(names, answer.probabilities[0], strict=True))
    return {
        "request_id": answer.request_id,
        "model_version": answer.version,
        "prediction": prediction,
        "outcome": settings.outcome(prediction) if answer.classes else None,
        "probabilities": probabilities,
    }


def _plain(value: object) -> object:
    """Write whole numbers alike, as 40 and 40.0 are one number to a model."""
    match value:
        case dict():
            return {name: _plain(one) for name, one in value.items()}
        case list():
            return [_plain(one) for one in value]
        case float() if value.is_integer():
            return int(value)
    return value
