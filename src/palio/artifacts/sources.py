"""Files on this machine that become a version's: unpacked, found below a root, recognised."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from urllib.parse import unquote

from palio.artifacts.archives import Limits, unpacked
from palio.artifacts.asking import signature_asked
from palio.artifacts.flavors import PREPROCESSOR, named, recognise, recognise_files
from palio.artifacts.policy import NOTHING_TRUSTED, Trust
from palio.artifacts.staging import files_of
from palio.errors import InvalidInput, Refused
from palio.registry.paths import Paths
from palio.registry.signature import Signature

__all__ = ["FileSources"]

_HELD = Path("/proc/self/fd")
_MOST_FOLDERS = 200  # each is held open


class FileSources:
    """Files of this machine's disks.

    Parameters
    ----------
    roots
        Folders below which others may name paths; none when empty.
    limits
        What may come out of an archive.
    trust
        What may be made an object here, to be asked what it takes.
    """

    def __init__(
        self,
        roots: Sequence[Path] = (),
        limits: Limits | None = None,
        trust: Trust = NOTHING_TRUSTED,
    ) -> None:
        self._roots = tuple(roots)
        self._limits = limits or Limits()
        self._trust = trust

    def unpacked(self, archive: Path | Mapping[str, Path]) -> AbstractContextManager[Path]:
        """Write the members of an archive below a folder of their own."""
        if isinstance(archive, Path):
            return unpacked(archive, self._limits)
        if len(archive) != 1:
            raise InvalidInput(
                f"unpack takes one archive, got {len(archive)} files; give the archive alone",
                field="unpack",
                value=sorted(archive)[:10],
            )
        (path,) = archive.values()
        return unpacked(path, self._limits)

    @contextmanager
    def opened(self, source: str) -> Iterator[Mapping[str, Path]]:
        """Give the files at a path below a root, each by its relative path.

        Every link in ``source`` is resolved, and what it leads to must lie below a root. From
        there on no name is looked up twice: each folder is opened from the one above, links
        refused, and stays open, and the paths given lead through these descriptors. A folder
        that is swapped for a link afterwards changes nothing; a file that is, is refused by
        whoever opens it without following links, as the artifact store does. What stays
        possible to somebody who may write below the root is other content in the same place.
        """
        root, below = self._place(source)
        with ExitStack() as held:
            with _translated(source):
                found = _found(held, root, below)
            yield found

    def recognised(self, files: Path | Mapping[str, Path]) -> str:
        """Return the flavor of the files; none is read as a model."""
        found = recognise(files) if isinstance(files, Path) else recognise_files(files)
        return found.name

    @contextmanager
    def preceded(
        self, files: Path | Mapping[str, Path], preprocessor: str
    ) -> Iterator[Mapping[str, Path]]:
        """Give files of a model with that of a transformer, found as `opened` finds it."""
        with ExitStack() as held:
            with _called("preprocessor"):
                found = held.enter_context(self.opened(preprocessor))
            if len(found) != 1:
                raise InvalidInput(
                    f"preprocessor: {preprocessor[:255]!r} holds {len(found)} files; give the "
                    "path of the one file of a transformer",
                    field="preprocessor",
                    value=preprocessor[:255],
                )
            ((name, path),) = found.items()
            suffix = "".join(Path(name).suffixes[-2:]).lstrip(".") or "pkl"
            yield {**files_of(files, ()), f"{PREPROCESSOR}{suffix}": path}

    def asked(self, files: Path | Mapping[str, Path], flavor: str) -> Signature | None:
        """Return the signature that a model tells when it is asked, where policy allows that."""
        given = files_of(files, ())
        content = {name: path.read_bytes() for name, path in given.items()}
        return signature_asked(content, named(flavor, self._trust.trusted_types), self._trust)

    def _place(self, source: str) -> tuple[Path, Path]:
        _check(source)
        if not self._roots:
            raise Refused(
                "no folder is open for paths of others; set PALIO_SOURCE_ROOTS to the "
                "folders that may be read where this runs, or upload the files",
                setting="PALIO_SOURCE_ROOTS",
            )
        with _translated(source):
            resolved = Path(source).resolve()
            for root in (one.resolve() for one in self._roots):
                if resolved.is_relative_to(root):
                    return root, resolved.relative_to(root)
        raise _refused(source, "lies below no folder of PALIO_SOURCE_ROOTS; put it below one")


def _check(source: str) -> None:
    if not _HELD.is_dir():
        raise Refused(
            "registering by path needs /proc, which this system has not; upload the files",
            source=source,
        )
    if not source.isprintable() or not source.startswith("/") or unquote(source) != source:
        raise _refused(source, "is no absolute path; URLs and encoded names are not taken")
    if ".." in Path(source).parts:
        raise _refused(source, "has '..' in it; give the path itself")


def _found(held: ExitStack, root: Path, below: Path) -> dict[str, Path]:
    """Return the files by relative path; ``held`` keeps their folders open."""
    paths, folder = Paths("source"), _entered(held, root, None)
    for part in below.parts[:-1]:
        folder = _entered(held, part, folder)
    if not below.name:
        return dict(_walk(held, folder, "", paths))
    kind = os.stat(below.name, dir_fd=folder, follow_symlinks=False).st_mode
    if stat.S_ISDIR(kind):
        return dict(_walk(held, _entered(held, below.name, folder), "", paths))
    return {str(paths.add(below.name)): _file(folder, below.name)}


def _walk(held: ExitStack, folder: int, above: str, paths: Paths) -> Iterator[tuple[str, Path]]:
    waiting = [(folder, above)]
    for number in range(_MOST_FOLDERS):
        if number == len(waiting):
            return
        folder, above = waiting[number]
        for name in sorted(os.listdir(folder)):  # noqa: PTH208 - a descriptor
            if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                waiting.append((_entered(held, name, folder), f"{above}{name}/"))
            else:
                yield str(paths.add(f"{above}{name}")), _file(folder, name)
    raise _refused(above, f"has more than {_MOST_FOLDERS} folders; give fewer, or an archive")


def _file(folder: int, name: str) -> Path:
    if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        raise _refused(name, "is a link or a device; put the file itself there")
    return _HELD / str(folder) / name


def _entered(held: ExitStack, name: str | Path, folder: int | None) -> int:
    opened = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
    held.callback(os.close, opened)
    return opened


@contextmanager
def _translated(source: str) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as error:  # a ring of links is a RuntimeError
        why = getattr(error, "strerror", None) or "is a ring of links"
        missing = isinstance(error, FileNotFoundError)
        raise _refused(source, f"cannot be read: {why}", missing=missing) from error


@contextmanager
def _called(field: str) -> Iterator[None]:
    """Name the field that was sent, where it is not ``source``."""
    try:
        yield
    except InvalidInput as refused:
        text = refused.message.removeprefix("source")
        raise InvalidInput(f"{field}{text}", **{**refused.details, "field": field}) from refused


def _refused(source: str, why: str, *, missing: bool = False) -> InvalidInput:
    shown = source[:255]
    details = {"missing": True} if missing else {}
    return InvalidInput(f"source: {shown!r} {why}", field="source", value=shown, **details)
