"""The documented files on disk: made from the audit log for other programs, never read back."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from palio.access.audit import AuditEntry
from palio.dialects.crowetrade.metadata import metadata_of
from palio.dialects.crowetrade.results import results_of, test_of
from palio.dialects.crowetrade.settings import CrowetradeSettings
from palio.edge.configuring import configured
from palio.edge.dialects import restored
from palio.edge.following import Follower, written
from palio.edge.verbs import Verbs
from palio.registry.describing.documents import yaml_of
from palio.registry.domain import Version

__all__ = ["Trees", "chore", "trees_of"]

_HEAD = "# Written by Palio from the versions of its store; changes here are lost.\n"
_NOUNS = ("version.", "model.", "alias.")
_BY_CLOUDPICKLE = "model.cloudpickle"


@dataclass(frozen=True, slots=True)
class _RegistryTree:
    """``models/``, ``metadata/`` and ``policies/`` of a registry; ``models`` with model.pkl."""

    _verbs: Verbs
    _folder: Path
    _models: bool

    def project(self, entries: Sequence[AuditEntry]) -> None:
        """Bring the files up to what entries say."""
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


def _project_tests(verbs: Verbs, folder: Path, entries: Sequence[AuditEntry]) -> None:
    """Bring ``tests/`` and ``results/`` of an engine up to what entries say."""
    touched = [one.subject for one in entries if one.action.startswith("experiment.")]
    for key in dict.fromkeys(touched):
        experiment = verbs.experiments.get(key)
        written(folder / "tests" / f"{key}.json", _json(test_of(experiment)))
        if experiment.ended_at is not None and experiment.started_at is not None:
            found = results_of(experiment, verbs.experiments.analyze(key))
            written(folder / "results" / f"{key}_final.json", _json(found))


@dataclass(frozen=True, slots=True)
class Trees:
    """The trees that somebody wants, brought up to the store in steps."""

    followers: Sequence[Follower]
    rest_s: float = 1.0

    def step(self) -> None:
        """Bring all files up to the store."""
        for one in self.followers:
            one.step()

    def release(self) -> None:
        """Do nothing: whoever comes next goes on from the cursors."""


def trees_of(
    verbs: Verbs, *, registry: Path | None = None, tests: Path | None = None, models: bool = True
) -> Trees:
    """Return the trees of a registry and of its tests, where they have a folder.

    Parameters
    ----------
    verbs
        The store.
    registry, tests
        Where they lie, if they do.
    models
        Whether a registry's ``model.pkl`` are written, too.
    """
    followers = []
    if registry is not None:
        project = _RegistryTree(verbs, registry, models).project
        followers.append(Follower(verbs.audit, registry, project))
    if tests is not None:
        followers.append(
            Follower(verbs.audit, tests / "tests", partial(_project_tests, verbs, tests))
        )
    return Trees(followers)


def chore(verbs: Verbs) -> Trees | None:
    """Return what keeps the folders current that the settings name; nothing where they do not."""
    said = configured(CrowetradeSettings)
    found = trees_of(
        verbs, registry=said.registry_path, tests=said.ab_tests_path, models=said.export_models
    )
    return found if found.followers else None


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
