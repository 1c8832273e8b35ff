"""The words of the document as data: statuses, algorithms, ways to vote, and settings."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from palio.errors import InvalidInput
from palio.experiments.designs.policy import PolicyKind
from palio.registry.lifecycle import Lifecycle

__all__ = [
    "ALGORITHMS",
    "LIFECYCLE",
    "STATUSES",
    "VOTING",
    "ModelStatus",
    "NightscanSettings",
    "meaning",
    "stage_of",
    "status_of",
]

T = TypeVar("T")


class ModelStatus(enum.StrEnum):
    """Where a model version stands."""

    TRAINING = "training"
    VALIDATION = "validation"
    TESTING = "testing"
    DEPLOYED = "deployed"
    RETIRED = "retired"
    FAILED = "failed"


STATUSES: Mapping[str, ModelStatus] = {str(status): status for status in ModelStatus}
LIFECYCLE = Lifecycle(
    name="nightscan",
    initial="training",
    production="deployed",
    retired="retired",
    transitions={
        "training": ("validation", "testing", "deployed", "retired", "failed"),
        "validation": ("testing", "deployed", "retired", "failed"),
        "testing": ("deployed", "retired", "failed"),
        "deployed": ("retired", "failed"),
        "retired": ("deployed",),
        "failed": (),
    },
)
"""The documented progress; a version that served before may serve again, for rollback."""

ALGORITHMS: Mapping[str, PolicyKind] = {
    "thompson_sampling": PolicyKind.THOMPSON,
    "top_two_thompson_sampling": PolicyKind.TOP_TWO_THOMPSON,
    "epsilon_greedy": PolicyKind.EPSILON_GREEDY,
    "ucb": PolicyKind.UCB,
    "ucb1": PolicyKind.UCB,
}
VOTING: Mapping[str, str] = {
    "weighted_average": "weighted_mean",
    "average": "mean",
    "median": "median",
    "soft": "soft_vote",
    "hard": "hard_vote",
    "majority": "hard_vote",
}


def meaning(name: str, word: str, words: Mapping[str, T]) -> T:
    """Return what a word of the document means; refuse one that it does not have."""
    if word not in words:
        raise InvalidInput(
            f"{name} must be one of {', '.join(words)}, got {word!r}", field=name, value=word
        )
    return words[word]


def status_of(stage: str, lifecycle: Lifecycle) -> ModelStatus:
    """Return the status that a stage of any lifecycle amounts to."""
    found: Mapping[str, ModelStatus] = {
        lifecycle.initial: ModelStatus.TRAINING,
        lifecycle.production: ModelStatus.DEPLOYED,
        lifecycle.retired: ModelStatus.RETIRED,
        **STATUSES,
    }
    is_end = not lifecycle.transitions.get(stage)
    return found.get(stage, ModelStatus.RETIRED if is_end else ModelStatus.TESTING)


def stage_of(status: ModelStatus, lifecycle: Lifecycle) -> str:
    """Return the stage of any lifecycle that a status amounts to."""
    found = {
        ModelStatus.TRAINING: lifecycle.initial,
        ModelStatus.DEPLOYED: lifecycle.production,
        ModelStatus.RETIRED: lifecycle.retired,
    }
    return found.get(status, str(status))


def _parted(given: Any) -> Any:
    return [one.strip() for one in given.split(",")] if isinstance(given, str) else given


class NightscanSettings(BaseSettings):
    """Read from ``NIGHTSCAN_`` and the field's name, in the environment or ``.env``."""

    model_config = SettingsConfigDict(env_prefix="NIGHTSCAN_", env_file=".env", extra="ignore")

    registry: Path = Field(default=Path("models/registry"), description="The tree of files")
    log: Path = Field(default=Path("logs/ab_test.log"), description="Which request went where")
    sample_rate: int = Field(default=22_050, ge=1, description="Samples a second of uploads")
    samples: int = Field(
        default=22_050, ge=1, description="Length of a model's audio that does not tell its own"
    )
    lower_is_better: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_parted)] = Field(
        default=("inference_time", "latency", "latency_ms", "loss", "error_rate", "memory_usage"),
        description="Metrics of which less is better, with commas between",
    )
    automatic: bool = Field(
        default=True, description="Experiments end by themselves when it is known how"
    )
