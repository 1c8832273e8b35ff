"""Verbs on experiments; each is one unit of work, after the log has been folded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from palio.access.alerts import raise_alert
from palio.access.audit import Change
from palio.access.domain import Role, requires
from palio.errors import AlreadyExists, Conflict, InvalidInput
from palio.experiments.alerting import alert_of_change
from palio.experiments.designs.assignment import Assignment
from palio.experiments.designs.audience import Attributes
from palio.experiments.designs.design import ExperimentDraft
from palio.experiments.domain import Experiment, State
from palio.experiments.finding import find_experiment as _find
from palio.experiments.finding import model_of as _model_of
from palio.experiments.folding.statistics import Cursor
from palio.experiments.ports import ExperimentUnit
from palio.experiments.privacy.retaining import forgotten_up_to
from palio.experiments.reports import Reports
from palio.experiments.rolling_back import give_up, take_back
from palio.experiments.running import check_together, checked_units, giving
from palio.experiments.shipping import check_own, check_unmoved, chosen_variant, has_won, shipment
from palio.experiments.starting import check_shippable, check_versions
from palio.experiments.weights.published import Published
from palio.experiments.weights.publishing import (
    first_weights,
    latest_weights,
    reweight_within,
)
from palio.experiments.weights.refreshing import check_refreshable, is_due, refresh_within
from palio.experiments.weights.sticky import StickyAssignment
from palio.registry import aliases
from palio.registry.domain import CHAMPION
from palio.registry.finding import find_version
from palio.registry.promotion import promote_within

__all__ = ["Experiments", "pause_within"]


class Experiments(Reports):
    """Experiments, from the draft to the decision."""

    __slots__ = ()

    @requires(Role.OPERATOR)
    def draft(self, design: ExperimentDraft) -> Experiment:
        """Keep a design; nothing is routed until it is started."""
        with self.store.write() as unit:
            return self._drafted(unit, design)

    @requires(Role.OPERATOR)
    def launch(self, design: ExperimentDraft) -> Experiment:
        """Keep a design and start it: where it cannot start, nothing of it is kept."""
        self._fold_before(design)
        with self.store.write() as unit:
            _model_of(unit, design.endpoint, lock=True)
            self._drafted(unit, design)
            return self._started(unit, _find(unit, design.key))  # as kept: its digest stays

    @requires(Role.VIEWER)
    def list(self, endpoint: str | None = None) -> Sequence[Experiment]:
        """Return experiments, oldest first; of one endpoint, if asked."""
        with self.store.read() as unit:
            found = unit.experiments.find()
        return [one for one in found if endpoint in (None, one.endpoint)]

    @requires(Role.VIEWER)
    def get(self, key: str) -> Experiment:
        """Return one experiment."""
        with self.store.read() as unit:
            return _find(unit, key)

    @requires(Role.OPERATOR)
    def start(self, key: str) -> Experiment:
        """Freeze the design and let its split route the endpoint's traffic."""
        self._fold_before(self.get(key).design)
        with self.store.write() as unit:
            _model_of(unit, _find(unit, key).endpoint, lock=True)
            experiment = _find(unit, key, lock=True)
            if experiment.state is not State.DRAFT:
                raise Conflict(
                    f"{key} is {experiment.state}; only a draft can be started"
                    + (", resume it" if experiment.state is State.PAUSED else ""),
                    experiment=key,
                    state=experiment.state,
                )
            return self._started(unit, experiment)

    @requires(Role.OPERATOR)
    def assign(self, name: str, unit: str, attributes: Attributes | None = None) -> Assignment:
        """Give a unit its variant, for those who serve elsewhere, and log the exposure.

        Parameters
        ----------
        name
            An endpoint, or the key of an experiment where no endpoint has that name.
        unit
            Id of what is randomised; where requests are, the id of this one.
        attributes
            What is known of it, for the experiment's audience and segments.

        Returns
        -------
        Assignment
            Without a variant, and not logged, when the unit is in no experiment that runs: then
            the version is what everybody else gets, if there is one.
        """
        said = None if attributes is None else [attributes]
        [assignment] = self._assign(name, [unit], said, record=True)
        return assignment

    @requires(Role.OPERATOR)
    def assign_many(
        self,
        name: str,
        units: Sequence[str],
        attributes: Sequence[Attributes] | None = None,
        *,
        record: bool = False,
    ) -> Sequence[Assignment]:
        """Give up to 10,000 units their variants; nothing is logged unless asked.

        In process, and for any number, ``experiments.get(key).assigner().assign_many(units)``
        takes and gives arrays.

        Parameters
        ----------
        name
            As in `assign`.
        units
            Ids, at most 10,000.
        attributes
            One mapping for each unit, if any.
        record
            Whether the units were really given their variants, and are units of the experiment;
            in a sticky one they keep them.
        """
        return self._assign(name, units, attributes, record=record)

    def _assign(
        self,
        name: str,
        units: Sequence[str],
        attributes: Sequence[Attributes] | None,
        *,
        record: bool,
    ) -> Sequence[Assignment]:
        checked = checked_units(units, attributes)
        with self.store.write() if record else self.store.read() as unit:
            given, now = giving(unit, name, self.pseudonyms), self.clock()
            assignments = given.assign(unit, checked, now, record=record)
            if record:
                unit.log.append(given.exposures(assignments, now))
        return assignments

    @requires(Role.VIEWER)
    def assignments(
        self, key: str, of: str | None = None, limit: int = 1_000
    ) -> Sequence[StickyAssignment]:
        """Return the variants that units of a sticky experiment keep.

        Parameters
        ----------
        key
            The experiment.
        of
            The unit whose variant is asked for; of some units when not given.
        limit
            At most so many; more than 10,000 is 10,000.

        Returns
        -------
        sequence of StickyAssignment
            Empty where the unit has not been given any. Where ids are kept hashed, ``unit`` is
            what is kept.
        """
        with self.store.read() as unit:
            _find(unit, key)
            if of is None:
                return unit.sticky.find(experiment=key, last=max(1, min(limit, 10_000)))
            kept = unit.sticky.get(key, self.pseudonyms.of(of))
            return [] if kept is None else [kept]

    @requires(Role.OPERATOR)
    def pause(self, key: str, reason: str = "") -> Experiment:
        """Route nobody for now; the endpoint goes back to its champion."""
        with self.store.write() as unit:
            paused, change = pause_within(unit, key, self._change("", key, reason=reason))
            unit.audit.append(change)
        return paused

    @requires(Role.OPERATOR)
    def resume(self, key: str) -> Experiment:
        """Route again after a pause, by the same split."""
        with self.store.write() as unit:
            _model_of(unit, _find(unit, key).endpoint, lock=True)
            experiment = _find(unit, key, lock=True)
            if experiment.state is not State.PAUSED:
                raise Conflict(
                    f"{key} is {experiment.state}; only a paused experiment can be resumed",
                    experiment=key,
                    state=experiment.state,
                )
            check_together(unit, experiment)
            resumed = replace(experiment, state=State.RUNNING, reason="")
            unit.experiments.put_many([resumed])
            self._audit_state(unit, experiment, resumed)
        return resumed

    @requires(Role.OPERATOR)
    def stop(self, key: str, reason: str) -> Experiment:
        """End it without a decision; production stays as it is."""
        if not reason.strip():
            raise InvalidInput(
                "reason is empty; say why the experiment is stopped", field="reason", value=reason
            )
        return self._end(key, State.STOPPED, reason)

    @requires(Role.OPERATOR)
    def complete(self, key: str, reason: str = "", chosen: str | None = None) -> Experiment:
        """End it with the decision it has now; production stays as it is.

        Parameters
        ----------
        key
            The experiment.
        reason
            Why, for the audit log.
        chosen
            The variant that people take for the better one, if they name one.
        """
        return self._end(key, State.COMPLETED, reason, chosen)

    @requires(Role.OPERATOR)
    def reweight(self, key: str, weights: Mapping[str, float], reason: str) -> Experiment:
        """Change the weights by hand, where units do not move with them; another epoch begins.

        Parameters
        ----------
        key
            An experiment that runs or is paused, and is no bandit.
        weights
            By variant, all of them, summing to 1.
        reason
            Why, for the audit log.
        """
        with self.store.write() as unit:
            change = self._change("experiment.reweight", key, reason=reason)
            return reweight_within(unit, _find(unit, key, lock=True), weights, change)

    @requires(Role.OPERATOR)
    def refresh(self, key: str) -> Published:
        """Fold the log, publish a running bandit's next weights if due; return those in force.

        Any number of processes may ask. The published row is the record: nothing is audited but an
        arm that is retired.
        """
        with self.store.read() as unit:
            check_refreshable(_find(unit, key))
        self._fold(key)
        with self.store.read() as unit:
            due = is_due(unit, _find(unit, key), self.clock())
        if due:
            with self.store.write() as unit:
                refresh_within(unit, _find(unit, key), self.clock())
        return self.weights(key, limit=1)[0]

    @requires(Role.VIEWER)
    def weights(self, key: str, limit: int = 20) -> Sequence[Published]:
        """Return the last versions of the weights, oldest first; none of a draft."""
        with self.store.read() as unit:
            _find(unit, key)
            return latest_weights(unit, key, limit)

    def _drafted(self, unit: ExperimentUnit, design: ExperimentDraft) -> Experiment:
        model = _model_of(unit, design.endpoint)
        check_versions(unit, model, design)
        if unit.experiments.get(design.key) is not None:
            raise AlreadyExists(
                f"the experiment {design.key!r} exists; take another key",
                kind="experiment",
                name=design.key,
            )
        experiment = Experiment(
            key=design.key,
            design=design,
            model=model,
            salt=self.ids("salt_"),
            state=State.DRAFT,
            created_at=self.clock(),
            created_by=self.actor.name,
        )
        experiment.split()  # refuses weights that are no distribution
        unit.experiments.add(experiment)
        after = {"endpoint": design.endpoint, "weights": experiment.weights}
        unit.audit.append(self._change("experiment.draft", design.key, after=after))
        return experiment

    def _started(self, unit: ExperimentUnit, experiment: Experiment) -> Experiment:
        check_together(unit, experiment)
        check_shippable(unit, experiment)
        started = replace(
            experiment,
            state=State.RUNNING,
            started_at=self.clock(),
            champion=aliases.target(unit, experiment.model, CHAMPION),
            frozen=experiment.design.digest,
        )
        unit.experiments.put_many([started])
        head = max(unit.log.head(), forgotten_up_to(unit))
        unit.cursors.put_many([Cursor(experiment.key, head, head, head)])
        unit.published.put_many([first_weights(unit, started, head)])
        self._audit_state(unit, experiment, started)
        return started

    def _end(self, key: str, state: State, reason: str, chosen: str | None = None) -> Experiment:
        self._fold(key)
        with self.store.write() as unit:
            experiment = _find(unit, key, lock=True)
            experiment.check(state)
            if chosen is not None:
                experiment.variant(chosen)
            ended = replace(
                experiment, state=state, ended_at=self.clock(), reason=reason, chosen=chosen
            )
            unit.experiments.put_many([ended])
            if experiment.started_at is not None:
                self._record(unit, experiment)
            self._audit_state(unit, experiment, ended, reason=reason)
        return ended

    @requires(Role.OPERATOR)
    def ship(
        self, key: str, reason: str = "", *, variant: str | None = None, force: bool = False
    ) -> Experiment:
        """Make the winner production, if there is one and the champion is who it was.

        Parameters
        ----------
        key
            The experiment.
        reason
            Why, for the audit log; needed for what is forced.
        variant
            Which variant, where it is forced and there are several challengers.
        force
            Whether to ship what the evidence does not say. It is no passed experiment for stages
            that require one, and the audit log tells.

        Raises
        ------
        Conflict
            If the decision is not to ship, or somebody else has moved production since the
            experiment started.
        InvalidInput
            If it is forced without a reason, or without saying which of several challengers.
        """
        if force and not reason.strip():
            raise InvalidInput(
                "reason is missing; say why the evidence is overruled, for the audit log",
                field="reason",
                value=reason,
            )
        self._fold(key)
        with self.store.write() as unit:
            experiment = _find(unit, key, lock=True)
            experiment.check(State.COMPLETED)
            report = self._record(unit, experiment)
            chosen = chosen_variant(experiment, report, variant, force=force)
            winner = find_version(unit, experiment.variant(chosen).reference(experiment.model))
            check_own(experiment, winner)
            check_unmoved(experiment, aliases.target(unit, experiment.model, CHAMPION))
            shipped, promotion = promote_within(
                unit,
                winner,
                self._change("version.promote", winner.reference, reason=f"experiment {key}"),
                vouching=self.vouching,
                expected=experiment.champion or "",
                passed=has_won(report, chosen),
            )
            ended = replace(
                experiment,
                state=State.COMPLETED,
                ended_at=self.clock(),
                winner=chosen,
                reason=reason,
            )
            unit.experiments.put_many([ended])
            change = self._change("experiment.ship", key, reason=reason)
            done = shipment(change, experiment, ended, report, shipped.version)
            raise_alert(unit, alert_of_change(ended, done, kind="experiment.shipped"))
            unit.audit.append(promotion)
            unit.audit.append(done)
        return ended

    @requires(Role.OPERATOR)
    def rollback(self, key: str, reason: str = "") -> Experiment:
        """End it with its control, or take back what it has shipped.

        Before its end: it is completed, the champion serves everybody at once and production does
        not move. After it was shipped: production goes one step back.

        Parameters
        ----------
        key
            The experiment.
        reason
            Why, for the audit log; needed unless the evidence says so.

        Raises
        ------
        Conflict
            If it has ended without shipping, or production has moved on since.
        InvalidInput
            If the reason is missing.
        """
        self._fold(key)
        with self.store.write() as unit:
            experiment = _find(unit, key, lock=True)
            change = self._change("experiment.rollback", key, reason=reason)
            if experiment.ended_at is not None:
                return take_back(unit, experiment, change, self.vouching)
            experiment.check(State.COMPLETED)
            return give_up(unit, experiment, self._record(unit, experiment), change)

    def _audit_state(
        self, unit: ExperimentUnit, before: Experiment, after: Experiment, reason: str = ""
    ) -> None:
        action = f"experiment.{_VERBS[before.state, after.state]}"
        unit.audit.append(_moved(self._change(action, after.key, reason=reason), before, after))


_VERBS = {
    (State.DRAFT, State.RUNNING): "start",
    (State.PAUSED, State.RUNNING): "resume",
    **{(state, State.STOPPED): "stop" for state in State},
    **{(state, State.COMPLETED): "complete" for state in State},
}


def pause_within(unit: ExperimentUnit, key: str, change: Change) -> tuple[Experiment, Change]:
    """Pause inside a unit of work that is already open; the caller appends the change."""
    experiment = _find(unit, key, lock=True)
    experiment.check(State.PAUSED)
    paused = replace(experiment, state=State.PAUSED, reason=change.reason)
    unit.experiments.put_many([paused])
    return paused, replace(
        _moved(change, experiment, paused), action="experiment.pause", subject=key
    )


def _moved(change: Change, before: Experiment, after: Experiment) -> Change:
    now: dict[str, object] = {"state": after.state}
    if after.frozen != before.frozen:
        now |= {"champion": after.champion, "frozen": after.frozen}
    if after.chosen is not None:
        now["chosen"] = after.chosen
    return replace(change, before={"state": before.state}, after=now)
