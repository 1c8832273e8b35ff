"""Opening Palio for calls that find it by themselves: once a store and process."""

from __future__ import annotations

import atexit
import os
from contextlib import suppress
from functools import cache
from pathlib import Path

from palio.dialects.nightscan.words import LIFECYCLE
from palio.edge.dialects import connect
from palio.edge.session import Session
from palio.edge.verbs import Verbs
from palio.errors import AlreadyExists, Conflict

__all__ = ["ensure_endpoint", "ensure_model", "opened"]


def opened(store: str | Path | None = None) -> Session:
    """Return the open Palio of a store; the same one again, with its models in memory.

    Parameters
    ----------
    store
        As for `palio.connect`; ``PALIO_STORE`` when not given.
    """
    return _opened(store, os.environ.get("PALIO_STORE"), Path.cwd())


@cache
def _opened(store: str | Path | None, _named: str | None, _folder: Path) -> Session:
    session = connect(store)
    atexit.register(session.__exit__, None, None, None)
    return session


def ensure_model(verbs: Verbs, model: str) -> None:
    """Open a line of versions in the documented lifecycle, unless there is one of that name."""
    verbs.lifecycles.declare(LIFECYCLE)
    with suppress(AlreadyExists):
        verbs.models.create(model, lifecycle=LIFECYCLE.name)


def ensure_endpoint(verbs: Verbs, name: str, model: str) -> None:
    """Open an address for a model, unless there is one of that name.

    Raises
    ------
    Conflict
        If that one is another model's.
    """
    with suppress(AlreadyExists):
        verbs.endpoints.create(name, model)
    if (own := verbs.endpoints.get(name).model) != model:
        raise Conflict(
            f"the endpoint {name} is of {own}, and the control of {model}; take another "
            "experiment_id",
            endpoint=name,
            model=own,
        )
