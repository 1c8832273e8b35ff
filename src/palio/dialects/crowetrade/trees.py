"""The documented files on disk: made from the audit log for other programs, never read back."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from palio.access.audit import AuditEntry
from palio.dialects.crowetrade.metadata import metadata_of
from palio.dialects.crowetrade.results import results_of, test_of
from palio.dialects.crowetrade.settings import CrowetradeSettings
from palio.edge.dialects import restored
from palio.edge.following import Follower, written
from palio.edge.verbs import Verbs
from palio.registry.describing.documents import yaml_of
from palio.registry.domain import Version

__all__ = ["RegistryTree", "TestsTree", "chore"]

_HEAD = "# Written by Palio from the versions of its store; changes here are lost.\n"
_NOUNS = ("version.", "model.", "alias.")
_BY_CLOUDPICKLE = "model.cloudpickle"


class RegistryTree:
    """``models/``, ``metadata/`` and ``policies/`` of a registry.

    Parameters
    ----------
    verbs
        The store, or a function that gives it.
    folder
        Where they lie.
    models
        Whether ``model.pkl`` is written, too.
    """

    def __init__(self, verbs: Verbs, folder: Path, *, models: bool = True) -> None:
        self._verbs = verbs
        self._folder = folder
        self._models = models
        self._follower = Follower(verbs.audit, folder, self._project)

    def step(self) -> None:
        """Bring the files up to what the store says."""
        self._follower.step()

    def _project(self, entries: Sequence[AuditEntry]) -> None:
        subjects = [one.subject for one in entries if one.action.startswith(_NOUNS)]
        touched = dict.fromkeys(one.partition(":")[0].partition("@")[0] for one in subjects)
        for model in touched:
            gone = self._verbs.models.get(model, deleted=True).deleted_at is not None
            for version in self._verbs.versions.list(model, deleted=True):
                if gone or version.deleted_at is not None:
                    self._drop(version)
                else:
                    self._keep(version)
        if touched:
            self._keep_policies()

    def _keep(self, version: Version) -> None:
        folder, metadata = self._of(version), metadata_of(version, self._verbs.models).to_dict()
        features = {name: metadata[name] for name in ("input_features", "output_schema")}
        written(folder / "features.json", _json(features))
        if version.policy is not None:
            written(folder / "policy.yaml", yaml_of(version.policy).encode())
        if self._models and not (folder / "model.pkl").exists():
            self._keep_model(version, folder)
        written(self._metadata(version), _json(metadata))

    def _keep_model(self, version: Version, folder: Path) -> None:
        """Write the object as a pickle, where this process may make it one."""
        try:
            written(folder / "model.pkl", self._pickled(version))
        except Exception as failed:  # noqa: BLE001 - other programs' pickle; the version is safe
            written(folder / "model.pkl.txt", f"there is no model.pkl: {failed}\n".encode())

    def _pickled(self, version: Version) -> bytes:
        if any(file.path == _BY_CLOUDPICKLE for file in version.manifest.files):
            return b"".join(self._verbs.versions.fetch(version.reference, _BY_CLOUDPICKLE))
        return pickle.dumps(restored(self._verbs, version.reference))

    def _drop(self, version: Version) -> None:
        shutil.rmtree(self._of(version), ignore_errors=True)
        self._metadata(version).unlink(missing_ok=True)

    def _keep_policies(self) -> None:
        """Write all policies in one file, unless another program has written that."""
        path = self._folder / "policies" / "trading_policies.yaml"
        if path.exists() and not path.read_text(encoding="utf-8").startswith(_HEAD):
            return
        policies = {
            version.reference: version.policy
            for model in self._verbs.models.list()
            for version in self._verbs.versions.list(model.name)
            if version.policy is not None
        }
        written(path, (_HEAD + yaml_of(policies)).encode())

    def _of(self, version: Version) -> Path:
        return self._folder / "models" / version.model / version.version

    def _metadata(self, version: Version) -> Path:
        return self._folder / "metadata" / f"{version.reference}.json"


class TestsTree:
    """``tests/`` and ``results/`` of an engine.

    Parameters
    ----------
    verbs
        The store.
    folder
        Where they lie.
    """

    def __init__(self, verbs: Verbs, folder: Path) -> None:
        self._verbs = verbs
        self._folder = folder
        self._follower = Follower(verbs.audit, folder / "tests", self._project)

    def step(self) -> None:
        """Bring the files up to what the store says."""
        self._follower.step()

    def _project(self, entries: Sequence[AuditEntry]) -> None:
        touched = [one.subject for one in entries if one.action.startswith("experiment.")]
        for key in dict.fromkeys(touched):
            experiment = self._verbs.experiments.get(key)
            written(self._folder / "tests" / f"{key}.json", _json(test_of(experiment)))
            if experiment.ended_at is not None and experiment.started_at is not None:
                found = results_of(experiment, self._verbs.experiments.analyze(key))
                written(self._folder / "results" / f"{key}_final.json", _json(found))


class _Chore:
    """Both trees, kept current by a server."""

    rest_s = 1.0

    def __init__(self, steps: Sequence[Callable[[], None]]) -> None:
        self._steps = steps

    def step(self) -> None:
        """Bring all files up to the store."""
        for step in self._steps:
            step()

    def release(self) -> None:
        """Do nothing: whoever comes next goes on from the cursors."""


def chore(verbs: Verbs) -> _Chore | None:
    """Return what keeps the folders current that the settings name; nothing where they do not."""
    settings = CrowetradeSettings()
    steps: list[Callable[[], None]] = []
    if settings.registry_path is not None:
        steps.append(
            RegistryTree(verbs, settings.registry_path, models=settings.export_models).step
        )
    if settings.ab_tests_path is not None:
        steps.append(TestsTree(verbs, settings.ab_tests_path).step)
    return _Chore(steps) if steps else None


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
