"""The application by its import name: ``uvicorn palio.dialects.abguide.api:app``."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import Any

from palio.errors import PalioError

__all__ = ["create_app"]


def create_app() -> Any:
    """Return the application on the store that the settings name.

    What wires everything is found by its name, as a user's own import would find it. Processes
    that one supervisor begins are one server.
    """
    platform = resolve_name("palio.platform")
    return platform.application(
        platform.settings(), server_name=platform.server_name(), on_ready=platform.settle
    )


def __getattr__(name: str) -> Any:
    """Make ``app`` when it is asked for: importing this module opens nothing."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return create_app()
    except PalioError as error:  # whoever starts a server reads one line, and no traceback
        raise SystemExit(f"error: {error.message}") from None
