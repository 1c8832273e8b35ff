"""A test service over HTTP, whose units are users: ``/api/v1/ab-tests``."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from palio.edge.dialects import Dialect

if TYPE_CHECKING:
    from palio.dialects.abtests.service import ABTestService

__all__ = ["DIALECT", "ABTestService"]

DIALECT = Dialect(
    name="abtests",
    routes="palio.dialects.abtests.routes:routes",
    commands="palio.dialects.abtests.commands:app",
)


def __getattr__(name: str) -> Any:
    """Load the Python calls when they are asked for."""
    if name == "ABTestService":
        return resolve_name("palio.dialects.abtests.service:ABTestService")
    raise AttributeError(f"module 'palio.dialects.abtests' has no attribute {name!r}")
