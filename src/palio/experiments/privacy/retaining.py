"""Retention: events that are old enough, and that no open experiment needs, are forgotten.

What was folded from them stays: it is sums and counts. What is kept of single units of an
experiment that has ended stays, too, until they are erased.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from palio.access.audit import Change
from palio.experiments.domain import Experiment, State
from palio.experiments.events import LogEntry, Outcome, Prediction
from palio.experiments.folding.statistics import Cursor
from palio.experiments.ports import EventLog, ExperimentUnit
from palio.experiments.privacy.marks import FORGOTTEN, StoreMark
from palio.ports import Store

__all__ = ["Forgotten", "forget_daily", "forget_old", "forgotten_up_to", "is_incomplete"]

_PAGE = 1_000  # entries read, and removed in one unit of work


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What retention has removed from the event log.

    ``up_to`` is the place in the log before which everything was looked at, ``before`` the
    moment that all of it is older than; ``held_by`` names the open experiments without which it
    would be later.
    """

    events: int
    up_to: int
    before: datetime
    held_by: tuple[str, ...] = ()


def forget_old(store: Store[ExperimentUnit], *, now: datetime, days: int, actor: str) -> Forgotten:
    """Remove the events that are older than a number of days and that nobody needs.

    Safe to run from several processes, as often as one likes, and to kill: the next run goes on.

    Parameters
    ----------
    store
        Whose event log.
    now
        The present moment.
    days
        Age that events are kept to, at least 1.
    actor
        In whose name, for the audit log, which has one entry for a run that removes anything.
    """
    with store.read() as unit:
        bounds = _bounds(unit, now - timedelta(days=days))
        cut = _cut(unit.log, bounds)
        pages = _pages(unit.log, cut)
        events = sum(1 for page in pages for _ in _old(unit.log, page, bounds.before, cut))
    told = Forgotten(events=events, up_to=cut, before=bounds.before, held_by=bounds.held_by)
    if not events:
        return told
    with store.write() as unit:  # told first, so that nothing is ever removed in silence
        last = max(cut, forgotten_up_to(unit))
        unit.marks.put_many([StoreMark(name=FORGOTTEN, value=str(last), at=now)])
        after = {"events": events, "up_to": cut, "before": bounds.before.isoformat()}
        change = Change(
            at=now,
            actor=actor,
            action="units.retain",
            subject="events",
            after=after,
            reason=f"older than {days} days",
        )
        unit.audit.append(change)
    seq = 0
    while seq < cut:
        with store.write() as unit:
            page = _page(unit.log, seq, cut)
            unit.log.erase([entry.seq for entry in _old(unit.log, page, bounds.before, cut)])
        seq = page[-1].seq if page else cut
    return told


def forget_daily(
    store: Store[ExperimentUnit], *, now: datetime, days: int, actor: str
) -> Forgotten | None:
    """Do so unless something was forgotten within the last day; for who asks all the time."""
    with store.read() as unit:
        mark = unit.marks.get(FORGOTTEN)
    if mark is not None and now - mark.at < timedelta(days=1):
        return None
    return forget_old(store, now=now, days=days, actor=actor)


def forgotten_up_to(unit: ExperimentUnit) -> int:
    """Return the place in the log up to which events have been forgotten, 0 if none have."""
    mark = unit.marks.get(FORGOTTEN)
    return 0 if mark is None else int(mark.value)


def is_incomplete(unit: ExperimentUnit, experiment: Experiment) -> bool:
    """Tell whether events that an experiment was folded from may be gone since it ended."""
    mark = unit.marks.get(FORGOTTEN)
    if mark is None or experiment.ended_at is None or mark.at < experiment.ended_at:
        return False
    cursor = unit.cursors.get(experiment.key) or Cursor(experiment.key, 0)
    return int(mark.value) > cursor.start or bool(experiment.design.covariates)


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What may be forgotten: events up to a place in the log, and from before a moment."""

    up_to: int
    before: datetime
    held_by: tuple[str, ...]


def _bounds(unit: ExperimentUnit, old: datetime) -> _Bounds:
    up_to, before = unit.log.head(), old
    held_by = []
    for experiment in unit.experiments.find():
        if experiment.state not in (State.RUNNING, State.PAUSED):
            continue
        cursor = unit.cursors.get(experiment.key) or Cursor(experiment.key, 0)
        place, since = _needed(experiment, cursor)
        if place < unit.log.head() or since < old:
            held_by.append(experiment.key)
        up_to, before = min(up_to, place), min(before, since)
    return _Bounds(up_to, before, tuple(held_by))


def _needed(experiment: Experiment, cursor: Cursor) -> tuple[int, datetime]:
    """Return from where in the log, and from which moment on, an experiment needs events."""
    since = experiment.started_at or experiment.created_at
    windows = [covariate.window_s for covariate in experiment.design.covariates]
    if None in windows:
        return 0, since
    back = max((window for window in windows if window is not None), default=0.0)
    return cursor.start, since - timedelta(seconds=back)


def _cut(log: EventLog, bounds: _Bounds) -> int:
    """Return up to where all is old.

    An outcome says when it happened, not when it came: what is given to units, with the time of
    this machine, says how old the log is at its place. Younger outcomes in between stay.
    """
    cut = 0
    for page in _pages(log, bounds.up_to):
        for entry in page:
            if entry.event.at < bounds.before:
                cut = entry.seq
            elif not isinstance(entry.event, Outcome):
                return cut
    return cut


def _old(
    log: EventLog, page: Sequence[LogEntry], before: datetime, cut: int
) -> Iterator[LogEntry]:
    """Yield what goes; an outcome that came ahead of its prediction stays as long as that."""
    names = {entry.event.request_id for entry in page if isinstance(entry.event, Outcome)}
    later = {
        entry.event.request_id
        for entry in log.of_requests(name for name in names if name is not None)
        if isinstance(entry.event, Prediction) and entry.seq > cut
    }
    for entry in page:
        kept = isinstance(entry.event, Outcome) and entry.event.request_id in later
        if entry.event.at < before and not kept:
            yield entry


def _pages(log: EventLog, up_to: int) -> Iterator[Sequence[LogEntry]]:
    seq = 0
    while page := _page(log, seq, up_to):
        yield page
        seq = page[-1].seq


def _page(log: EventLog, seq: int, up_to: int) -> Sequence[LogEntry]:
    return [entry for entry in log.after(seq, limit=_PAGE) if entry.seq <= up_to]
