"""Its words as data: statuses and their lifecycle, model types, strategies."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TypeVar

from palio.experiments.designs.policy import PolicyKind
from palio.experiments.domain import State
from palio.registry.lifecycle import Lifecycle
from palio.registry.requirements import FOUR_EYES

__all__ = [
    "GUARDED_LIFE",
    "LIFE",
    "POLICIES",
    "STATUSES",
    "STRATEGIES",
    "AllocationStrategy",
    "ModelStatus",
    "ModelType",
    "TestStatus",
    "worded",
]

E = TypeVar("E", bound=enum.StrEnum)


class ModelStatus(enum.StrEnum):
    """Where a version stands in the documented life."""

    DEVELOPMENT = "development"
    TESTING = "testing"
    STAGING = "staging"
    PRODUCTION = "production"
    DEPRECATED = "deprecated"
    ARCHIVED = "archived"


class ModelType(enum.StrEnum):
    """What a model is for."""

    SIGNAL = "signal"
    RISK = "risk"
    EXECUTION = "execution"
    REGIME = "regime"
    PORTFOLIO = "portfolio"


class AllocationStrategy(enum.StrEnum):
    """How requests are shared out."""

    FIXED = "fixed"
    THOMPSON_SAMPLING = "thompson_sampling"
    UCB = "ucb"
    EPSILON_GREEDY = "epsilon_greedy"


class TestStatus(enum.StrEnum):
    """Where a test stands."""

    DRAFT = "draft"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


POLICIES: Mapping[AllocationStrategy, PolicyKind] = {
    AllocationStrategy.FIXED: PolicyKind.FIXED,
    AllocationStrategy.THOMPSON_SAMPLING: PolicyKind.THOMPSON,
    AllocationStrategy.UCB: PolicyKind.UCB,
    AllocationStrategy.EPSILON_GREEDY: PolicyKind.EPSILON_GREEDY,
}
STRATEGIES: Mapping[PolicyKind, AllocationStrategy] = {
    kind: strategy for strategy, kind in POLICIES.items()
}
STATUSES: Mapping[State, TestStatus] = {
    State.DRAFT: TestStatus.DRAFT,
    State.RUNNING: TestStatus.RUNNING,
    State.PAUSED: TestStatus.PAUSED,
    State.COMPLETED: TestStatus.COMPLETED,
    State.STOPPED: TestStatus.CANCELLED,
}
_TRANSITIONS = {
    "development": ("testing", "deprecated"),
    "testing": ("staging", "deprecated"),
    "staging": ("production", "deprecated"),
    "production": ("deprecated",),
    "deprecated": ("archived", "production"),  # the way back of a rollback
    "archived": (),
}
LIFE = Lifecycle(
    name="crowetrade",
    initial="development",
    production="production",
    retired="deprecated",
    transitions=_TRANSITIONS,
)
GUARDED_LIFE = Lifecycle(
    name="crowetrade-four-eyes",
    initial="development",
    production="production",
    retired="deprecated",
    transitions=_TRANSITIONS,
    requires={"production": (FOUR_EYES,)},
)
"""The same, where whoever approves is somebody else than who registered."""


def worded(kind: type[E], text: str) -> E | str:
    """Return the member that a word of the store names, or the word, where others made it."""
    return kind(text) if text in list(kind) else text
