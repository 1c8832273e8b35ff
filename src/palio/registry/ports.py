"""What the registry needs of the outside: records in one transaction, and a place for files."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from palio.access.ports import AccessUnit
from palio.ports import Collection
from palio.registry.domain import AliasMove, Attestation, Manifest, Model, Version
from palio.registry.lifecycle import Lifecycle
from palio.registry.signature import Cell, Predictions

__all__ = ["ArtifactStore", "Loader", "Predictor", "RegistryUnit", "StagedFiles"]


class RegistryUnit(AccessUnit, Protocol):
    """The records of the registry, inside one unit of work."""

    @property
    def models(self) -> Collection[Model]:
        """Models under their name."""
        ...

    @property
    def versions(self) -> Collection[Version]:
        """Versions under (model, version)."""
        ...

    @property
    def alias_moves(self) -> Collection[AliasMove]:
        """Moves under (model, alias, seq)."""
        ...

    @property
    def lifecycles(self) -> Collection[Lifecycle]:
        """The users' own lifecycles under (name, revision)."""
        ...

    @property
    def attestations(self) -> Collection[Attestation]:
        """Signatures over files under (model, version, seq)."""
        ...


class StagedFiles(Protocol):
    """Files that were written aside and hashed, and are not yet a version's."""

    @property
    def manifest(self) -> Manifest:
        """What was written, with digests taken from the bytes as they were written."""
        ...

    def publish(self) -> None:
        """Rename the files into the version's folder, replacing what no version owns."""
        ...


class ArtifactStore(Protocol):
    """Where the bytes of versions lie. Safe to share between threads.

    Bytes never change after ``publish``; a stage that is left without it leaves nothing.
    """

    def stage(self, model: str, version: str, source: Path) -> AbstractContextManager[StagedFiles]:
        """Copy the files below ``source`` aside, under their relative paths."""
        ...

    def read(self, model: str, version: str, manifest: Manifest) -> dict[str, bytes]:
        """Return the bytes of every file by path, each compared with its digest first.

        Raises
        ------
        CorruptArtifact
            If a file is missing, or differs from the manifest.
        """
        ...


class Predictor(Protocol):
    """A version in memory. May be called from several threads."""

    def predict(self, table: list[list[Cell]]) -> Predictions:
        """Answer a table that the signature has checked; raises what the model raises."""
        ...


class Loader(Protocol):
    """Makes predictors of registered versions. Safe to share between threads."""

    def load(self, version: Version) -> Predictor:
        """Read the version's files and make them a model again.

        Raises
        ------
        CorruptArtifact
            Before any byte is interpreted, if a file differs from the manifest.
        UntrustedArtifact
            If the files hold types that policy does not allow.
        """
        ...
