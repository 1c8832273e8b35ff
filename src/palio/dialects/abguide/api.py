"""The application by its import name: ``uvicorn palio.dialects.abguide.api:app``."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import Any

__all__ = ["create_app"]


def create_app() -> Any:
    """Return the application on the store that the settings name.

    What wires everything is found by its name, as a user's own import would find it.
    """
    platform = resolve_name("palio.platform")
    return platform.application(platform.settings())


def __getattr__(name: str) -> Any:
    """Make ``app`` when it is asked for: importing this module opens nothing."""
    if name == "app":
        return create_app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
