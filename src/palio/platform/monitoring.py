"""What is told outside: alerts and metrics."""

from __future__ import annotations

import logging

from palio.errors import InvalidInput
from palio.monitoring.deliverer import Deliverer
from palio.monitoring.exposition import Exposition
from palio.monitoring.webhooks import Secret, receivers
from palio.platform.dialects import dialects_of
from palio.platform.engine import Seen
from palio.platform.process import now
from palio.settings import Settings
from palio.storage.store import SqlStore

__all__ = ["deliverer_of", "exposition_of"]


def deliverer_of(store: SqlStore, settings: Settings) -> Deliverer | None:
    """Return what sends alerts, if anybody shall be sent them."""
    found = receivers(settings.webhook_urls)
    if not found:
        return None
    if settings.webhook_secret is None:
        raise InvalidInput(
            "PALIO_WEBHOOK_URLS is set and PALIO_WEBHOOK_SECRET is not, so that receivers could "
            "not know who sends; set it to whsec_… and 32 random bytes in base64",
            field="PALIO_WEBHOOK_SECRET",
        )
    return Deliverer(
        store=store,
        receivers=found,
        secret=Secret.parse(settings.webhook_secret.get_secret_value()),
        clock=now,
        log=logging.getLogger("palio.alerts").warning,
    )


def exposition_of(store: SqlStore, settings: Settings, seen: Seen, *, server: str) -> Exposition:
    """Return what a server answers as metrics."""
    told = [one.families() for one in dialects_of(settings)]
    return Exposition(
        store,
        server=server,
        clock=now,
        publish=seen.publish,
        more=[one for one in told if one is not None],
    )
