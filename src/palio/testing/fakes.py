"""Fakes of the ports that every noun shares: time, ids, and a place for files."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from palio.errors import CorruptArtifact
from palio.registry.domain import ArtifactFile, Manifest

__all__ = ["FakeArtifacts", "FakeClock", "FakeIds", "FakeStagedFiles"]


class FakeClock:
    """A clock that stands still until it is told to go on.

    Parameters
    ----------
    now
        Where it stands at first; timezone-aware, in UTC.
    """

    def __init__(self, now: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """Return the moment where it stands."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Go on by so many seconds."""
        self.now += timedelta(seconds=seconds)


class FakeIds:
    """Ids that count, so that a test knows the next one; safe to share between threads."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def __call__(self, prefix: str) -> str:
        """Return ``prefix`` followed by the next number."""
        return f"{prefix}{next(self._numbers)}"


class FakeStagedFiles:
    """Files read aside, and kept when they are published."""

    def __init__(
        self, kept: dict[tuple[str, str], dict[str, bytes]], place: tuple[str, str]
    ) -> None:
        self._kept, self._place = kept, place
        self.files: dict[str, bytes] = {}

    @property
    def manifest(self) -> Manifest:
        """What was read, with its digests."""
        listed = tuple(
            ArtifactFile(path, len(content), hashlib.sha256(content).hexdigest())
            for path, content in sorted(self.files.items())
        )
        return Manifest(listed, hashlib.sha256(repr(listed).encode()).hexdigest())

    def publish(self) -> None:
        """Keep the files as the version's."""
        self._kept[self._place] = dict(self.files)


class FakeArtifacts:
    """An artifact store in memory; ``kept`` can be tampered with."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], dict[str, bytes]] = {}

    @contextmanager
    def stage(self, model: str, version: str, source: Path) -> Iterator[FakeStagedFiles]:
        """Read the files below a folder aside."""
        staged = FakeStagedFiles(self.kept, (model, version))
        staged.files = {
            path.relative_to(source).as_posix(): path.read_bytes()
            for path in source.rglob("*")
            if path.is_file()
        }
        yield staged

    def read(self, model: str, version: str, manifest: Manifest) -> dict[str, bytes]:
        """Return the bytes of every file, each compared with its digest first."""
        kept = self.kept.get((model, version), {})
        for file in manifest.files:
            content = kept.get(file.path)
            if content is None or hashlib.sha256(content).hexdigest() != file.sha256:
                raise CorruptArtifact(
                    f"{model}:{version}: {file.path} is not what was registered; "
                    "register the model again under a new version",
                    version=f"{model}:{version}",
                    file=file.path,
                )
        return {file.path: kept[file.path] for file in manifest.files}
