"""The list of a version's files, and how it is written beside them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict

import msgspec

from palio.registry.domain import ArtifactFile, Manifest

__all__ = ["MANIFEST_NAME", "is_manifest", "manifest_bytes", "manifest_of"]

MANIFEST_NAME = "manifest.json"


def manifest_of(files: Sequence[ArtifactFile]) -> Manifest:
    """Return the manifest of files: sorted by path, with the SHA-256 over their list.

    The digest is taken over canonical JSON (sorted keys, no spaces, ASCII), so that anyone can
    recompute it.
    """
    ordered = tuple(sorted(files, key=lambda file: file.path))
    listed = json.dumps(
        [asdict(file) for file in ordered], sort_keys=True, separators=(",", ":")
    ).encode()
    return Manifest(files=ordered, digest=hashlib.sha256(listed).hexdigest())


def manifest_bytes(manifest: Manifest) -> bytes:
    """Return a manifest as it is written."""
    return json.dumps(asdict(manifest), sort_keys=True, indent=1).encode()


def is_manifest(content: bytes) -> bool:
    """Tell whether a file is a manifest as `manifest_bytes` writes it, and no other JSON."""
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, ValueError):
        return False
    return manifest_of(manifest.files) == manifest
