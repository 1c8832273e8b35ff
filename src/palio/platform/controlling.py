"""Deployments looked at, by a command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from palio.access.domain import Identity, Role
from palio.artifacts.files import FsspecArtifactStore
from palio.delivery.deployments.control import Action
from palio.delivery.deployments.controller import CONTROLLER
from palio.delivery.tally import Tally
from palio.platform.attending import attend, check_local
from palio.platform.background import controller_of
from palio.platform.engine import WARMING_S, seen_of
from palio.platform.process import process_name
from palio.platform.store import store_of
from palio.platform.trust import loader_of, vouching_of
from palio.platform.verbs import verbs_of
from palio.settings import Settings

__all__ = ["control"]


def control(
    settings: Settings,
    *,
    once: bool = False,
    on_look: Callable[[Sequence[tuple[str, Action]], str | None], None] = lambda _, __: None,
) -> None:
    """Look at all deployments that have not ended, and do what is due.

    Parameters
    ----------
    settings
        Which store, and how often; every 5 seconds where servers do not look.
    once
        Whether to look once; otherwise until interrupted.
    on_look
        Called with what was done, and with the name of the process that does it where another
        one does.

    Raises
    ------
    InvalidInput
        If the store is a server: that one looks by itself.
    """
    check_local(settings, "deployments", "deployments control")
    store, vouching = store_of(settings), vouching_of(settings)
    verbs = verbs_of(store, settings, vouching, Identity(CONTROLLER, Role.OPERATOR))
    tally, files = Tally(), FsspecArtifactStore(settings.artifacts_url())
    loader = loader_of(settings, files, vouching, verbs, skip=tally.skip)
    seen = seen_of(
        settings, store, loader, server=process_name(), tally=tally, warming_s=WARMING_S
    )
    own = replace(controller_of(store, settings, seen), silent=True)
    try:
        attend(own, store, settings, once=once, on_look=on_look)
    finally:
        seen.runtime.close()
