"""``ABTestEngine``: tests of models on their returns, each an experiment of Palio."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from palio.dialects.crowetrade.allocations import Allocation
from palio.dialects.crowetrade.attending import Pace, attend
from palio.dialects.crowetrade.designs import RETURN, ABTestConfig, draft_of
from palio.dialects.crowetrade.joining import Joining, outcomes_of
from palio.dialects.crowetrade.looks import drift_of, history_of
from palio.dialects.crowetrade.planning import power_of
from palio.dialects.crowetrade.registry import ModelRegistry
from palio.dialects.crowetrade.results import results_of, winner_of
from palio.dialects.crowetrade.trees import trees_of
from palio.edge.verbs import Verbs
from palio.errors import AlreadyExists, Conflict, InvalidInput, PalioError
from palio.experiments.designs.audience import Attributes
from palio.experiments.domain import Experiment, State
from palio.experiments.events import OutcomeDraft, check_draft
from palio.registry.domain import Reference, parted

__all__ = ["ABTestEngine"]


class ABTestEngine:
    """The documented calls on the experiments of a registry's store.

    Parameters
    ----------
    model_registry
        Whose models are compared.
    test_storage_path
        Folder of the tests' files; none are written when not given.
    ids, clock
        Where ids of requests come from, and the seconds between looks.
    """

    def __init__(
        self,
        model_registry: ModelRegistry,
        test_storage_path: str | Path | None = None,
        *,
        ids: Callable[[], str] = lambda: f"req_{secrets.token_hex(12)}",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._opened = model_registry.opened
        folder = test_storage_path or self._opened.settings.ab_tests_path
        self._trees = trees_of(self._verbs, tests=None if folder is None else Path(folder))
        self._ids = ids
        self._pace = Pace(clock)
        self._results = Joining(self._verbs.experiments, ids)
        self._trees.step()

    def create_test(self, test_config: ABTestConfig) -> str:
        """Make a test and start it, in the name of who has created it; return its id.

        Raises
        ------
        AlreadyExists
            If the id is taken.
        NotFound
            If a model or version is not registered.
        """
        verbs = self._opened.acting(test_config.created_by).verbs
        found = [verbs.versions.get(one).signature for one in test_config.model_registry_ids]
        shapes = [None if one is None else one.shape for one in found]
        design = draft_of(test_config, serves=all(one == shapes[0] for one in shapes))
        _ensure_endpoint(verbs, design.endpoint, test_config)
        verbs.experiments.launch(design)
        self._trees.step()
        return design.key

    def get_model_allocation(
        self,
        test_id: str,
        context: Mapping[str, Any] | None = None,
        *,
        request_id: str | None = None,
    ) -> str:
        """Give a request its model, and log that it was given.

        Parameters
        ----------
        test_id
            The test.
        context
            What is known of the request, for the audience of tests made elsewhere.
        request_id
            To name the request when its result is recorded elsewhere; made when not given.

        Returns
        -------
        str
            ``model_id:version``, an `Allocation`. A test that is not running gives its winner,
            or the first arm where nobody has won; that is a plain text, and nothing is logged.
        """
        self._look(test_id)
        attributes: Attributes = {name: str(value) for name, value in (context or {}).items()}
        unit = request_id or self._ids()
        given = self._verbs.experiments.assign(test_id, unit, attributes)
        experiment = self._verbs.experiments.get(test_id)
        if given.experiment is None or given.variant is None:
            return self._settled(experiment, given.version)
        model = experiment.variant(given.variant).reference(experiment.model)
        allocation = Allocation(model, test_id=test_id, arm_id=given.variant, request_id=unit)
        return self._results.awaited.add(allocation)

    def record_result(
        self,
        test_id: str,
        model_registry_id: str,
        return_value: float,
        additional_metrics: Mapping[str, float] | None = None,
        *,
        request_id: str | None = None,
    ) -> None:
        """Record what a request has brought.

        It joins the request that is named, or that ``model_registry_id`` was allocated to; for a
        plain text the oldest one of this process that waits for a result of that arm, and
        otherwise a new one. None is lost: where an arm gets no requests any more, and of metrics
        that the test does not measure, it is told of the arm as a whole. Recorded again for a
        ``request_id``, it replaces what was recorded before.
        """
        experiment = self._verbs.experiments.get(test_id)
        values = _values(return_value, additional_metrics or {})
        for number, (name, value) in enumerate(values.items()):
            check_draft(number, OutcomeDraft(name=name, value=value, unit=test_id))
        unit, arm = self._results.joined(experiment, model_registry_id, request_id)
        try:
            self._verbs.outcomes.record(outcomes_of(experiment, values, unit=unit, arm=arm))
        except PalioError:  # nobody knows whether it is kept: asked again, it is the same one
            self._results.awaited.reopen(unit)
            raise
        self._pace.count(test_id)
        self._look(test_id)

    def get_test_results(self, test_id: str) -> dict[str, Any]:
        """Look at a test, act where it is time, and return what it has shown."""
        self._look(test_id, now=True)
        experiments = self._verbs.experiments
        report = experiments.analyze(test_id)
        found = results_of(experiments.get(test_id), report)
        return {**found, "drift": drift_of(experiments.looks(test_id))}

    def get_test_history(self, test_id: str) -> list[dict[str, Any]]:
        """Return what every look has shown, oldest first."""
        return history_of(self._verbs.experiments.looks(test_id))

    def get_power_analysis(
        self, test_id: str, effect: float, *, power: float = 0.8
    ) -> dict[str, float]:
        """Return how many results find a difference of the mean return, looked at constantly.

        The returns of the first arm so far say how much they vary.
        """
        experiments = self._verbs.experiments
        report = experiments.analyze(test_id)
        return power_of(experiments.get(test_id), report, effect=effect, power=power)

    def get_model_performance(self, model_id: str) -> dict[str, Any]:
        """Return the live figures of a model's versions in all tests, beside the backtests."""
        own = self._verbs.versions.list(model_id)
        started = [one for one in self._verbs.experiments.list() if one.started_at is not None]
        return {
            "model_id": model_id,
            "backtest": {one.reference: dict(one.backtest) for one in own},
            "live": [
                {"test_id": one.key, **arm}
                for one in started
                if any(
                    parted(variant.version, one.model)[0] == model_id
                    for variant in one.design.variants
                )
                for arm in results_of(one, self._verbs.experiments.analyze(one.key))["arms"]
                if Reference.parse(arm["model_registry_id"]).model == model_id
            ],
        }

    def stop_test(self, test_id: str, reason: str = "Manual stop") -> bool:
        """End a test without a winner."""
        self._verbs.experiments.stop(test_id, reason)
        self._trees.step()
        return True

    @property
    def _verbs(self) -> Verbs:
        return self._opened.verbs

    def _look(self, test_id: str, *, now: bool = False) -> None:
        """Move weights and act, where enough has come since, or now."""
        if now or self._pace.is_due(test_id):
            attend(self._verbs.experiments, test_id)
            self._pace.done(test_id)
            self._trees.step()

    def _settled(self, experiment: Experiment, otherwise: str | None) -> str:
        if experiment.state is State.RUNNING and otherwise is not None:  # it takes no part
            return f"{experiment.model}:{otherwise}"
        winner = None
        if experiment.ended_at is not None and experiment.started_at is not None:
            report = self._verbs.experiments.analyze(experiment.key)
            winner = winner_of(experiment, report)
        arm = experiment.variant(winner or experiment.control.key)
        return arm.reference(experiment.model)


def _values(returned: float, more: Mapping[str, float]) -> Mapping[str, float]:
    if RETURN in more:
        raise InvalidInput(
            f"additional_metrics: {RETURN} is what return_value says; give one of them",
            field="additional_metrics",
            value=more[RETURN],
        )
    return {RETURN: returned, **more}


def _ensure_endpoint(verbs: Verbs, name: str, config: ABTestConfig) -> None:
    model = Reference.parse(config.model_registry_ids[0]).model
    made_for = f"the test {config.test_id}"
    with suppress(AlreadyExists):
        verbs.endpoints.create(name, model, made_for)
        return
    found = verbs.endpoints.get(name)
    if (found.model, found.description) != (model, made_for):
        raise Conflict(
            f"the endpoint {name!r} is not of this test; take another test_id", endpoint=name
        )
