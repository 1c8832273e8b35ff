"""Experiments in Python: ``get_ab_test_manager`` and its calls."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palio.dialects.nightscan.analysis import rendered, summary
from palio.dialects.nightscan.configs import ExperimentConfig, drafted
from palio.dialects.nightscan.opening import ensure_endpoint, opened
from palio.dialects.nightscan.words import NightscanSettings
from palio.edge.configuring import configured
from palio.edge.verbs import Verbs
from palio.errors import IllegalTransition, NotFound
from palio.experiments.events import OutcomeDraft
from palio.registry.domain import parted

__all__ = ["ABTestManager", "get_ab_test_manager", "log_route"]

_LOG = logging.getLogger("palio.nightscan")
_LINE = logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s")


@dataclass(frozen=True, slots=True)
class ABTestManager:
    """The documented calls on experiments, on the verbs."""

    verbs: Verbs
    settings: NightscanSettings

    def create_experiment(self, config: ExperimentConfig) -> bool:
        """Keep an experiment; nothing is routed until it is started."""
        design = drafted(
            config,
            lower_is_better=self.settings.lower_is_better,
            automatic=self.settings.automatic,
        )
        for reference in config.model_variants.values():
            self.verbs.versions.get(reference)  # before anything is made for what there is not
        ensure_endpoint(self.verbs, design.endpoint, config.model)
        self.verbs.experiments.draft(design)
        return True

    def start_experiment(self, experiment_id: str) -> bool:
        """Let it route the requests that name it."""
        self.verbs.experiments.start(experiment_id)
        return True

    def stop_experiment(self, experiment_id: str, reason: str = "stopped by hand") -> bool:
        """End it: every request gets what is in production again.

        False, and logged, where it has ended already, perhaps by itself.
        """
        try:
            self.verbs.experiments.stop(experiment_id, reason)
        except IllegalTransition as ended:
            _LOG.warning("%s is not stopped: %s", experiment_id, ended)
            return False
        return True

    def list_experiments(self) -> list[dict[str, Any]]:
        """Return what is known of all experiments, beside their results."""
        return [summary(one) for one in self.verbs.experiments.list()]

    def get_model_for_request(self, request_id: str, experiment_id: str) -> str | None:
        """Return ``model:version`` for a request, the same whenever it is asked.

        Where the experiment does not run, what is in production; None if nothing is.
        """
        given = self.verbs.experiments.assign(experiment_id, request_id)
        if given.version is None:
            return None
        model = self.verbs.experiments.get(experiment_id).model
        reference = ":".join(parted(given.version, model))
        log_route(
            self.settings.log, request_id, experiment_id, variant=given.variant, model=reference
        )
        return reference

    def record_result(
        self, experiment_id: str, request_id: str, variant: str, metrics: Mapping[str, float]
    ) -> bool:
        """Record what became known of a request, one value a metric; repeats change nothing.

        A variant other than the one that the request was given is no evidence of that request:
        it is kept apart, as reported for the variant.
        """
        experiment = self.verbs.experiments.get(experiment_id)
        experiment.variant(variant)  # refuses what the experiment does not have
        given = self.verbs.experiments.assign(experiment_id, request_id).variant
        subject: dict[str, Any] = {"unit": request_id}
        if given not in {None, variant}:
            _LOG.warning(
                "%s of %s was given %s, not %s; its result is kept apart, and decides nothing",
                request_id,
                experiment_id,
                given,
                variant,
            )
            subject = {"experiment": experiment_id, "variant": variant}
        place = f"{experiment_id}/{request_id}/{variant}"
        self.verbs.outcomes.record(
            [
                OutcomeDraft(name=name, value=value, outcome_id=f"{place}/{name}", **subject)
                for name, value in metrics.items()
            ]
        )
        return True

    def analyze_experiment(self, experiment_id: str) -> dict[str, Any] | None:
        """Return what the evidence shows; None if there is no such experiment."""
        try:
            experiment = self.verbs.experiments.get(experiment_id)
        except NotFound:
            return None
        return rendered(experiment, self.verbs.experiments.analyze(experiment_id))


def log_route(
    path: Path, request_id: str, experiment_id: str | None, *, variant: str | None, model: str
) -> None:
    """Append to the routing log which model version a request was given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    said = (
        f"request_id={request_id} experiment_id={experiment_id} variant={variant} "
        f"model_version={model}"
    )
    record = logging.makeLogRecord({"levelname": "INFO", "name": "ab_test", "msg": said})
    with path.open("a", encoding="utf-8") as log:
        log.write(f"{_LINE.format(record)}\n")


def get_ab_test_manager(store: str | Path | None = None) -> ABTestManager:
    """Return the experiments of a store, or of a server; of ``PALIO_STORE`` when not given."""
    return ABTestManager(opened(store).verbs, configured(NightscanSettings))
