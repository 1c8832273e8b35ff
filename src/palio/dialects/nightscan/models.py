"""The model registry in Python: ``get_model_registry`` and its calls."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from palio.dialects.nightscan.fitting import fitted, read
from palio.dialects.nightscan.metadata import (
    ModelMetadata,
    described,
    in_production,
    metadata_of,
)
from palio.dialects.nightscan.networks import is_module, prepared
from palio.dialects.nightscan.opening import ensure_model, opened
from palio.dialects.nightscan.tree import tree_of
from palio.dialects.nightscan.words import (
    STATUSES,
    VOTING,
    ModelStatus,
    NightscanSettings,
    meaning,
    stage_of,
)
from palio.edge.configuring import configured
from palio.edge.session import Session
from palio.errors import NotFound, PalioError
from palio.registry.comparison import MetricComparison, Way
from palio.registry.domain import Version

__all__ = ["ModelRegistry", "get_model_registry"]

_LOG = logging.getLogger("palio.nightscan")


@dataclass(frozen=True, slots=True)
class _Ensemble:
    """The fields of ``ensemble_config``."""

    models: list[str]
    voting_strategy: str = "weighted_average"
    weights: list[float] | None = None


class ModelRegistry:
    """The documented registry, on a session."""

    def __init__(self, session: Session, settings: NightscanSettings) -> None:
        self._session, self._verbs, self._settings = session, session.verbs, settings

    def register_model(self, model: Any, metadata: ModelMetadata, example: Any = None) -> bool:
        """Register a model with what is known of it.

        Parameters
        ----------
        model
            A module of PyTorch, or whatever else Palio recognises.
        metadata
            What is known of it; its labels stand in ``training_config["labels"]``. Size and
            checksum are filled in.
        example
            A batch of inputs, where their shape is other than ``training_config["samples"]``
            (22,050 when it does not say).

        Returns
        -------
        bool
            Whether it is registered; if not, the reason is logged as an error.
        """
        return self._keep(metadata, partial(self._register, model, example))

    def register_ensemble(self, config: Mapping[str, Any], metadata: ModelMetadata) -> bool:
        """Register an ensemble by its ``models``, ``voting_strategy`` and ``weights``."""
        return self._keep(metadata, partial(self._combine, config))

    def get_model(self, model_id: str, version: str) -> ModelMetadata | None:
        """Return what is known of a version; None if there is none."""
        try:
            return self._known(self._verbs.versions.get(f"{model_id}:{version}"))
        except NotFound:
            return None

    def list_models(
        self, model_id: str | None = None, status: ModelStatus | str | None = None
    ) -> list[ModelMetadata]:
        """Return the versions of all models or of one, in one status if asked."""
        wanted = None if status is None else meaning("status", status, STATUSES)
        names = [one.name for one in self._verbs.models.list()] if model_id is None else [model_id]
        deployed = in_production(self._verbs)
        found = [
            metadata_of(version, lifecycle, deployed)
            for name in names
            for lifecycle in [self._verbs.models.lifecycle(name)]
            for version in self._verbs.versions.list(name)
        ]
        return [one for one in found if wanted in {None, one.status}]

    def update_status(
        self, model_id: str, version: str, status: ModelStatus | str, reason: str = ""
    ) -> ModelMetadata:
        """Take a version to another status, if the lifecycle leads there from where it stands."""
        reference, lifecycle = f"{model_id}:{version}", self._verbs.models.lifecycle(model_id)
        stage = stage_of(meaning("status", status, STATUSES), lifecycle)
        if stage == lifecycle.production:
            moved = self._verbs.versions.promote(reference, reason=reason)
        else:
            moved = self._verbs.versions.move(reference, stage, reason)
        self.follow()
        return self._known(moved)

    def compare_models(self, first: tuple[str, str], second: tuple[str, str]) -> dict[str, Any]:
        """Hold the metrics of the second version against those of the first.

        ``percentage_improvement`` is positive where the second one is better.
        """
        references = [":".join(first), ":".join(second)]
        lower = dict.fromkeys(self._settings.lower_is_better, Way.LOWER)
        rows = self._verbs.versions.compare(references, lower)
        return {
            "model1": references[0],
            "model2": references[1],
            "metric_differences": {row.metric: _difference(row, references[1]) for row in rows},
        }

    def follow(self) -> None:
        """Bring the tree of files up to what is registered."""
        tree_of(self._verbs, self._settings).step()

    def _keep(self, metadata: ModelMetadata, register: Callable[[ModelMetadata], Version]) -> bool:
        try:
            wanted = fitted(metadata)
            ensure_model(self._verbs, wanted.model_id)
            known = self._known(register(wanted))
        except PalioError as refused:
            _LOG.error("%s is not registered: %s", metadata.reference, refused)
            return False
        metadata.file_size_bytes, metadata.checksum = known.file_size_bytes, known.checksum
        if known.status is not wanted.status:
            self._moved(known, wanted.status)
        self.follow()
        return True

    def _moved(self, known: ModelMetadata, wanted: ModelStatus) -> None:
        try:
            self.update_status(known.model_id, known.version, wanted)
        except PalioError as refused:
            _LOG.warning("%s is registered, as %s: %s", known.reference, known.status, refused)

    def _register(self, model: Any, example: Any, metadata: ModelMetadata) -> Version:
        given: dict[str, Any] = {"sample": example}
        if is_module(model):
            told = metadata.training_config
            shape = (told.get("samples", self._settings.samples),)
            shape = shape if example is None else np.shape(example)[1:]
            model, signature = prepared(model, shape, told.get("labels", ()))
            given = {"signature": signature}
        return self._session.register(metadata.model_id, model, **described(metadata), **given)

    def _combine(self, config: Mapping[str, Any], metadata: ModelMetadata) -> Version:
        asked = read(_Ensemble, config, "ensemble_config")
        said = described(metadata)
        return self._session.combine(
            metadata.model_id,
            asked.models,
            combine=meaning("voting_strategy", asked.voting_strategy, VOTING),
            weights=asked.weights,
            **{name: said[name] for name in ("version", "description", "metrics", "tags")},
        )

    def _known(self, version: Version) -> ModelMetadata:
        lifecycle = self._verbs.models.lifecycle(version.model)
        return metadata_of(version, lifecycle, in_production(self._verbs))


def _difference(row: MetricComparison, second: str) -> dict[str, float | bool | None]:
    other = row.differences[second]
    share = other.relative
    sign = -1 if row.way is Way.LOWER else 1
    return {
        "model1": row.baseline,
        "model2": other.value,
        "absolute_difference": other.absolute,
        "percentage_improvement": None if share is None else sign * 100 * share,
        "is_better": other.better,
    }


def get_model_registry(store: str | Path | None = None) -> ModelRegistry:
    """Return the registry of a store, or of a server; of ``PALIO_STORE`` when not given."""
    return ModelRegistry(opened(store), configured(NightscanSettings))
