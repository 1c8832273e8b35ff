"""Registering and reading 500 MB, against copying and reading the same file with SHA-256.

Both sides use chunks of 1 MB. The plain copy flushes the file to the device as ours does, for a
version must survive a power cut; the ratio to a copy without that stands in the row's name. Both
readings end with the bytes in memory, as a model needs them; the ratio to hashing chunks that
nobody keeps stands there too. Every side finds the source in the page cache: the figures are of
the program, not of the disk's reads.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter

from palio import connect
from palio.artifacts.files import FsspecArtifactStore
from palio.registry.domain import Version, VersionDraft

SIZE_BYTES = 500_000_000
CHUNK_BYTES = 1 << 20
ROUNDS = 8


def copy_s(source: Path, target: Path, *, durable: bool) -> float:
    """Copy a file and hash it on the way, in seconds."""
    start = perf_counter()
    digest, buffer = hashlib.sha256(), memoryview(bytearray(CHUNK_BYTES))
    with source.open("rb", buffering=0) as original, target.open("wb", buffering=0) as copy:
        while number := original.readinto(buffer):
            copy.write(buffer[:number])
            digest.update(buffer[:number])
        if durable:
            os.fsync(copy.fileno())
    return perf_counter() - start


def read_s(source: Path) -> float:
    """Read a file whole and hash it, in seconds."""
    start = perf_counter()
    hashlib.sha256(source.read_bytes()).hexdigest()
    return perf_counter() - start


def stream_s(source: Path) -> float:
    """Read a file in chunks and hash them, in seconds."""
    start = perf_counter()
    digest, buffer = hashlib.sha256(), memoryview(bytearray(CHUNK_BYTES))
    with source.open("rb", buffering=0) as original:
        while number := original.readinto(buffer):
            digest.update(buffer[:number])
    return perf_counter() - start


class Bench:
    """A fresh store, and a file of 500 MB that no file system can shorten."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.names = folder, count()
        self.source = folder / "source" / "model.bin"
        self.source.parent.mkdir()
        with self.source.open("wb") as opened:
            for _ in range(SIZE_BYTES // 10_000_000):
                opened.write(os.urandom(10_000_000))
        self.opened = connect(folder / "palio.db", artifacts=folder / "artifacts")
        self.store = FsspecArtifactStore(str(folder / "artifacts"))

    def register(self) -> tuple[float, Version]:
        """Register the file through the verb, in seconds."""
        draft = VersionDraft(version=f"v{next(self.names)}", flavor="plain")
        start = perf_counter()
        version = self.opened.versions.register("large", draft, self.source.parent)
        return perf_counter() - start, version

    def read(self, version: Version) -> float:
        """Read a version as loading does, in seconds."""
        start = perf_counter()
        self.store.read(version.model, version.version, version.manifest)
        return perf_counter() - start

    def check(self, version: Version) -> float:
        """Compare a version with its manifest, in seconds."""
        start = perf_counter()
        self.store.check(version.model, version.version, version.manifest)
        return perf_counter() - start

    def copy(self, *, durable: bool) -> float:
        """Copy the file beside the store, in seconds."""
        target = self.folder / "copy"
        taken = copy_s(self.source, target, durable=durable)
        target.unlink()
        return taken

    def round(self, *, ours_first: bool) -> dict[str, float]:
        """Measure everything once; who writes second may find the device busier."""
        times = {} if ours_first else {"durable": self.copy(durable=True)}
        times["register"], version = self.register()
        if ours_first:
            times["durable"] = self.copy(durable=True)
        times |= {"copy": self.copy(durable=False), "read": self.read(version)}
        times |= {"plain read": read_s(self.source), "check": self.check(version)}
        times["plain stream"] = stream_s(self.source)
        shutil.rmtree(self.folder / "artifacts" / "large" / version.version)
        return times


@contextmanager
def bench() -> Iterator[Bench]:
    """Make the file and the store, and remove both."""
    with tempfile.TemporaryDirectory() as folder:
        made = Bench(Path(folder))
        with made.opened:
            yield made


def rows() -> list[dict[str, str | float]]:
    """Measure in turn, so that a busy machine slows both; in seconds."""
    with bench() as made:
        made.round(ours_first=True)
        rounds = [made.round(ours_first=bool(number % 2)) for number in range(ROUNDS)]

    def ratio(ours: str, limit: str) -> float:
        return median(one[ours] / one[limit] for one in rounds)

    def row(what: str, ours: str, limit: str) -> dict[str, str | float]:
        sides = {"ours": ours, "limit": limit}
        taken = {side: median(one[name] for one in rounds) for side, name in sides.items()}
        return {"what": what, **taken, "ratio": ratio(ours, limit), "target": "<= 1.30"}

    unflushed, unkept = ratio("register", "copy"), ratio("read", "plain stream")
    return [
        row(f"register 500 MB, s ({unflushed:.2f} of no fsync)", "register", "durable"),
        row(f"read 500 MB, s ({unkept:.2f} of keeping no bytes)", "read", "plain read"),
        row("verify 500 MB, s", "check", "plain stream"),
    ]


if __name__ == "__main__":
    print(rows())
