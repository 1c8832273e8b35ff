"""How many results find an effect, by the returns that a test has seen."""

from __future__ import annotations

from palio.dialects.crowetrade.designs import RETURN
from palio.errors import InvalidInput
from palio.experiments.domain import Experiment
from palio.experiments.judging.analysis import Report
from palio.stats import Baseline, Design, sample_size

__all__ = ["power_of"]


def power_of(
    experiment: Experiment, report: Report, *, effect: float, power: float
) -> dict[str, float]:
    """Return how many results find a difference of the mean return, looked at constantly.

    Raises
    ------
    InvalidInput
        If the first arm has no returns that differ, or effect or power is out of range.
    """
    arm = report.arms[0]
    known = arm.metrics.get(RETURN)
    if known is None or not known.sd:
        raise InvalidInput(
            f"{experiment.key} has no two returns of {arm.variant} that differ; wait for them",
            field="test_id",
            value=experiment.key,
        )
    seen = Baseline(known.mean, known.sd**2)
    design = Design(alpha=experiment.design.stopping.alpha)
    try:
        plan = sample_size(seen, effect, power=power, design=design)
    except ValueError as unfit:
        raise InvalidInput(str(unfit), field=str(unfit).partition(" ")[0]) from unfit
    return {
        "effect": plan.effect,
        "power": plan.power,
        "required_sample_size": plan.units,
        "expected_sample_size": plan.expected_units,
    }
