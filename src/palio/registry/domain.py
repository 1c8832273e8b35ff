"""Models, versions, references, alias moves: frozen records and the rules on them."""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from palio.errors import InvalidInput
from palio.registry.signature import Signature

__all__ = [
    "CHAMPION",
    "AliasMove",
    "ArtifactFile",
    "Manifest",
    "Model",
    "MoveKind",
    "Reference",
    "Version",
    "VersionDraft",
    "check_name",
    "effective_history",
]

CHAMPION = "champion"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_PART = r"[^:/@\s]+"
_REFERENCES = tuple(
    re.compile(rf"{start}(?P<model>{_PART})(?:{mark}(?P<version>{_PART})|@(?P<alias>{_PART}))")
    for start, mark in (("", ":"), ("models:/", "/"))
)


@dataclass(frozen=True, slots=True)
class Model:
    """A named line of versions that do the same job."""

    name: str
    lifecycle: str
    created_at: datetime
    created_by: str
    description: str = ""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionDraft:
    """What is known of a version before it is registered.

    ``flavor`` names how its files become a model again; ``metrics`` are figures measured
    offline; ``training`` records the data and settings it was made from.
    """

    version: str
    flavor: str
    signature: Signature | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str = ""

    def __post_init__(self) -> None:
        check_name("version", self.version)
        metrics = {name: float(value) for name, value in self.metrics.items()}
        object.__setattr__(self, "metrics", metrics)  # numbers of numpy become plain ones
        for name, value in metrics.items():
            if not math.isfinite(value):
                raise InvalidInput(
                    f"the metric {name!r} of version {self.version} is {value}; "
                    "leave it out, or measure it again",
                    field="metrics",
                    value=name,
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One immutable artifact with its metadata, and the stage where it stands."""

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

    @property
    def reference(self) -> str:
        """``name:version``."""
        return f"{self.model}:{self.version}"


class MoveKind(enum.StrEnum):
    """How an alias came to point where it does."""

    SET = "set"  # somebody chose the version
    ROLLBACK = "rollback"  # one step back along the effective history


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasMove:
    """One move of an alias; the last one says where it points."""

    model: str
    alias: str
    seq: int
    kind: MoveKind
    version: str
    previous: str | None
    at: datetime
    actor: str
    reason: str = ""


def effective_history(moves: Sequence[AliasMove]) -> list[str]:
    """Return the versions that an alias has pointed at and not been rolled back from.

    A rollback takes the last one off, so rolling back twice goes two steps back.

    Parameters
    ----------
    moves
        All moves of one alias, oldest first.

    Returns
    -------
    list of str
        Oldest first; the last one is where the alias points.
    """
    stack: list[str] = []
    for move in moves:
        if move.kind is MoveKind.ROLLBACK:
            stack.pop()
        else:
            stack.append(move.version)
    return stack


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
