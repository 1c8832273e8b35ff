"""The registry's files on disk: an export for others that follows the audit log."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec

from palio.access.audit import AuditEntry
from palio.dialects.credtech.files import MODEL, as_joblib, as_json, keep, plots
from palio.dialects.credtech.line import Line
from palio.dialects.credtech.log import LOG
from palio.dialects.credtech.records import Record, training_record
from palio.dialects.credtech.settings import CredtechSettings
from palio.edge.configuring import configured
from palio.edge.dialects import restored
from palio.edge.following import Follower, alone
from palio.edge.verbs import Verbs
from palio.experiments.domain import Experiment
from palio.registry.domain import RESERVED_FILES, Version

__all__ = ["Tree", "keeper"]

_INDEX = "registry.json"
_RESULTS = "results.json"


class Tree:
    """The folder of the registry. What it does twice changes nothing.

    Parameters
    ----------
    line
        The model whose versions and experiments it shows.
    folder
        Where it stands.
    make
        Whether to make it where it does not stand yet.
    """

    def __init__(self, line: Line, folder: Path, *, make: bool = True) -> None:
        self._line = line
        self.folder = folder
        self._make = make
        self._follower = Follower(line.verbs.audit, folder, self._project)
        self._told: set[str] = set()
        self.rest_s = line.settings.refresh_s

    @property
    def is_foreign(self) -> bool:
        """Tell whether the folder is another program's, or another store's: its files stay."""
        return self._maker() not in (None, self._mark())

    def step(self) -> None:
        """Bring the files up to the audit log, and results up to what is known by now."""
        maker, mark = self._maker(), self._mark()
        if mark is None or maker not in (None, mark) or not (maker or self._make):
            return
        self._follower.step()
        with alone(self.folder):
            if self._maker() is None:
                self._project(())
            for one in self._line.experiments():
                if one.started_at is not None and one.ended_at is None:
                    self._keep_results(one)

    def _mark(self) -> str | None:
        """Return what the folder of this store is marked with; nothing while it is empty."""
        first = self._line.verbs.audit.list(limit=1)
        return f"palio {first[0].hash[:12]}" if first else None

    def _maker(self) -> str | None:
        """Return what the folder is marked with, if it is there."""
        try:
            return str(msgspec.json.decode((self.folder / _INDEX).read_bytes())["made_by"])
        except FileNotFoundError:
            return None
        except (msgspec.DecodeError, KeyError, TypeError):
            return "another program"

    def release(self) -> None:
        """Do nothing: whoever comes next goes on from the cursor."""

    def _project(self, entries: Sequence[AuditEntry]) -> None:
        touched = {entry.subject for entry in entries}
        versions = self._line.versions()
        models = {one["model_id"]: one for one in self._line.records(versions)}
        experiments = self._line.experiments()
        for version in versions:
            self._keep_model(version, models[version.version])
        for one in experiments:
            keep(self._of(one) / "metadata.json", as_json(self._line.told(one)))
            if one.key in touched or not (self._of(one) / _RESULTS).exists():
                self._keep_results(one)
        self._drop(models)
        index = _index(models, experiments, self._line.production())
        keep(self.folder / _INDEX, as_json({"made_by": self._mark()} | index))

    def _keep_model(self, version: Version, record: Record) -> None:
        folder = self.folder / "models" / version.version
        metadata = {name: value for name, value in record.items() if name != "metrics"}
        metadata["training"] = training_record(version.training)
        keep(folder / "metadata.json", as_json(metadata))
        keep(folder / "metrics.json", as_json(record["metrics"]))
        if not (folder / MODEL).exists():
            self._keep_files(version, folder)

    def _keep_files(self, version: Version, folder: Path) -> None:
        """Write what never changes of a version, as far as it can be had."""
        try:
            for name, image in plots(self._line.verbs.versions.plots(version.reference)):
                keep(folder / name, image)
            keep(folder / MODEL, self._model(version))
        except Exception as failed:  # noqa: BLE001 - one model must not keep the others away
            if version.reference not in self._told:
                LOG.warning("%s has no %s in the export: %s", version.reference, MODEL, failed)
            self._told.add(version.reference)

    def _model(self, version: Version) -> bytes:
        if version.flavor == "pickled":  # joblib reads it: nothing is run to copy it
            paths = [one.path for one in version.manifest.files]
            own = [one for one in paths if "/" not in one and one not in RESERVED_FILES]
            if len(own) == 1:
                return b"".join(self._line.verbs.versions.fetch(version.reference, own[0]))
        return as_joblib(restored(self._line.verbs, version.reference))

    def _keep_results(self, experiment: Experiment) -> None:
        found = self._line.results(experiment)
        keep(self._of(experiment) / _RESULTS, as_json(found or {}))

    def _of(self, experiment: Experiment) -> Path:
        return self.folder / "experiments" / experiment.key

    def _drop(self, models: dict[str, Record]) -> None:
        """Remove the folders of models that were here and are deleted."""
        try:
            known = msgspec.json.decode((self.folder / _INDEX).read_bytes())["models"]
        except FileNotFoundError:
            return
        for gone in set(known) - set(models):
            shutil.rmtree(self.folder / "models" / Path(gone).name, ignore_errors=True)


def _index(
    models: dict[str, Record], experiments: Sequence[Experiment], production: str | None
) -> Record:
    shown = ("version", "status", "is_production", "created_at")
    return {
        "production_model_id": production,
        "models": {key: {name: one[name] for name in shown} for key, one in models.items()},
        "experiments": {
            one.key: {"name": one.design.title or one.key, "status": str(one.state)}
            for one in experiments
        },
    }


def keeper(verbs: Verbs) -> Tree:
    """Return what keeps the files current while a server runs."""
    chosen = configured(CredtechSettings)
    line = Line(verbs=verbs, settings=chosen)
    return Tree(line, chosen.folder, make=chosen.registry is not None)
