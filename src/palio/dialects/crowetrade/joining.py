"""Which request a result is of."""

from __future__ import annotations

from collections.abc import Callable

from palio.dialects.crowetrade.allocations import Awaited
from palio.errors import InvalidInput
from palio.experiments.domain import Experiment, State
from palio.experiments.service import Experiments

__all__ = ["Joining"]

_TRIES = 10_000  # ids that are drawn for a unit of an arm


class Joining:
    """Finds the request of a result, or makes one of its arm.

    Parameters
    ----------
    experiments
        The tests.
    ids
        Where ids of requests come from.
    """

    def __init__(self, experiments: Experiments, ids: Callable[[], str]) -> None:
        self._experiments, self._ids = experiments, ids
        self.awaited = Awaited()

    def joined(
        self, experiment: Experiment, model: str, request_id: str | None
    ) -> tuple[str | None, str]:
        """Return the request that a result is of, if there is one, and the arm."""
        variants = experiment.design.variants
        arms = {one.reference(experiment.model): one.key for one in reversed(variants)}
        arm = arms.get(str(model))
        if arm is None:
            known = ", ".join(reversed(arms))
            raise InvalidInput(
                f"{experiment.key} does not compare {model}; it compares {known}",
                field="model_registry_id",
                value=str(model),
            )
        if request_id is not None:
            return request_id, arm
        allocation = self.awaited.take(experiment.key, model)
        if allocation is not None:
            return allocation.request_id, allocation.arm_id
        return self._new_unit(experiment, arm), arm

    def _new_unit(self, experiment: Experiment, arm: str) -> str | None:
        """Give a request that nobody knows of to the arm that has answered it."""
        if experiment.state is not State.RUNNING or not experiment.weights[arm]:
            return None
        assigner = experiment.assigner()
        drawn = (self._ids() for _ in range(_TRIES))
        unit = next((one for one in drawn if assigner.assign(one, {}) == arm), None)
        if unit is None:
            return None
        given = self._experiments.assign(experiment.key, unit)
        return unit if given.variant == arm else None  # weights have moved meanwhile
