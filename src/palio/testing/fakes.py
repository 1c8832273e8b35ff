"""Fakes of the ports that every noun shares: time, ids, and a place for files."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from palio.delivery.deployments.ports import Probe
from palio.errors import CorruptArtifact
from palio.registry.domain import ArtifactFile, Manifest
from palio.registry.ports import Difference, Leftover

__all__ = ["FakeArtifacts", "FakeClock", "FakeIds", "FakeRuntime", "FakeStagedFiles"]


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


class FakeRuntime:
    """A place where versions answer, or do not: as ``probes`` say, and well by default."""

    def __init__(self) -> None:
        self.probes: dict[str, Probe] = {}
        self.asked: list[tuple[str, float, object]] = []

    def probe(self, model: str, version: str, *, timeout_s: float, row: object = None) -> Probe:
        """Return what comes of asking a version."""
        reference = f"{model}:{version}"
        self.asked.append((reference, timeout_s, row))
        return self.probes.get(reference, Probe(latency_ms=1.0))


class FakeStagedFiles:
    """Files read aside, and kept when they are published."""

    def __init__(self, kept: dict[str, dict[str, bytes]], place: str) -> None:
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
    """An artifact store in memory.

    ``kept`` holds files by version (``name:version``) and can be tampered with; ``staged`` holds
    what else ``leftovers`` yields.
    """

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, bytes]] = {}
        self.staged: list[Leftover] = []
        self.changed_at = datetime(2026, 1, 1, tzinfo=UTC)

    @contextmanager
    def stage(
        self,
        model: str,
        version: str,
        source: Path | Mapping[str, Path],
        documents: Mapping[str, bytes] = MappingProxyType({}),
    ) -> Iterator[FakeStagedFiles]:
        """Read files aside."""
        staged = FakeStagedFiles(self.kept, f"{model}:{version}")
        if isinstance(source, Path):
            source = {
                path.relative_to(source).as_posix(): path
                for path in source.rglob("*")
                if path.is_file()
            }
        staged.files = {name: path.read_bytes() for name, path in source.items()}
        staged.files |= documents
        yield staged

    def read(
        self, model: str, version: str, manifest: Manifest, *, below: str = ""
    ) -> dict[str, bytes]:
        """Return the bytes of the files below a path, each compared with its digest first."""
        return {
            file.path: b"".join(self.stream(model, version, file))
            for file in manifest.files
            if file.path.startswith(below)
        }

    def stream(self, model: str, version: str, file: ArtifactFile) -> Iterator[bytes]:
        """Yield the bytes of one file, then compare them."""
        content = self.kept.get(f"{model}:{version}", {}).get(file.path)
        yield content or b""
        if content is None or hashlib.sha256(content).hexdigest() != file.sha256:
            raise CorruptArtifact(
                f"{model}:{version}: {file.path} is not what was registered; "
                "register the model again under a new version",
                version=f"{model}:{version}",
                file=file.path,
            )

    def check(self, model: str, version: str, manifest: Manifest) -> None:
        """Compare every byte with the manifest."""
        self.read(model, version, manifest)

    def differences(self, model: str, version: str, manifest: Manifest) -> Iterator[Difference]:
        """Yield every file that differs."""
        for file in manifest.files:
            try:
                self.read(model, version, Manifest((file,), ""))
            except CorruptArtifact:
                yield Difference(file.path, "its bytes differ")

    def remove(self, model: str, version: str) -> None:
        """Forget a version's files."""
        self.kept.pop(f"{model}:{version}", None)

    def leftovers(self, known: Container[str] = frozenset()) -> Iterator[Leftover]:
        """Yield what was staged, and the folders of versions that are not known."""
        yield from list(self.staged)
        for version, files in list(self.kept.items()):
            if version not in known:
                size = sum(map(len, files.values()))
                yield Leftover(version.replace(":", "/"), version, size, self.changed_at)

    def discard(self, leftover: Leftover) -> None:
        """Forget a leftover."""
        if leftover.version is None:
            self.staged = [one for one in self.staged if one != leftover]
        else:
            self.kept.pop(leftover.version, None)
