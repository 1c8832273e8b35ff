"""Experiments that run: which they are, whether they may together, and what they give a unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from palio.bucketing import Split
from palio.errors import Conflict, InvalidInput, NotFound, TooLarge
from palio.experiments.designs.assignment import Assigner, Assignment
from palio.experiments.designs.audience import Attributes, check_attributes
from palio.experiments.domain import Experiment, State
from palio.experiments.events import Exposure, check_id
from palio.experiments.ports import ExperimentUnit
from palio.experiments.privacy.pseudonyms import AS_SENT, Pseudonyms
from palio.experiments.weights.sticky import Drawn, StickyAssignment, StickyUnit, keep, look_up
from palio.registry import aliases
from palio.registry.domain import CHAMPION, parted

__all__ = ["Giving", "check_together", "checked_units", "giving", "running_on"]

_MOST = 10_000  # units in one call


def running_on(unit: ExperimentUnit, endpoint: str) -> Sequence[Experiment]:
    """Return the experiments that route an endpoint's traffic, oldest first."""
    running = unit.experiments.find(state=State.RUNNING)
    return [experiment for experiment in running if experiment.endpoint == endpoint]


def check_together(unit: ExperimentUnit, experiment: Experiment) -> None:
    """Raise ``Conflict`` unless an experiment may run beside those that run on its endpoint.

    They need slots of one namespace that do not overlap, so that no unit is in two of them, and
    the same holdout, so that neither changes who is in the other. For both, what is randomised
    must be the same: a request's id says nothing about the slot of its user.
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
    if one.design.by_request != running.design.by_request:
        return (
            f" by {running.design.unit}, {one.key} asks for {one.design.unit}; run one after the "
            "other, or randomise the same in both"
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
    traffic: Split | None = None
    pseudonyms: Pseudonyms = AS_SENT

    def assign(
        self,
        unit: StickyUnit,
        units: Sequence[tuple[str, Attributes]],
        at: datetime,
        *,
        record: bool,
    ) -> Sequence[Assignment]:
        """Give units their variants, or what everybody else gets.

        Parameters
        ----------
        unit
            An open unit of work.
        units
            Ids with what is known of them. Where requests are randomised these are ids of
            requests.
        at
            Now.
        record
            Whether units of sticky experiments keep from now on what they are given; what they
            keep already they are given in any case.
        """
        assignments = [self._by_split(one, attributes) for one, attributes in units]
        drawn = [self._drawn(one, at) for one in assignments]
        asked = {one.key: one for one in drawn if one is not None}
        if not asked:
            return assignments
        kept = look_up(unit, list(asked.values()))
        if record:
            kept |= keep(unit, [one for key, one in asked.items() if key not in kept])
        return [
            _keeping(one, its, kept[its.key]) if its and its.key in kept else one
            for one, its in zip(assignments, drawn, strict=True)
        ]

    def _drawn(self, one: Assignment, at: datetime) -> Drawn | None:
        """Return what the split gives a unit that may keep another variant."""
        for assigner in self.experiments:
            if assigner.sticky and assigner.experiment == one.experiment and one.variant:
                return Drawn.by(assigner, self.pseudonyms.of(one.unit), one.variant, at)
        return None

    def _by_split(self, unit: str, attributes: Attributes) -> Assignment:
        """Return what the split gives a unit."""
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
                    policy_version=one.policy_version,
                    segments=one.segments_of(attributes),
                )
        if self.traffic is not None:
            version = self.traffic.assign(unit)
            share = self.traffic.propensity(version)
            return Assignment(unit=unit, version=version, propensity=share)
        return Assignment(unit=unit, version=self.otherwise)

    def exposures(self, assignments: Sequence[Assignment], at: datetime) -> list[Exposure]:
        """Return what is logged: the units that take part."""
        return [
            Exposure(
                unit=self.pseudonyms.of(one.unit),
                at=at,
                endpoint=self.endpoint,
                model=parted(one.version or "", self.model)[0],
                version=parted(one.version or "", self.model)[1],
                experiment=one.experiment,
                variant=one.variant or "",
                epoch=one.epoch,
                propensity=one.propensity,
                policy_version=one.policy_version,
                segments=one.segments,
            )
            for one in assignments
            if one.experiment is not None
        ]


def _keeping(one: Assignment, drawn: Drawn, kept: StickyAssignment) -> Assignment:
    """Return the variant that a unit keeps, with the chance it had when it was given it."""
    return replace(
        one,
        version=drawn.assigner.versions[kept.variant],
        variant=kept.variant,
        epoch=kept.epoch,
        propensity=kept.propensity,
        policy_version=kept.policy_version,
    )


def giving(unit: ExperimentUnit, name: str, pseudonyms: Pseudonyms = AS_SENT) -> Giving:
    """Return what an endpoint gives units or, where none has that name, an experiment.

    An operator's override comes first, and who is in no experiment gets what the traffic weights
    say, as it is for predictions.
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
        traffic=None if override else unit.traffic_of(endpoint),
        experiments=[one.assigner() for one in running if wanted in (None, one.key)],
        pseudonyms=pseudonyms,
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
