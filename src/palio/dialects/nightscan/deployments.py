"""Deployments in Python: ``get_deployment_manager``, inference, and what is measured of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from palio.delivery.deployments.domain import OPEN, Deployment, Health
from palio.delivery.deployments.wanted import PRODUCTION
from palio.delivery.domain import Answer, PredictRequest
from palio.dialects.nightscan.audio import flat, row_of
from palio.dialects.nightscan.experiments import log_route
from palio.dialects.nightscan.opening import opened
from palio.dialects.nightscan.performance import PerformanceTracker
from palio.dialects.nightscan.placing import DeploymentConfig, asked_for
from palio.dialects.nightscan.tree import tree_of
from palio.dialects.nightscan.words import NightscanSettings
from palio.edge.configuring import configured
from palio.edge.session import Session
from palio.edge.verbs import Verbs
from palio.errors import IllegalTransition, NotFound, PalioError
from palio.experiments.domain import Experiment, State
from palio.experiments.events import OutcomeDraft

__all__ = [
    "DeploymentManager",
    "get_deployment_manager",
    "manager_of",
]

_LOG = logging.getLogger("palio.nightscan")
Predict = Callable[[PredictRequest], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class DeploymentManager:
    """The documented calls on deployments, on the verbs and a way to predict."""

    verbs: Verbs
    predict: Predict
    settings: NightscanSettings

    @property
    def performance_tracker(self) -> PerformanceTracker:
        """What is measured of deployments."""
        return PerformanceTracker(self.verbs)

    def deploy_model(self, config: DeploymentConfig) -> bool:
        """Deploy a model version; return whether it was, and log why if not."""
        try:
            made = self.verbs.deployments.deploy(asked_for(config))
        except PalioError as refused:
            _LOG.error("%s is not deployed: %s", config.deployment_id, refused)
            return False
        for one in made.not_honoured:
            _LOG.warning("%s: not honoured: %s", made.name, one)
        self.follow()
        return made.state in OPEN

    def undeploy_model(self, deployment_id: str, reason: str = "") -> bool:
        """Take a deployment back that is not wanted any more; false where it has ended."""
        return self._ended(self.verbs.deployments.undeploy, deployment_id, reason)

    def rollback_deployment(self, deployment_id: str, reason: str = "") -> bool:
        """Take a deployment back that fails: its traffic goes where it was.

        False, and logged, where it has ended already, perhaps by itself.
        """
        return self._ended(self.verbs.deployments.rollback, deployment_id, reason)

    def list_deployments(self) -> list[dict[str, Any]]:
        """Return how all deployments stand that have not ended."""
        return [_told(one) for one in self.verbs.deployments.list()]

    def get_deployment_status(self, deployment_id: str) -> dict[str, Any]:
        """Return how a deployment stands, and what keeps traffic from it."""
        found = self.verbs.deployments.status(deployment_id)
        told = _told(found.deployment)
        return told | {"current_traffic_percentage": 100 * found.share, "notes": [*found.notes]}

    def health_check(self, deployment_id: str) -> Health:
        """Ask a deployment's model now whether it answers."""
        return self.verbs.deployments.health(deployment_id)

    async def run_inference(
        self,
        audio_data: Any,
        request_id: str | None = None,
        experiment_id: str | None = None,
        deployment_id: str | None = None,
    ) -> dict[str, Any]:
        """Answer a piece of sound, and record all that is known of the answer.

        Parameters
        ----------
        audio_data
            Samples, as many as the model takes; see `palio.dialects.nightscan.audio`.
        request_id
            To name the request later; made when not given.
        experiment_id
            The experiment that chooses the version, while it runs.
        deployment_id
            Who answers otherwise; the deployment in production when not given, the newest one
            where there are several.
        """
        samples = flat(audio_data)
        experiment, endpoint, reference = await asyncio.to_thread(
            self._route, experiment_id, deployment_id
        )
        version = await asyncio.to_thread(self.verbs.versions.get, reference)
        asked = PredictRequest(
            endpoint=endpoint, rows=[row_of(version.signature, samples)], request_id=request_id
        )
        began = perf_counter()
        answer = await self.predict(asked)
        result = _answered(answer, perf_counter() - began) | {"experiment_id": experiment_id}
        await asyncio.to_thread(self._record, experiment, experiment_id, answer, result)
        return result

    def follow(self) -> None:
        """Bring the tree of files up to what is deployed."""
        tree_of(self.verbs, self.settings).step()

    def _ended(self, end: Callable[[str, str], Deployment], name: str, reason: str) -> bool:
        try:
            end(name, reason)
        except IllegalTransition as ended:
            _LOG.warning("%s is not taken back: %s", name, ended)
            return False
        self.follow()
        return True

    def _route(
        self, experiment_id: str | None, deployment_id: str | None
    ) -> tuple[Experiment | None, str, str]:
        """Return the experiment that runs, where requests go, and a version that takes them."""
        if experiment_id is not None:
            experiment = self.verbs.experiments.get(experiment_id)
            if experiment.state is State.RUNNING:
                reference = experiment.control.reference(experiment.model)
                return experiment, experiment.endpoint, reference
        if deployment_id is not None:
            found = self.verbs.deployments.get(deployment_id)
        else:
            found = self._in_production()
        return None, found.endpoint, found.reference

    def _in_production(self) -> Deployment:
        placed = self.verbs.deployments.list(environment=PRODUCTION)
        if not placed:
            raise NotFound(
                "nothing is deployed in production; deploy a model, or name a deployment",
                kind="deployment",
                name="production",
            )
        return placed[-1]

    def _record(
        self,
        experiment: Experiment | None,
        experiment_id: str | None,
        answer: Answer,
        result: dict[str, Any],
    ) -> None:
        """Record what an experiment measures of an answer, and where the request went."""
        log_route(
            self.settings.log,
            answer.request_id,
            experiment_id,
            variant=answer.variant,
            model=result["model_version"],
        )
        if experiment is None or answer.experiment != experiment.key:
            return
        known = {
            "confidence": result["predictions"].get("confidence"),
            "inference_time": result["inference_time"],
        }
        measured = {metric.name for metric in experiment.design.metrics.all}
        drafts = [
            OutcomeDraft(name=name, value=value, request_id=answer.request_id)
            for name, value in known.items()
            if name in measured and value is not None
        ]
        if drafts:
            self.verbs.outcomes.record(drafts)


def _answered(answer: Answer, took_s: float) -> dict[str, Any]:
    [value] = answer.predictions
    predictions: dict[str, Any] = (
        {"predicted_class": value} if answer.classes else {"value": value}
    )
    if answer.probabilities is not None:
        shares = dict(zip(map(str, answer.classes), answer.probabilities[0], strict=True))
        predictions |= {"confidence": shares[str(value)], "class_probabilities": shares}
    return {
        "request_id": answer.request_id,
        "model_version": f"{answer.model}:{answer.version}",
        "variant": answer.variant,
        "predictions": predictions,
        "inference_time": took_s,
    }


def _told(one: Deployment) -> dict[str, Any]:
    return {
        "deployment_id": one.name,
        "model_version": one.reference,
        "environment": one.environment,
        "status": str(one.state),
        "verdict": str(one.verdict),
        "reason": one.reason,
        "traffic_percentage": 100 * one.traffic_share,
        "current_traffic_percentage": 100 * one.share,
        "canary_deployment": one.canary is not None,
        "rollback_on_error": one.rollback_on_error,
        "not_honoured": list(one.not_honoured),
        "created_at": one.created_at.isoformat(),
        "since": one.since.isoformat(),
    }


def get_deployment_manager(store: str | Path | None = None) -> DeploymentManager:
    """Return the deployments of a store, or of a server; of ``PALIO_STORE`` when not given."""
    return manager_of(opened(store))


def manager_of(session: Session) -> DeploymentManager:
    """Return the deployments of an open Palio."""

    async def predict(asked: PredictRequest) -> Answer:
        return await asyncio.to_thread(
            session.predict, asked.endpoint, asked.rows, request_id=asked.request_id
        )

    return DeploymentManager(session.verbs, predict, configured(NightscanSettings))
