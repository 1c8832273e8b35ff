"""Challengers against the control while a policy moves the weights: what the estimator adds up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass

from palio.experiments.domain import Experiment
from palio.experiments.folding.statistics import ContrastSums
from palio.experiments.ports import ExperimentUnit
from palio.experiments.weights.published import Published
from palio.stats import AdaptiveSums

__all__ = ["Scored", "adaptive_sums", "moved_contrasts"]

_LEAST_FLOOR = 1e-6  # what a floor of 0 is taken for: propensities that low never were drawn


@dataclass(frozen=True, slots=True)
class Scored:
    """A unit's number for a metric, and by which weights the unit was given its variant.

    ``sign`` is +1 where it is added, -1 where it is taken off.
    """

    epoch: int
    policy_version: int
    variant: str
    metric: str
    value: float
    sign: int = 1


_Place = tuple[int, str, str]  # epoch, challenger, metric


def moved_contrasts(
    unit: ExperimentUnit,
    experiment: Experiment,
    scored: Sequence[Scored],
    published: Mapping[int, Published],
) -> Iterator[ContrastSums]:
    """Yield the contrasts as they are after units were added and taken off."""
    added = adaptive_sums(experiment, [one for one in scored if one.sign > 0], published)
    taken = adaptive_sums(experiment, [one for one in scored if one.sign < 0], published)
    for place in added.keys() | taken.keys():
        row = unit.contrast_sums.get(experiment.key, *place)
        now = row.adaptive() if row is not None else AdaptiveSums()
        now = now.merge(added.get(place, AdaptiveSums()))
        now = now.subtract(taken.get(place, AdaptiveSums()))
        epoch, variant, metric = place
        yield ContrastSums(
            experiment=experiment.key,
            epoch=epoch,
            variant=variant,
            metric=metric,
            sums=tuple(map(float, astuple(now))),
        )


def adaptive_sums(
    experiment: Experiment, scored: Iterable[Scored], published: Mapping[int, Published]
) -> dict[_Place, AdaptiveSums]:
    """Add up units by epoch, challenger and metric.

    Parameters
    ----------
    experiment
        Whose they are.
    scored
        A number of each unit; signs do not count here.
    published
        The weights that they name.
    """
    keys = [variant.key for variant in experiment.design.variants]
    groups: defaultdict[tuple[int, int, str], list[Scored]] = defaultdict(list)
    for one in scored:
        groups[one.epoch, one.policy_version, one.metric].append(one)
    found: dict[_Place, AdaptiveSums] = {}
    for (epoch, version, metric), units in groups.items():
        weights = published[version]
        for treatment, key in enumerate(keys[1:], start=1):
            sums = AdaptiveSums.of(
                [one.value for one in units],
                [keys.index(one.variant) for one in units],
                [weights.weights.get(each, 0.0) for each in keys],
                means=[weights.guess(metric, each) for each in keys],
                treatment=treatment,
                floor=max(_LEAST_FLOOR, min(experiment.design.policy.min_weight, 0.5)),
            )
            place = (epoch, key, metric)
            found[place] = found[place].merge(sums) if place in found else sums
    return found
