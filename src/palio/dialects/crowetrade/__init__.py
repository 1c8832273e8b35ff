"""A model registry with trading policies, and tests on returns: calls in Python."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from palio.edge.dialects import Dialect

if TYPE_CHECKING:
    from palio.dialects.crowetrade.designs import ABTestConfig, create_ab_test
    from palio.dialects.crowetrade.engine import ABTestEngine
    from palio.dialects.crowetrade.metadata import ModelMetadata, create_model_metadata
    from palio.dialects.crowetrade.registry import ModelRegistry
    from palio.dialects.crowetrade.words import (
        AllocationStrategy,
        ModelStatus,
        ModelType,
        TestStatus,
    )

__all__ = [
    "DIALECT",
    "ABTestConfig",
    "ABTestEngine",
    "AllocationStrategy",
    "ModelMetadata",
    "ModelRegistry",
    "ModelStatus",
    "ModelType",
    "TestStatus",
    "create_ab_test",
    "create_model_metadata",
]

DIALECT = Dialect(name="crowetrade", chores="palio.dialects.crowetrade.trees:chore")

_HOMES = {
    "ABTestConfig": "designs",
    "ABTestEngine": "engine",
    "AllocationStrategy": "words",
    "ModelMetadata": "metadata",
    "ModelRegistry": "registry",
    "ModelStatus": "words",
    "ModelType": "words",
    "TestStatus": "words",
    "create_ab_test": "designs",
    "create_model_metadata": "metadata",
}


def __getattr__(name: str) -> Any:
    """Load the documented names when they are asked for."""
    if name in _HOMES:
        return resolve_name(f"palio.dialects.crowetrade.{_HOMES[name]}:{name}")
    raise AttributeError(f"module 'palio.dialects.crowetrade' has no attribute {name!r}")
