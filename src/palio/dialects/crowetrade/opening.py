"""Where a registry lies, and Palio opened there in the name of whoever acts."""

from __future__ import annotations

from pathlib import Path

from palio.dialects.crowetrade.settings import CrowetradeSettings
from palio.edge.configuring import configured
from palio.edge.dialects import connect
from palio.edge.session import Session
from palio.edge.verbs import Verbs
from palio.errors import InvalidInput

__all__ = ["Opened"]


class Opened:
    """An open store.

    Parameters
    ----------
    place
        The registry's folder, or the address of a store or a server.
    store
        The store, where the folder shall not hold it; ``PALIO_STORE`` when not given.
    key
        API key for a server.

    Attributes
    ----------
    folder, store
        Where files lie, if they do, and the store.
    """

    def __init__(
        self, place: str | Path | None, *, store: str | None = None, key: str | None = None
    ) -> None:
        self.settings = configured(CrowetradeSettings)
        address = str(place) if "://" in str(place) else None
        self.folder = self.settings.registry_path if address or place is None else Path(place)
        if self.folder is not None:
            _make(self.folder)
        self.store = address or store or self.settings.store or self._own_store()
        self._key = key
        self._sessions: dict[str | None, Session] = {}
        self.session = self.acting(None)

    @property
    def verbs(self) -> Verbs:
        """The verbs, in the name of who has opened it."""
        return self.session.verbs

    def acting(self, actor: str | None) -> Session:
        """Return it in somebody's name; a server knows callers by their keys alone."""
        name = None if (self.store or "").startswith(("http://", "https://")) else actor
        if name not in self._sessions:
            given = {"key": self._key} if name is None else {"key": self._key, "actor": name}
            self._sessions[name] = connect(self.store, **given)
        return self._sessions[name]

    def close(self) -> None:
        """Give all connections back."""
        for session in self._sessions.values():
            session.__exit__(None, None, None)
        self._sessions.clear()

    def _own_store(self) -> str | None:
        return None if self.folder is None else str(self.folder / "palio.db")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as failed:
        raise InvalidInput(
            f"registry_path {folder} cannot be a folder: {failed.strerror}; name another one",
            field="registry_path",
            value=str(folder),
        ) from failed
