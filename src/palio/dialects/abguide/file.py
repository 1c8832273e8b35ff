"""``registry.json``: the registry as a file for people, which follows the audit log."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from palio.access.audit import AuditEntry
from palio.dialects.abguide.registry import Registry
from palio.dialects.abguide.settings import Settings
from palio.edge.following import Follower, alone, written
from palio.edge.verbs import Verbs

__all__ = ["RegistryFile", "registry_file"]


class RegistryFile:
    """Keeps the file as the registry says; there is none where nobody has registered anything.

    Parameters
    ----------
    registry
        What is written.
    """

    rest_s = 1.0

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._path = registry.settings.model_registry_path
        self._own = self._path.with_name(f".{self._path.stem}")  # others may follow beside it
        self._follower = Follower(registry.verbs.audit, self._own, self._write)

    def step(self) -> None:
        """Write what has changed; all of it where somebody took the file away."""
        if not self._registry.is_open():
            return
        if not self._path.exists():
            with alone(self._own):
                self._write()
        self._follower.step()

    def release(self) -> None:
        """Do nothing: whoever comes next goes on from the cursor."""

    def _write(self, _: Sequence[AuditEntry] = ()) -> None:
        told = {
            "models": {one["version"]: one for one in self._registry.models()},
            "traffic_weights": self._registry.shares(),
        }
        content = msgspec.json.format(msgspec.json.encode(told), indent=2)
        written(self._path, content + b"\n")


def registry_file(verbs: Verbs) -> RegistryFile | None:
    """Return what keeps the file current; nothing where no setting asks for this dialect."""
    settings = Settings()
    asked = settings.ab_testing_enabled or "model_registry_path" in settings.model_fields_set
    return RegistryFile(Registry(verbs, settings)) if asked else None
