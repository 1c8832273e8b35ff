"""Whether some variant has more of the units whose outcome is known than its due."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from palio.experiments.designs.design import Type
from palio.experiments.designs.metrics import Source
from palio.experiments.domain import Experiment
from palio.experiments.judging.analysis import LabelShare, Statistics
from palio.stats import sample_ratio

__all__ = ["label_share_of"]

_ALPHA = 0.001  # a budget of its own, as the sample ratio has


def label_share_of(experiment: Experiment, statistics: Statistics) -> LabelShare | None:
    """Ask whether units with a value of the goal are split as designed.

    Whoever has a value is one more draw of the split, whatever the share of those who have one,
    unless that share depends on the variant. The test is the one of the sample ratio, and has an
    error budget of its own. It needs a goal that waits for outcomes, and variants that have units
    of their own, in a paired experiment a label is one of all variants; and weights that no policy
    moves, for of whoever has a value nobody has summed up the chances.
    """
    design = experiment.design
    goal = design.metrics.goal_metric
    if goal.source is Source.PREDICTION or design.type in {Type.PAIRED, Type.BANDIT}:
        return None
    epochs: defaultdict[int, dict[str, int]] = defaultdict(
        lambda: dict.fromkeys(experiment.weights, 0)
    )
    for row in statistics.sums:
        if (row.metric, row.segment) == (goal.name, ""):
            epochs[row.epoch][row.variant] = row.n
    if not epochs:
        return None
    found = sample_ratio(
        (counts, statistics.weights.get(epoch, experiment.weights))
        for epoch, counts in epochs.items()
    )
    units = {
        key: sum(r.units for r in statistics.counts if r.variant == key)
        for key in experiment.weights
    }
    shares = {
        key: sum(counts[key] for counts in epochs.values()) / n for key, n in units.items() if n
    }
    differs = found.p_value <= _ALPHA
    reason = _missing_in_words(goal.name, shares, found.p_value) if differs else ""
    return LabelShare(found.p_value, differs, shares, reason)


def _missing_in_words(goal: str, shares: Mapping[str, float], p_value: float) -> str:
    told = ", ".join(f"{share:.1%} of {variant}" for variant, share in shares.items())
    return (
        f"units with {goal} are not split as designed (p = {p_value:.2g}): {told} have a value; "
        "those without one may be others in each variant"
    )
