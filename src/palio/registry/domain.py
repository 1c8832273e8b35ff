"""Models, versions, references, alias moves: frozen records and the rules on them."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from palio.errors import InvalidInput, NotFound
from palio.registry.describing.metadata import CHECKS
from palio.registry.signature import Signature

__all__ = [
    "CHAMPION",
    "RESERVED_FILES",
    "AliasMove",
    "ArtifactFile",
    "Attestation",
    "Manifest",
    "Model",
    "MoveKind",
    "Reference",
    "Use",
    "Version",
    "VersionDraft",
    "check_name",
    "effective_history",
    "parted",
]

CHAMPION = "champion"
RESERVED_FILES = frozenset(
    {
        *("manifest.json", "metadata.json", "metrics.json", "policy.yaml", "features.json"),
        "model.sig",
    }
)
"""Names in a version's own folder that Palio writes itself, where it has something to write."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_PART = r"[^:/@\s]+"
_REFERENCES = tuple(
    re.compile(rf"{start}(?P<model>{_PART})(?:{mark}(?P<version>{_PART})|@(?P<alias>{_PART}))")
    for start, mark in (("", ":"), ("models:/", "/"))
)


@dataclass(frozen=True, slots=True)
class Model:
    """A named line of versions that do the same job.

    ``lifecycle_revision`` is the one its versions follow; ``deleted_at`` is when it was deleted,
    if it was.
    """

    name: str
    lifecycle: str
    created_at: datetime
    created_by: str
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    lifecycle_revision: int = 1
    deleted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ArtifactFile:
    """One file of a version: path relative to the version's folder, size, SHA-256."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """All files of a version, and the SHA-256 over their list."""

    files: tuple[ArtifactFile, ...]
    digest: str

    def file(self, path: str) -> ArtifactFile:
        """Return the file under a path, or raise ``NotFound``."""
        found = next((file for file in self.files if file.path == path), None)
        if found is None:
            listed = ", ".join(file.path for file in self.files)
            raise NotFound(f"it has no file {path!r}; it has {listed}", kind="file", name=path)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionDraft:
    """What is known of a version before it is registered.

    Parameters
    ----------
    version
        Its name.
    flavor
        How its files become a model again.
    signature
        What it takes and answers.
    metrics, backtest
        Figures measured offline: on rows held out, and on a replay of the past.
    training
        The data and settings it was made from.
    type, framework, architecture
        What it is for, what made it, and its shape, such as ``classification``, ``pytorch`` and
        ``resnet18``.
    dataset_version
        Which data it learned from.
    policy
        How its answers may be used: a document that applications read.
    parent
        The version that it was made from, as ``name:version``.
    source
        Where it comes from: ``run``, ``commit`` and others.
    tags, description, external_ref, card
        What may be edited later: marks, a sentence, the id in another system, prose in Markdown
        for its model card.
    """

    version: str
    flavor: str
    signature: Signature | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    type: str = ""
    framework: str = ""
    architecture: str = ""
    dataset_version: str = ""
    policy: Mapping[str, Any] | None = None
    backtest: Mapping[str, float] = field(default_factory=dict)
    parent: str | None = None
    source: Mapping[str, str] = field(default_factory=dict)
    external_ref: str = ""
    card: str = ""

    def __post_init__(self) -> None:
        check_name("version", self.version)
        for name, check in CHECKS.items():
            object.__setattr__(self, name, check(name, getattr(self, name)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One immutable artifact with its metadata, and the stage where it stands.

    A deleted version is found by nothing but its own name and can be restored; of a purged one
    the files are gone, and the record stays, so that its name never means other bytes.
    """

    model: str
    version: str
    ordinal: int
    stage: str
    flavor: str
    signature: Signature | None
    manifest: Manifest
    metrics: Mapping[str, float]
    training: Mapping[str, Any]
    tags: Mapping[str, str]
    description: str
    created_at: datetime
    created_by: str
    approved_by: str | None = None
    type: str = ""
    framework: str = ""
    architecture: str = ""
    dataset_version: str = ""
    policy: Mapping[str, Any] | None = None
    backtest: Mapping[str, float] = field(default_factory=dict)
    parent: str | None = None
    source: Mapping[str, str] = field(default_factory=dict)
    external_ref: str = ""
    card: str = ""
    deleted_at: datetime | None = None
    purged_at: datetime | None = None

    @property
    def reference(self) -> str:
        """``name:version``."""
        return f"{self.model}:{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """A cryptographic signature over the files of a version: who vouches for these bytes.

    ``bundle`` is what the signer's tool wrote, ``key_id`` names the public key by its SHA-256.
    """

    model: str
    version: str
    seq: int
    bundle: str
    key_id: str
    at: datetime
    actor: str


class MoveKind(enum.StrEnum):
    """How an alias came to point where it does."""

    SET = "set"  # somebody chose the version
    ROLLBACK = "rollback"  # one step back along the effective history
    CLEARED = "cleared"  # it points nowhere; what was before is no step back from what comes


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasMove:
    """One move of an alias; the last one says where it points, ``None`` for nowhere."""

    model: str
    alias: str
    seq: int
    kind: MoveKind
    version: str | None
    previous: str | None
    at: datetime
    actor: str
    reason: str = ""


def effective_history(moves: Sequence[AliasMove]) -> list[str]:
    """Return the versions that an alias has pointed at and not been rolled back from.

    A rollback takes the last one off, so rolling back twice goes two steps back; behind a moment
    when the alias pointed nowhere there is no way back.

    Parameters
    ----------
    moves
        All moves of one alias, oldest first.

    Returns
    -------
    list of str
        Oldest first; the last one is where the alias points, and none if it points nowhere.
    """
    stack: list[str] = []
    for move in moves:
        if move.version is None:
            stack.clear()
        elif move.kind is MoveKind.ROLLBACK:
            stack.pop()
        else:
            stack.append(move.version)
    return stack


@dataclass(frozen=True, slots=True)
class Use:
    """What points at a version, or stands on a model: its kind and its name."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Reference:
    """How a version is named: by its own name or by an alias."""

    model: str
    version: str | None = None
    alias: str | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read ``name:version``, ``name@alias``, or either after ``models:/``.

        Examples
        --------
        >>> Reference.parse("credit-risk@champion")
        Reference(model='credit-risk', version=None, alias='champion')

        Raises
        ------
        InvalidInput
            If the text has none of these forms.
        """
        found = next(filter(None, (form.fullmatch(text) for form in _REFERENCES)), None)
        if found is None:
            raise InvalidInput(
                f"{text!r} is no reference; write name:version, name@alias, "
                "models:/name/version or models:/name@alias",
                field="reference",
                value=text,
            )
        return cls(**found.groupdict())


def parted(version: str, model: str) -> tuple[str, str]:
    """Return model and version of a name that stands where ``model`` is understood.

    Examples
    --------
    >>> parted("v2", "credit")
    ('credit', 'v2')
    >>> parted("fraud:v7", "credit")
    ('fraud', 'v7')
    """
    other, mark, name = version.rpartition(":")
    return (other, name) if mark else (model, version)


def check_name(field_name: str, value: str) -> str:
    """Return ``value``, or raise ``InvalidInput`` when it cannot be a name."""
    if not _NAME.fullmatch(value):
        raise InvalidInput(
            f"{field_name} {value!r} is no name; use 1 to 128 letters, digits, dots, "
            "underscores and hyphens, starting with a letter or digit",
            field=field_name,
            value=value,
        )
    return value
