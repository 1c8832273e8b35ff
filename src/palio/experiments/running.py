"""Experiments that run: which they are, whether they may together, and what they give a unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from palio.errors import Conflict, InvalidInput, NotFound, TooLarge
from palio.experiments.assignment import Assigner, Assignment
from palio.experiments.audience import Attributes, check_attributes
from palio.experiments.domain import Experiment, State
from palio.experiments.events import Exposure, check_id
from palio.experiments.ports import ExperimentUnit
from palio.experiments.pseudonyms import AS_SENT, Pseudonyms
from palio.registry import aliases
from palio.registry.domain import CHAMPION

__all__ = ["Giving", "check_together", "checked_units", "giving", "running_on"]

_MOST = 10_000  # units in one call


def running_on(unit: ExperimentUnit, endpoint: str) -> Sequence[Experiment]:
    """Return the experiments that route an endpoint's traffic, oldest first."""
    running = unit.experiments.find(state=State.RUNNING)
    return [experiment for experiment in running if experiment.endpoint == endpoint]


def check_together(unit: ExperimentUnit, experiment: Experiment) -> None:
    """Raise ``Conflict`` unless an experiment may run beside those that run on its endpoint.

    They need slots of one namespace that do not overlap, so that no unit is in two of them, and
    the same holdout, so that neither changes who is in the other.
    """
    for running in running_on(unit, experiment.endpoint):
        if (why := _obstacle(experiment, running)) is not None:
            raise Conflict(
                f"{running.key} is running on {experiment.endpoint}{why}",
                experiment=experiment.key,
                running=running.key,
            )


def _obstacle(one: Experiment, running: Experiment) -> str | None:
    mine, its = one.design.namespace, running.design.namespace
    if mine is None or its is None:
        return "; stop, complete or pause it first, or give both slots of one namespace"
    if mine.overlaps(its):
        return (
            f" with the slots {its.start} to {its.stop} of {its.name}, {one.key} asks for "
            f"{mine.start} to {mine.stop} of {mine.name}; take slots of {its.name} that are free"
        )
    if one.design.holdout != running.design.holdout:
        return (
            f" with a holdout of {running.design.holdout:g}, {one.key} asks for "
            f"{one.design.holdout:g}; take the same"
        )
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Giving:
    """What an endpoint, or one experiment, gives units at a moment."""

    endpoint: str
    model: str
    otherwise: str | None
    experiments: Sequence[Assigner]

    def assign(self, unit: str, attributes: Attributes) -> Assignment:
        """Give one unit its variant, or what everybody else gets."""
        for one in self.experiments:
            variant = one.assign(unit, attributes)
            if variant is not None:
                return Assignment(
                    unit=unit,
                    version=one.versions[variant],
                    variant=variant,
                    experiment=one.experiment,
                    epoch=one.epoch,
                    propensity=one.split.propensity(variant),
                )
        return Assignment(unit=unit, version=self.otherwise)

    def exposures(
        self, assignments: Sequence[Assignment], at: datetime, pseudonyms: Pseudonyms = AS_SENT
    ) -> list[Exposure]:
        """Return what is logged: the units that take part."""
        return [
            Exposure(
                unit=pseudonyms.of(one.unit),
                at=at,
                endpoint=self.endpoint,
                model=self.model,
                version=one.version or "",
                experiment=one.experiment,
                variant=one.variant or "",
                epoch=one.epoch,
                propensity=one.propensity,
            )
            for one in assignments
            if one.experiment is not None
        ]


def giving(unit: ExperimentUnit, name: str) -> Giving:
    """Return what an endpoint gives units or, where none has that name, an experiment.

    An operator's override comes first, as it does for predictions.
    """
    model, wanted = unit.model_of(name), None
    endpoint = name
    if model is None:
        experiment = unit.experiments.get(name)
        if experiment is None:
            raise NotFound(
                f"no endpoint and no experiment is named {name!r}; `palio experiments list` "
                "shows them",
                kind="experiment",
                name=name,
            )
        model, wanted, endpoint = experiment.model, name, experiment.endpoint
    override = unit.override_of(endpoint)
    running = [] if override is not None else running_on(unit, endpoint)
    return Giving(
        endpoint=endpoint,
        model=model,
        otherwise=override or aliases.target(unit, model, CHAMPION),
        experiments=[one.assigner() for one in running if wanted in (None, one.key)],
    )


def checked_units(
    units: Sequence[str], attributes: Sequence[Attributes] | None
) -> Sequence[tuple[str, Attributes]]:
    """Return units with their attributes, or raise when they cannot be taken."""
    if len(units) > _MOST:
        raise TooLarge(
            f"{len(units)} units were sent at once; send at most {_MOST}, or ask the "
            "experiment's `assigner()`, which takes any number",
            field="units",
            value=len(units),
        )
    none: Mapping[str, str] = {}
    said = [none] * len(units) if attributes is None else attributes
    if len(said) != len(units):
        raise InvalidInput(
            f"attributes: {len(units)} units were sent with {len(said)} attributes; send one "
            "for each unit",
            field="attributes",
            value=len(said),
        )
    for unit, one in zip(units, said, strict=True):
        check_id("unit", unit)
        check_attributes(one)
    return list(zip(units, said, strict=True))
