"""What a server does beside answering."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from palio.access.domain import Identity, Role
from palio.delivery.deployments.controller import CONTROLLER, Controller
from palio.delivery.deployments.looking import Looking
from palio.edge.verbs import Verbs
from palio.platform.dialects import dialects_of
from palio.platform.engine import Seen
from palio.platform.evaluating import evaluator_of
from palio.platform.monitoring import deliverer_of
from palio.platform.process import now, process_name
from palio.settings import Settings
from palio.storage.store import SqlStore

if TYPE_CHECKING:
    from palio.http.background import Background

__all__ = ["FOLLOWER", "background_of", "controller_of"]

FOLLOWER = "follower"
"""Who reads the audit log for the files that others expect on disk."""


def background_of(store: SqlStore, settings: Settings, verbs: Verbs) -> list[Background]:
    """Return what is done beside answering, for as long as the server runs."""
    own = verbs.acting_as(Identity(FOLLOWER, Role.VIEWER))
    found = [dialect.chore(own) for dialect in dialects_of(settings)]
    if settings.evaluate_s:
        found.append(evaluator_of(store, settings, verbs))
    found.append(deliverer_of(store, settings))
    return [one for one in found if one is not None]


def controller_of(store: SqlStore, settings: Settings, seen: Seen) -> Controller:
    """Return what watches deployments."""
    return Controller(
        store=store,
        looking=Looking(store=store, clock=now, runtime=seen.runtime, actor=CONTROLLER),
        clock=now,
        holder=process_name(),
        interval_s=settings.control_s or _CONTROL_S,
        log=logging.getLogger("palio.controller").warning,
    )


_CONTROL_S = 5.0
