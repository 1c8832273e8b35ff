"""The registry as files, for people to look at: ``metadata.json`` and ``models/``.

They follow the audit log. What lay there before is kept: a ``metadata.json`` that is none of ours
gets another name, and no file of a model is ever removed or written over.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from palio.access.audit import AuditEntry
from palio.dialects.nightscan.metadata import in_production, metadata_of
from palio.dialects.nightscan.words import NightscanSettings
from palio.edge.configuring import configured
from palio.edge.following import Follower, written
from palio.edge.verbs import Verbs
from palio.errors import PalioError
from palio.registry.domain import RESERVED_FILES, Version

__all__ = ["chore", "tree_of"]

_LOG = logging.getLogger("palio.nightscan")
_INDEX, _FILES, _OURS = "metadata.json", "models", "written_by"


def tree_of(verbs: Verbs, settings: NightscanSettings) -> Follower:
    """Return what keeps the tree current."""
    tree = _Tree(verbs, settings.registry)
    return Follower(verbs.audit, settings.registry, tree.project)


def chore(verbs: Verbs) -> Follower | None:
    """Return it for a server, where ``NIGHTSCAN_REGISTRY`` asks for the tree."""
    settings = configured(NightscanSettings)
    return tree_of(verbs, settings) if "registry" in settings.model_fields_set else None


class _Tree:
    def __init__(self, verbs: Verbs, folder: Path) -> None:
        self._verbs, self._folder = verbs, folder

    def project(self, _: Sequence[AuditEntry]) -> None:
        """Write what the registry holds now."""
        models, deployed = {}, in_production(self._verbs)
        for model in self._verbs.models.list():
            lifecycle = self._verbs.models.lifecycle(model.name)
            for version in self._verbs.versions.list(model.name):
                known = metadata_of(version, lifecycle, deployed).to_dict()
                models[version.reference] = {**known, "file_path": self._file(version)}
        self._keep_older()
        content = {_OURS: "palio", "models": models}
        written(self._folder / _INDEX, f"{json.dumps(content, indent=2)}\n".encode())

    def _file(self, version: Version) -> str | None:
        """Return where the model's file lies, written if it is not there yet."""
        names = [file.path for file in version.manifest.files]
        own = [name for name in names if name not in RESERVED_FILES and "/" not in name]
        if not own:
            return None
        suffix = PurePosixPath(own[0]).suffix
        path = self._folder / _FILES / f"{version.model}_{version.version}{suffix}"
        try:
            if not path.exists():
                written(path, b"".join(self._verbs.versions.fetch(version.reference, own[0])))
        except PalioError as unreadable:
            _LOG.error("%s is not written: %s", path, unreadable)
            return None
        return str(path)

    def _keep_older(self) -> None:
        index = self._folder / _INDEX
        if index.exists() and not _is_ours(index):
            index.rename(index.with_name(f"{_INDEX}.before-palio"))


def _is_ours(index: Path) -> bool:
    try:
        found: Any = json.loads(index.read_bytes())
    except ValueError:
        return False
    return isinstance(found, dict) and found.get(_OURS) == "palio"
