"""Palio opened, in process and through a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from palio.access.domain import Identity, Role
from palio.artifacts.fetched import FetchedArtifacts
from palio.artifacts.files import FsspecArtifactStore
from palio.client.remote import Connection, remote_verbs
from palio.delivery.tally import Tally
from palio.platform.engine import seen_of, telling
from palio.platform.process import now, process_name, user_name
from palio.platform.store import store_of
from palio.platform.trust import loader_of, trust_of, vouching_of
from palio.platform.verbs import verbs_of
from palio.serving.local import LocalServer
from palio.session import Palio
from palio.settings import Settings

__all__ = ["connect"]


def connect(
    store: str | Path | None = None,
    *,
    artifacts: str | Path | None = None,
    key: str | None = None,
    actor: str | None = None,
) -> Palio:
    """Open Palio: on a SQLite file, on PostgreSQL, or through a server.

    Parameters
    ----------
    store
        Path of a SQLite file (made when it does not exist), ``postgresql://…``, or the
        ``http(s)://…`` address of a server; ``PALIO_STORE`` when not given.
    artifacts
        Folder or URL for the files of versions, in process only; ``PALIO_ARTIFACTS`` or a
        folder beside the SQLite file when not given.
    key
        API key for a server; ``PALIO_KEY`` when not given.
    actor
        Who acts in process, for the audit log; ``PALIO_ACTOR`` or the user when not given.

    Returns
    -------
    Palio
        The same verbs in all three cases.

    Examples
    --------
    >>> import palio, tempfile
    >>> with palio.connect(tempfile.mkdtemp() + "/palio.db") as p:
    ...     [model.name for model in p.models.list()]
    []
    """
    given = {"store": store, "artifacts": artifacts, "key": key, "actor": actor}
    chosen: dict[str, Any] = {
        name: str(value) for name, value in given.items() if value is not None
    }
    settings = Settings(**chosen)
    if settings.store.startswith(("http://", "https://")):
        return _remote(settings)
    return _in_process(settings)


def _remote(settings: Settings) -> Palio:
    vouching = vouching_of(settings)
    connection = Connection(settings.store, key=settings.key)
    verbs = remote_verbs(connection)
    fetched = FetchedArtifacts(verbs.versions.fetch)
    return Palio(
        verbs=verbs,
        _predict=connection.predict,
        _closing=connection.close,
        _loader=loader_of(settings, fetched, vouching, verbs),
        _keys=vouching.keys,
        _trust=trust_of(settings),
        _clock=now,
    )


def _in_process(settings: Settings) -> Palio:
    vouching = vouching_of(settings)
    store = store_of(settings)
    actor = Identity(settings.actor or user_name(), Role.ADMIN)
    verbs = verbs_of(store, settings, vouching, actor)
    tally, files = Tally(), FsspecArtifactStore(settings.artifacts_url())
    loader = loader_of(settings, files, vouching, verbs, skip=tally.skip)
    seen = seen_of(settings, store, loader, server=process_name(), tally=tally)
    server = LocalServer(seen.engine, seen.publish)

    def close() -> None:
        try:
            seen.publish()
            seen.publisher.release()
        finally:
            seen.runtime.close()
            store.close()

    return Palio(
        verbs=telling(verbs, seen, server),
        _predict=server.predict,
        _closing=close,
        _loader=loader,
        _keys=vouching.keys,
        _trust=trust_of(settings),
        _clock=now,
    )
