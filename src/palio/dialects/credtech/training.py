"""Training as the document's command does it, on the data that the settings name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palio.dialects.credtech.files import MODEL, as_joblib, as_json, keep, plots
from palio.dialects.credtech.line import Line
from palio.dialects.credtech.records import Record, training_record
from palio.edge.session import Session
from palio.errors import AlreadyExists, InvalidInput

__all__ = ["Training", "trained"]

_LONGEST = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What the command was given; ``keep`` registers the model."""

    version: str | None
    description: str
    keep: bool


def trained(session: Session, line: Line, asked: Training) -> Record:
    """Train a model; register it, or leave its files in ``models/<version>/``.

    Raises
    ------
    InvalidInput
        If the settings name no data or no target, or the version has no letter or digit.
    AlreadyExists
        If the version is there already: said before anything is trained.
    """
    chosen = line.settings
    for name, value in (("DATA", chosen.data), ("TARGET", chosen.target)):
        if value is None:
            raise InvalidInput(
                f"PALIO_CREDTECH_{name} is not set, and the command names no training data; set "
                "PALIO_CREDTECH_DATA to a CSV or Parquet file and PALIO_CREDTECH_TARGET to the "
                "column to predict",
                field=f"PALIO_CREDTECH_{name}",
            )
    own = None if asked.version is None else _id_of(asked.version)
    _check_free(line, own, asked)
    draft = session.train(
        chosen.data,
        target=chosen.target,
        model=chosen.model,
        version=own,
        estimator=chosen.estimator,
        drop=chosen.dropped,
        description=asked.description,
    )
    if not asked.keep:
        return _left(draft, chosen.folder.parent / draft.version, asked)
    line.prepare()
    line.open()
    version = session.submit(draft)
    if asked.version not in (None, version.version):
        tags = {"version": str(asked.version)}
        version = line.verbs.versions.edit(version.reference, tags=tags)
    return line.record(version) | {"training": training_record(version.training)}


def _check_free(line: Line, own: str | None, asked: Training) -> None:
    if own is None:
        return
    if asked.keep and line.has(own):
        raise AlreadyExists(
            f"{own} exists, and versions never change; train under another version",
            kind="version",
            name=own,
        )
    if not asked.keep and own == line.settings.folder.name:
        raise AlreadyExists(
            f"{line.settings.folder} is the registry's own folder; --register the model, or train "
            "under another version",
            kind="version",
            name=own,
        )


def _left(draft: Any, folder: Path, asked: Training) -> Record:
    """Write the files of a model that is not registered."""
    made = draft.trained
    metadata = {
        "model_id": draft.version,
        "version": asked.version or draft.version,
        "status": "not registered",
        "description": asked.description,
        "training": training_record(made.record),
    }
    keep(folder / "metadata.json", as_json(metadata))
    keep(folder / "metrics.json", as_json(made.metrics))
    keep(folder / MODEL, as_joblib(made.model))
    for name, image in plots(made.plots):
        keep(folder / name, image)
    return metadata | {"metrics": made.metrics, "saved_in": str(folder)}


def _id_of(version: str) -> str:
    """Return a version as an id: other signs than those of names become hyphens."""
    found = re.sub(r"[^A-Za-z0-9._-]+", "-", version).strip("._-")[:_LONGEST]
    if not found:
        raise InvalidInput(
            f"version {version!r} has no letter or digit; write one such as v1.2.0",
            field="version",
            value=version,
        )
    return found
