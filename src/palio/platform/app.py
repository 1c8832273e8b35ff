"""The application on a store."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from palio.access.domain import Identity, Role
from palio.artifacts.files import FsspecArtifactStore
from palio.delivery.tally import Tally
from palio.platform.background import background_of, controller_of
from palio.platform.dialects import dialects_of
from palio.platform.engine import WARMING_S, seen_of, telling
from palio.platform.environment import version
from palio.platform.monitoring import exposition_of
from palio.platform.process import process_name
from palio.platform.store import store_of
from palio.platform.trust import loader_of, vouching_of
from palio.platform.verbs import verbs_of
from palio.serving.local import TickServer
from palio.settings import Settings

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["application"]


def application(
    settings: Settings,
    *,
    on_ready: Callable[[], None] = lambda: None,
    server_name: str | None = None,
) -> ASGIApp:
    """Return the ASGI application on the store that the settings name.

    Parameters
    ----------
    settings
        Which store, where files lie, and the limits.
    on_ready
        Called when the models are loaded and requests can be answered.
    server_name
        The name that all processes at one address share; this one's own if not given.
    """
    from palio.http.app import create_app

    vouching = vouching_of(settings)
    store = store_of(settings)
    nobody = Identity("nobody", Role.VIEWER)  # every request acts in the name of its own key
    verbs = verbs_of(store, settings, vouching, nobody)
    tally, files = Tally(), FsspecArtifactStore(settings.artifacts_url())
    loader = loader_of(settings, files, vouching, verbs, skip=tally.skip)
    name = server_name or process_name()
    seen = seen_of(settings, store, loader, server=name, tally=tally, warming_s=WARMING_S)
    server = TickServer(seen.engine)
    controller = [controller_of(store, settings, seen)] if settings.control_s else []

    def stop() -> None:
        seen.runtime.close()
        store.close()

    return create_app(
        telling(verbs, seen, server),
        server,
        version=version(),
        body_limit_bytes=settings.body_limit_bytes,
        upload_limit_bytes=settings.upload_limit_bytes,
        on_ready=on_ready,
        on_stop=stop,
        background=[
            seen.publisher,
            seen.watch,
            *controller,
            *background_of(store, settings, verbs),
        ],
        metrics=exposition_of(store, settings, seen, server=name),
        dialects=dialects_of(settings),
    )
