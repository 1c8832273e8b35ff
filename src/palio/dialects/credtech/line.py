"""The documented operations on models and experiments, each one verb or two."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass

from palio.dialects.credtech import words
from palio.dialects.credtech.designs import Asked, design, id_of
from palio.dialects.credtech.records import Record, experiment_record, model_record, results
from palio.dialects.credtech.records import model_id as id_here
from palio.dialects.credtech.settings import CredtechSettings
from palio.edge.verbs import Verbs
from palio.errors import AlreadyExists, NotFound
from palio.experiments.domain import Experiment
from palio.registry.domain import CHAMPION, Version, parted
from palio.registry.signature import Task

__all__ = ["Line"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One model of Palio, whose versions are the models of this dialect."""

    verbs: Verbs
    settings: CredtechSettings

    def prepare(self) -> None:
        """Make the model and its lifecycle if they are not there."""
        name = self.settings.model
        try:
            self.verbs.models.get(name)
        except NotFound:
            self.verbs.lifecycles.declare(words.LIFECYCLE)
            with suppress(AlreadyExists):  # somebody else was faster
                self.verbs.models.create(name, lifecycle=words.LIFECYCLE.name)

    def open(self) -> str:
        """Return the endpoint that scores; it is made if it is not there."""
        address = self.settings.address
        try:
            self.verbs.endpoints.get(address)
        except NotFound:
            with suppress(AlreadyExists):
                self.verbs.endpoints.create(address, self.settings.model)
        return address

    def versions(self) -> list[Version]:
        """Return all versions, oldest first; none before the first training."""
        try:
            return list(self.verbs.versions.list(self.settings.model))
        except NotFound:
            return []

    def production(self) -> str | None:
        """Return the model that is in production."""
        try:
            return self.verbs.models.aliases(self.settings.model).get(CHAMPION)
        except NotFound:
            return None

    def version(self, model_id: str | None) -> Version:
        """Return a model, or the one in production where none is named."""
        reference = ":".join(parted(model_id or "", self.settings.model))
        if model_id is None:
            reference = f"{self.settings.model}@{CHAMPION}"
        with words.finding():
            return self.verbs.versions.get(reference)

    def has(self, own: str) -> bool:
        """Tell whether a model of that name is there."""
        try:
            self.verbs.versions.get(f"{self.settings.model}:{own}")
        except NotFound:
            return False
        return True

    def record(self, version: Version) -> Record:
        """Return a version as a record of this dialect."""
        return self.records([version])[0]

    def records(self, versions: list[Version]) -> list[Record]:
        """Return versions as records of this dialect."""
        production = self.production()
        models = {version.model for version in versions}
        found = {model: self.verbs.models.lifecycle(model) for model in models}
        return [
            model_record(
                version,
                line=self.settings.model,
                status=words.status(version.stage, found[version.model]),
                production=production,
            )
            for version in versions
        ]

    def promote(self, model_id: str) -> Version:
        """Make a model production; one that is already stays so."""
        own = id_here(model_id, self.settings.model)
        with words.finding():
            version = self.verbs.versions.get(f"{self.settings.model}:{own}")
        self.open()
        if version.version == self.production():
            return version
        return self.verbs.versions.promote(version.reference, reason="credtech promote")

    def experiments(self) -> list[Experiment]:
        """Return the experiments on this model, oldest first."""
        found = self.verbs.experiments.list()
        return [one for one in found if one.model == self.settings.model]

    def experiment(self, key: str) -> Experiment:
        """Return an experiment."""
        with words.finding_experiment():
            return self.verbs.experiments.get(key)

    def told(self, experiment: Experiment) -> Record:
        """Return an experiment as a record of this dialect."""
        return experiment_record(experiment, line=self.settings.model)

    def results(self, experiment: Experiment) -> Record | None:
        """Return what an experiment has shown; nothing before it starts."""
        if experiment.started_at is None:
            return None
        report = self.verbs.experiments.analyze(experiment.key)
        return results(experiment, report, line=self.settings.model)

    def create(self, asked: Asked) -> Experiment:
        """Create an experiment and start it: the document knows no other way to begin."""
        with words.creating():
            found = [self._named(model) for model in asked.models]
            task = next((one.signature.task for one in found if one.signature), None)
            made = design(
                asked,
                key=id_of(asked.name, secrets.token_hex(4)),
                endpoint=self.open(),
                task=task or Task.CLASSIFICATION,
            )
            return self.verbs.experiments.launch(made)

    def stop(self, key: str) -> Experiment:
        """End an experiment; its requests go to production again."""
        with words.finding_experiment():
            return self.verbs.experiments.stop(key, "credtech stop-experiment")

    def _named(self, model_id: str) -> Version:
        return self.verbs.versions.get(":".join(parted(model_id, self.settings.model)))
