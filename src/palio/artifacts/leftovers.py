"""What lies in an artifact store and may be nobody's."""

from __future__ import annotations

from collections.abc import Container, Iterator

from palio.artifacts.folders import Folders
from palio.errors import InvalidInput
from palio.registry.domain import check_name
from palio.registry.manifests import MANIFEST_NAME, is_manifest
from palio.registry.ports import Leftover

__all__ = ["found_in"]


def found_in(folders: Folders, known: Container[str]) -> Iterator[Leftover]:
    """Yield what was staged, then folders with a manifest in the places of unknown versions."""
    for folder in folders.staged():
        yield from _measured(folders, folder, None)
    for line in folders.below(folders.root):
        for folder in folders.below(line):
            version = _version(folders, folder)
            if version is not None and version not in known and _is_ours(folders, folder):
                yield from _measured(folders, folder, version)


def _measured(folders: Folders, folder: str, version: str | None) -> Iterator[Leftover]:
    try:
        size_bytes, changed_at = folders.measured(folder)
    except FileNotFoundError:  # it was published or removed since it was listed
        return
    yield Leftover(folder.removeprefix(f"{folders.root}/"), version, size_bytes, changed_at)


def _version(folders: Folders, folder: str) -> str | None:
    model, _, version = folder.removeprefix(f"{folders.root}/").partition("/")
    try:
        return f"{check_name('model', model)}:{check_name('version', version)}"
    except InvalidInput:
        return None


def _is_ours(folders: Folders, folder: str) -> bool:
    """Tell whether a manifest of a version lies there: other folders are never touched."""
    try:
        with folders.opened(f"{folder}/{MANIFEST_NAME}") as handle:
            return is_manifest(handle.read())
    except (FileNotFoundError, IsADirectoryError):
        return False
