"""The verbs on outcomes: they come late, repeated, corrected, or before their prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from palio.access.domain import Identity, Role, requires
from palio.errors import InvalidOutcome, NotFound, TooLarge
from palio.experiments.designs.metrics import Metric
from palio.experiments.domain import Experiment, State
from palio.experiments.events import (
    Outcome,
    OutcomeDraft,
    Prediction,
    Receipt,
    Value,
    check_against,
    check_draft,
    refused,
)
from palio.experiments.ports import ExperimentUnit
from palio.experiments.privacy.pseudonyms import AS_SENT, Pseudonyms
from palio.ports import Clock, Ids, Store

__all__ = ["Outcomes"]

_MOST = 10_000  # outcomes in one call
_ENDED = frozenset({State.COMPLETED, State.STOPPED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What became known later, appended to the event log."""

    store: Store[ExperimentUnit]
    clock: Clock
    ids: Ids
    actor: Identity
    pseudonyms: Pseudonyms = AS_SENT

    @requires(Role.OPERATOR)
    def record(self, outcomes: Sequence[OutcomeDraft]) -> Receipt:
        """Keep outcomes; all of them or, if one cannot be kept, none.

        Parameters
        ----------
        outcomes
            1 to 10,000 of them. One with an ``outcome_id`` that is known and the same value is
            a repeat and changes nothing; with another value it replaces the earlier one.
        """
        if not outcomes:
            raise InvalidOutcome("no outcome was sent", field="outcomes", value=[])
        if len(outcomes) > _MOST:
            raise TooLarge(
                f"{len(outcomes)} outcomes were sent at once; send at most {_MOST}",
                field="outcomes",
                value=len(outcomes),
            )
        for number, draft in enumerate(outcomes):
            check_draft(number, draft)
        outcomes = [self._kept(draft) for draft in outcomes]
        with self.store.write() as unit:
            known = self._known(unit, outcomes)
            concerned = _Concerned.by(unit, outcomes, known)
            for number, draft in enumerate(outcomes):
                concerned.check(number, draft)
            events = self._events(unit, outcomes)
            if events:
                unit.log.append(events)
        return Receipt(
            accepted=len(events),
            corrected=sum(event.revision > 1 for event in events),
            repeated=len(outcomes) - len(events),
            unknown=sum(
                event.request_id is not None and event.request_id not in known for event in events
            ),
            late=sum(concerned.ended(event) for event in events),
        )

    @requires(Role.VIEWER)
    def history(self, outcome_id: str) -> Sequence[Outcome]:
        """Return all revisions of an outcome with their times, oldest first; the last counts."""
        with self.store.read() as unit:
            events = [entry.event for entry in unit.log.of_outcomes([outcome_id])]
        found = [event for event in events if isinstance(event, Outcome)]
        if not found:
            raise NotFound(
                f"no outcome has the id {outcome_id!r}; without an id of its own, the outcome of "
                "a request is <request_id>/<name>",
                kind="outcome",
                name=outcome_id,
            )
        return found

    def _kept(self, draft: OutcomeDraft) -> OutcomeDraft:
        """Return an outcome with what is kept of its unit."""
        if draft.unit is None or self.pseudonyms is AS_SENT:
            return draft
        return replace(draft, unit=self.pseudonyms.of(draft.unit))

    def _known(
        self, unit: ExperimentUnit, outcomes: Sequence[OutcomeDraft]
    ) -> dict[str, Prediction]:
        """Return the predictions that outcomes speak of, each outcome checked against its own."""
        asked = {draft.request_id for draft in outcomes if draft.request_id is not None}
        known: dict[str, Prediction] = {}
        for entry in unit.log.of_requests(asked):
            if isinstance(entry.event, Prediction):
                known.setdefault(entry.event.request_id, entry.event)
        for number, draft in enumerate(outcomes):
            if draft.request_id in known:
                check_against(number, draft, known[draft.request_id])
        return known

    def _events(self, unit: ExperimentUnit, outcomes: Sequence[OutcomeDraft]) -> list[Outcome]:
        now = self.clock()
        named = [(self._id_of(draft), draft) for draft in outcomes]
        latest = dict(unit.log.latest([outcome_id for outcome_id, _ in named], lock=True))
        events = []
        for number, (outcome_id, draft) in enumerate(named):
            last = latest.get(outcome_id)
            if last is not None and _same_subject(number, last, draft) == draft.value:
                continue
            event = Outcome(
                outcome_id=outcome_id,
                revision=last.revision + 1 if last else 1,
                name=draft.name,
                value=draft.value,
                at=draft.at or now,
                request_id=draft.request_id,
                unit=draft.unit,
                experiment=draft.experiment,
                variant=draft.variant,
            )
            latest[outcome_id] = event
            events.append(event)
        return events

    def _id_of(self, draft: OutcomeDraft) -> str:
        if draft.outcome_id is not None:
            return draft.outcome_id
        if draft.request_id is not None:
            return f"{draft.request_id}/{draft.name}"
        return self.ids("out_")


@dataclass(frozen=True, slots=True)
class _Concerned:
    """The experiments that outcomes may be evidence in."""

    named: Mapping[str, Experiment]
    running: Sequence[Experiment]
    of_requests: Mapping[str, str | None]

    @classmethod
    def by(
        cls,
        unit: ExperimentUnit,
        outcomes: Sequence[OutcomeDraft],
        known: Mapping[str, Prediction],
    ) -> _Concerned:
        of_requests = {name: one.experiment for name, one in known.items()}
        keys = {draft.experiment for draft in outcomes} | set(of_requests.values())
        found = unit.experiments.get_many((key,) for key in keys if key is not None)
        running = unit.experiments.find(state=State.RUNNING)
        return cls({one.key: one for one in found.values()}, running, of_requests)

    def check(self, number: int, draft: OutcomeDraft) -> None:
        """Refuse what names no variant, and values outside the limits of a metric."""
        if draft.experiment is not None:
            self._check_variant(number, draft)
        for experiment in self._of(draft):
            for metric in experiment.design.metrics.declared:
                if metric.name == draft.name and not metric.winsorise:
                    _check_limits(number, draft, metric)

    def ended(self, event: Outcome) -> bool:
        """Tell whether an outcome is about an experiment that has ended."""
        found = self.named.get(self._key_of(event) or "")
        return found is not None and found.state in _ENDED

    def _key_of(self, one: OutcomeDraft | Outcome) -> str | None:
        return one.experiment or self.of_requests.get(one.request_id or "")

    def _of(self, draft: OutcomeDraft) -> Sequence[Experiment]:
        """Return its experiment; where that is not known, all that run."""
        if draft.experiment is None and draft.request_id not in self.of_requests:
            return self.running
        found = self.named.get(self._key_of(draft) or "")
        return [] if found is None else [found]

    def _check_variant(self, number: int, draft: OutcomeDraft) -> None:
        experiment = self.named.get(draft.experiment or "")
        if experiment is None or experiment.started_at is None:
            why = "has not been started" if experiment else "is not known"
            raise refused(
                number,
                "experiment",
                draft.experiment,
                f"the experiment {draft.experiment!r} {why}",
            )
        if draft.variant not in experiment.weights:
            known = ", ".join(experiment.weights)
            why = f"{experiment.key} has no variant {draft.variant!r}; it has {known}"
            raise refused(number, "variant", draft.variant, why)


def _check_limits(number: int, draft: OutcomeDraft, metric: Metric) -> None:
    values = draft.value if isinstance(draft.value, list) else [draft.value]
    for value in values:
        if not isinstance(value, str) and metric.limits and metric.outside(float(value)):
            low, high = metric.limits
            why = f"{metric.name} must be in its limits [{low:g}, {high:g}], got {value}"
            raise refused(number, "value", value, why)


def _same_subject(number: int, last: Outcome, draft: OutcomeDraft) -> Value:
    """Return the value kept so far; refuse an id that stands for something else."""
    if (last.subject, last.name) != (draft.subject, draft.name):
        raise refused(
            number,
            "outcome_id",
            last.outcome_id,
            f"the outcome_id {last.outcome_id!r} is taken by {last.name} of "
            f"{last.request_id or last.unit or last.variant}; give each outcome an id of its own",
        )
    return last.value
