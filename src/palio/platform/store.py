"""The store: its schema, and how units are named in it."""

from __future__ import annotations

from palio.errors import PalioError
from palio.experiments.privacy.pseudonyms import Pseudonyms, agree
from palio.platform.environment import settings
from palio.platform.process import now
from palio.settings import Settings
from palio.storage import schema
from palio.storage.store import SqlStore, engine_for

__all__ = ["pseudonyms_of", "store_of", "upgrade"]


def upgrade(store: str | None = None) -> str:
    """Take a store's schema to the one this Palio works with, and return its revision."""
    return schema.upgrade(engine_for(settings(store=store).store))


def store_of(settings: Settings) -> SqlStore:
    """Open the store that the settings name, its schema made or checked."""
    pseudonyms = pseudonyms_of(settings)
    engine = engine_for(settings.store)
    schema.prepare(engine)
    store = SqlStore(engine)
    try:
        agree(store, pseudonyms, now())
    except PalioError:
        store.close()
        raise
    return store


def pseudonyms_of(settings: Settings) -> Pseudonyms:
    """Return how units are named in the store."""
    secret = settings.unit_key
    return Pseudonyms.by(None if secret is None else secret.get_secret_value())
