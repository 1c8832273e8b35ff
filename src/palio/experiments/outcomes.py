"""The verb that takes outcomes in: late, repeated, corrected, or before their prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from palio.access.domain import Identity, Role, requires
from palio.errors import InvalidOutcome, TooLarge
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
from palio.ports import Clock, Ids, Store

__all__ = ["Outcomes"]

_MOST = 10_000  # outcomes in one call


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What became known later, appended to the event log."""

    store: Store[ExperimentUnit]
    clock: Clock
    ids: Ids
    actor: Identity

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
        with self.store.write() as unit:
            known = self._known(unit, outcomes)
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
        )

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


def _same_subject(number: int, last: Outcome, draft: OutcomeDraft) -> Value:
    """Return the value kept so far; refuse an id that stands for something else."""
    if (last.request_id, last.unit, last.name) != (draft.request_id, draft.unit, draft.name):
        raise refused(
            number,
            "outcome_id",
            last.outcome_id,
            f"the outcome_id {last.outcome_id!r} is taken by {last.name} of "
            f"{last.request_id or last.unit}; give each outcome an id of its own",
        )
    return last.value
