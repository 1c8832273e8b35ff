"""What clients ask for, a test in its words, as a design."""

from __future__ import annotations

import math
import uuid

from pydantic import BaseModel, ConfigDict, Field

from palio.dialects.abtests.words import LATENCY_PER_REQUEST
from palio.errors import InvalidInput
from palio.experiments.designs.design import ExperimentDraft, Metrics, Type, Variant
from palio.experiments.designs.risk import Criteria
from palio.registry.domain import check_name

__all__ = ["AskedCriteria", "AskedTest", "draft_of"]

_SUM_TOLERANCE = 1e-9


class AskedCriteria(BaseModel):
    """When a variant may win."""

    model_config = ConfigDict(extra="forbid")

    min_requests: int = 0
    max_error_rate: float | None = None
    max_latency_ms: float | None = None
    min_improvement: float = 0.0


class AskedTest(BaseModel):
    """A test as clients ask for it.

    ``metric`` is beyond the document: what the test is decided on, an outcome with its direction
    as in ``satisfaction:higher``; the share of failed requests when not given.
    """

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    model_type: str
    variant_a: str
    variant_b: str
    traffic_split: dict[str, float]
    criteria: AskedCriteria = Field(default_factory=AskedCriteria)
    metric: str = "error"


def draft_of(asked: AskedTest, id_: uuid.UUID) -> ExperimentDraft:
    """Return the design of a test: its users keep their variant.

    Raises
    ------
    InvalidInput
        If the model type is no name, or the split is not of ``a`` and ``b`` or does not sum to 1.
    """
    check_name("model_type", asked.model_type)
    split, total = asked.traffic_split, math.fsum(asked.traffic_split.values())
    if set(split) != {"a", "b"} or abs(total - 1) > _SUM_TOLERANCE:
        raise InvalidInput(
            f'traffic_split must give "a" and "b" shares that sum to 1.0, got {split}',
            field="traffic_split",
            value=split,
        )
    versions = {"a": asked.variant_a, "b": asked.variant_b}
    return ExperimentDraft(
        key=str(id_),
        endpoint=asked.model_type,
        title=asked.name,
        variants=tuple(Variant(key, versions[key], split[key]) for key in ("a", "b")),
        metrics=Metrics(
            goal=asked.metric,
            secondary=tuple(
                name
                for name in ("error", "latency_ms", f"{LATENCY_PER_REQUEST}:lower")
                if name != asked.metric
            ),
        ),
        type=Type.AA if asked.variant_a == asked.variant_b else Type.AB,
        criteria=Criteria(**asked.criteria.model_dump()),
        unit="user_id",
        sticky=True,
    )
