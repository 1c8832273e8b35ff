"""From a name, model ids and percentages to the design of an experiment."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from palio.errors import InvalidInput, InvalidWeights
from palio.experiments.designs.design import (
    REQUEST,
    ExperimentDraft,
    Metrics,
    Stopping,
    Variant,
)
from palio.registry.signature import Task

__all__ = ["Asked", "design", "id_of"]

_GOALS: Mapping[Task, tuple[str, str]] = {
    Task.CLASSIFICATION: ("brier", "accuracy"),
    Task.REGRESSION: ("squared_error", "absolute_error"),
}
"""What decides, and what is watched beside it, once labels arrive."""
_WHOLE, _ROUNDING = 100.0, 1e-6
_LONGEST_SLUG = 60
_FEWEST = 2


@dataclass(frozen=True, slots=True)
class Asked:
    """An experiment as it is asked for: its name, and lists with commas as texts.

    Without percentages all models get the same.
    """

    name: str
    description: str
    model_ids: str
    traffic_split: str | None

    @property
    def models(self) -> Sequence[str]:
        """The ids of the models; the first is the control."""
        return _listed(self.model_ids)


def design(asked: Asked, *, key: str, endpoint: str, task: Task) -> ExperimentDraft:
    """Return the design: the first model is the control, and each request is a unit.

    Raises
    ------
    InvalidInput
        If it has no name, there are fewer than two models, or one is named twice.
    InvalidWeights
        If there is not one percentage a model, or they do not sum to 100.
    """
    if not asked.name.strip():
        raise InvalidInput("the experiment has no name; give it one", field="name", value="")
    if len(asked.models) < _FEWEST:
        raise InvalidInput(
            f"model IDs {asked.model_ids!r} name fewer than two models; write model_v1,model_v2",
            field="model_ids",
            value=asked.model_ids,
        )
    goal, beside = _GOALS[task]
    shares = _shares(asked)
    return ExperimentDraft(
        key=key,
        endpoint=endpoint,
        variants=tuple(
            Variant(model.replace(":", "."), model, share)
            for model, share in zip(asked.models, shares, strict=True)
        ),
        metrics=Metrics(goal=goal, secondary=(beside, "latency_ms", "error")),
        stopping=Stopping(horizon=None),
        unit=REQUEST,
        title=asked.name,
        description=asked.description,
    )


def id_of(name: str, mark: str) -> str:
    """Return an experiment's id: its name in letters that ids have, and a mark of its own.

    Examples
    --------
    >>> id_of("New Features Test", "1f3a")
    'new-features-test-1f3a'
    """
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_LONGEST_SLUG].rstrip("-")
    return f"{slug or 'experiment'}-{mark}"


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _percentages(text: str) -> list[float]:
    """Read ``80,20``; a percent sign may follow a number."""
    found = []
    for part in _listed(text):
        try:
            found.append(float(part.removesuffix("%")))
        except ValueError:
            raise InvalidInput(
                f"traffic percentage {part!r} is no number; write 80,20",
                field="traffic_split",
                value=part,
            ) from None
    return found


def _shares(asked: Asked) -> list[float]:
    count = len(asked.models)
    given = asked.traffic_split
    split = [_WHOLE / count] * count if given is None else _percentages(given)
    if len(split) != count:
        raise InvalidWeights(
            f"{count} model IDs and {len(split)} traffic percentages were given; give one "
            "percentage for each model",
            field="traffic_split",
            value=split,
        )
    total = math.fsum(split)
    fits = all(0 <= one <= _WHOLE for one in split) and abs(total - _WHOLE) <= _ROUNDING
    if not fits:
        told = ", ".join(f"{one:g}" for one in split)
        raise InvalidWeights(
            f"traffic percentages {told} sum to {total:g}; each must be from 0 to 100, and "
            "together they must be 100",
            field="traffic_split",
            value=split,
        )
    return [one / total for one in split]
