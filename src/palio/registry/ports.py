"""What the registry needs of the outside: records in one transaction, and a place for files."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from palio.access.ports import AccessUnit
from palio.ports import Collection
from palio.registry.domain import (
    AliasMove,
    ArtifactFile,
    Attestation,
    Manifest,
    Model,
    Use,
    Version,
)
from palio.registry.drift import FeatureCounts, FeatureReference
from palio.registry.lifecycle import Lifecycle
from palio.registry.quality import QualitySums
from palio.registry.search.pages import Order, Place
from palio.registry.search.query import Query
from palio.registry.signature import Cell, Predictions, Signature

__all__ = [
    "ArtifactReader",
    "ArtifactStore",
    "Difference",
    "Leftover",
    "Loader",
    "Predictor",
    "RegistryUnit",
    "Sources",
    "StagedFiles",
    "TrustedKey",
    "VersionCollection",
]


class RegistryUnit(AccessUnit, Protocol):
    """The records of the registry, inside one unit of work."""

    @property
    def models(self) -> Collection[Model]:
        """Models under their name."""
        ...

    @property
    def feature_references(self) -> Collection[FeatureReference]:
        """What versions' features were like at first, under (model, version)."""
        ...

    @property
    def feature_counts(self) -> Collection[FeatureCounts]:
        """What they have been like since, under (day, process, model, version)."""
        ...

    @property
    def quality_sums(self) -> Collection[QualitySums]:
        """What labels say of answers, under (model, version, cohort, segment)."""
        ...

    @property
    def versions(self) -> VersionCollection:
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

    def uses_of(self, model: str, version: str | None = None) -> Sequence[Use]:
        """Return what nouns above the registry use a version for, or the model at all.

        That is an endpoint whose override names the version, and an experiment that has not
        ended and names it as variant or champion; of a model, all its endpoints and all its
        experiments that have not ended.
        """
        ...


class VersionCollection(Collection[Version], Protocol):
    """Versions under (model, version), which can be searched."""

    def search(
        self, query: Query, *, order: Order, limit: int, after: Place | None = None
    ) -> Sequence[tuple[int, Version]]:
        """Return the versions asked for that stand behind a place, each with its arrival.

        Obligations: arrival is a number that grows with every version added and never changes;
        what `Query.admits` says of a version and the aliases that point at it now, and what
        `Order.compare` says of two places, is what the answer keeps to; a page far from the
        first one costs no more than the first.

        Parameters
        ----------
        query
            Which versions.
        order
            In which order.
        limit
            How many at most.
        after
            The place of the last version seen; nothing, to begin.
        """
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


@dataclass(frozen=True, slots=True)
class Difference:
    """A file of a version that is not what was registered, and in which way."""

    file: str
    why: str


@dataclass(frozen=True, slots=True)
class Leftover:
    """A folder in the artifact store that may be nobody's.

    ``version`` is ``name:version`` where the folder lies in a version's place, ``None`` for what
    was staged; ``changed_at`` is when the last byte of it was written.
    """

    place: str
    version: str | None
    size_bytes: int
    changed_at: datetime


class ArtifactReader(Protocol):
    """Where the bytes of versions can be read. Safe to share between threads."""

    def read(
        self, model: str, version: str, manifest: Manifest, *, below: str = ""
    ) -> dict[str, bytes]:
        """Return the bytes of the files whose path starts with ``below``, each compared first.

        Raises
        ------
        CorruptArtifact
            If a file is missing, or differs from the manifest.
        """
        ...


class ArtifactStore(ArtifactReader, Protocol):
    """Where the bytes of versions lie. Safe to share between threads.

    Bytes never change after ``publish``; a stage that is left without it leaves nothing.
    """

    def stage(
        self,
        model: str,
        version: str,
        source: Path | Mapping[str, Path],
        documents: Mapping[str, bytes] = MappingProxyType({}),
    ) -> AbstractContextManager[StagedFiles]:
        """Copy files aside: those below a folder, or those given under their path.

        Parameters
        ----------
        model, version
            Whose files they are to be.
        source
            A folder, whose files keep their relative paths, or files by path; none may lie under
            a reserved name. There may be none where a document has a name of its own.
        documents
            What Palio writes beside them, by path; it stands in the manifest too.
        """
        ...

    def stream(self, model: str, version: str, file: ArtifactFile) -> Iterator[bytes]:
        """Yield the bytes of one file in chunks.

        Raises
        ------
        CorruptArtifact
            After the last chunk, if size or digest are not those of ``file``: whoever reads must
            not use what came before.
        """
        ...

    def check(self, model: str, version: str, manifest: Manifest) -> None:
        """Compare every byte with the manifest; nothing is kept in memory.

        Raises
        ------
        CorruptArtifact
            If a file is missing, or differs from the manifest.
        """
        ...

    def differences(self, model: str, version: str, manifest: Manifest) -> Iterator[Difference]:
        """Compare as ``check`` does, and yield every file that differs."""
        ...

    def remove(self, model: str, version: str) -> None:
        """Take a version's files away for good; nothing happens when there are none."""
        ...

    def leftovers(self, known: Container[str] = frozenset()) -> Iterator[Leftover]:
        """Yield what lies in the store but for the folders of ``known`` versions.

        That is what was staged, finished or not, and folders that hold a version's files. What
        the store did not make itself is never among them.
        """
        ...

    def discard(self, leftover: Leftover) -> None:
        """Take a leftover away for good; nothing happens when it is not there."""
        ...


class Sources(Protocol):
    """Files on this machine on their way to the store. Safe to share between threads.

    What is yielded lasts as long as the context; nothing is left afterwards.
    """

    def unpacked(self, archive: Path | Mapping[str, Path]) -> AbstractContextManager[Path]:
        """Write the members of an archive below a folder of their own.

        Parameters
        ----------
        archive
            Its path, or the one file of a mapping by name.

        Raises
        ------
        InvalidInput
            If it is no archive, or has a member that could be written elsewhere, that is no
            plain file or that clashes with another; or if more comes out than a version may have.
        """
        ...

    def opened(self, source: str) -> AbstractContextManager[Mapping[str, Path]]:
        """Give the files at a path that somebody else names, each by its relative path.

        The paths lead to the files that were checked, whatever is put in their place meanwhile.

        Raises
        ------
        InvalidInput
            If the path leads out of the folders that an operator configured, once every link in
            it is resolved; or if links or devices lie below it. With ``missing`` among its
            details if nothing lies there.
        """
        ...

    def preceded(
        self, files: Path | Mapping[str, Path], preprocessor: str
    ) -> AbstractContextManager[Mapping[str, Path]]:
        """Give files of a model with that of a transformer that runs first.

        Parameters
        ----------
        files
            A folder, or files by path.
        preprocessor
            The path of its one file, found as `opened` finds it.
        """
        ...

    def asked(self, files: Path | Mapping[str, Path], flavor: str) -> Signature | None:
        """Load a model where policy allows that, and return the signature that it tells.

        Raises
        ------
        UntrustedArtifact
            If loading runs code that this process does not allow.
        InvalidInput
            If the files are no model of the flavor, or it does not say what it takes.
        """
        ...

    def recognised(self, files: Path | Mapping[str, Path]) -> str:
        """Return the flavor of a folder's or a mapping's files; none is read as a model.

        Raises
        ------
        InvalidInput
            If no flavor knows them.
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
            If the files hold types that policy does not allow, or lack a signature that it
            demands.
        """
        ...


class TrustedKey(Protocol):
    """A public key that this process trusts. Safe to share between threads."""

    def holds(self, signature: bytes, content: bytes) -> bool:
        """Tell whether its private half made a signature over these bytes; never raises."""
        ...
