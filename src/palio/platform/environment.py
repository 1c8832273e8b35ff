"""What is installed here, and set."""

from __future__ import annotations

from typing import Any

import palio
from palio.edge.configuring import configured
from palio.settings import Settings

__all__ = ["settings", "version"]


def settings(
    *,
    store: str | None = None,
    host: str | None = None,
    port: int | None = None,
    workers: int | None = None,
) -> Settings:
    """Return the settings of the environment, with what was given instead."""
    given: dict[str, Any] = {"store": store, "host": host, "port": port, "workers": workers}
    known = {name: value for name, value in given.items() if value is not None}
    return configured(Settings, **known)


def version() -> str:
    """Return Palio's version."""
    return palio.__version__
