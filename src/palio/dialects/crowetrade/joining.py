"""Which request a result is of, and results as Palio's outcomes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping

from palio.dialects.crowetrade.allocations import Awaited
from palio.errors import InvalidInput
from palio.experiments.designs.design import REQUEST
from palio.experiments.designs.metrics import Source
from palio.experiments.domain import Experiment, State
from palio.experiments.events import OutcomeDraft
from palio.experiments.service import Experiments

__all__ = ["Joining", "outcomes_of"]

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


def outcomes_of(
    experiment: Experiment, values: Mapping[str, float], *, unit: str | None, arm: str
) -> list[OutcomeDraft]:
    """Return values as outcomes of a request, as far as the test measures them, or of the arm.

    A request has one of a name, so that recording it again, after a connection was lost, say,
    counts nothing twice. A unit that is no request may have several.
    """
    measured = _measured(experiment) if unit is not None else ()
    once = experiment.design.unit == REQUEST
    return [
        OutcomeDraft(
            name=name,
            value=value,
            unit=unit,
            outcome_id=_id(experiment.key, str(unit), name) if once else None,
        )
        if name in measured
        else OutcomeDraft(name=name, value=value, experiment=experiment.key, variant=arm)
        for name, value in values.items()
    ]


def _id(*parts: str) -> str:
    # a digest: ids stay short, and what is kept of a unit may be no more than a pseudonym
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _measured(experiment: Experiment) -> Collection[str]:
    """Return the outcomes that a test measures of each request."""
    bases = [base for metric in experiment.design.metrics.all for base in metric.bases]
    return {base.name for base in bases if base.source is Source.OUTCOME}
