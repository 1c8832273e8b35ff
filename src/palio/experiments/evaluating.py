"""What happens by itself: a process looks at the experiments that run, and acts where it may.

Of all processes on a store one does it, who holds the lease; when it is gone, another one takes
over after three intervals. Nothing is remembered here that the store does not know, so that
looking twice, or in two processes, changes nothing more than once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from palio.experiments.attending import Leasing, guarded
from palio.experiments.domain import Experiment, State
from palio.experiments.judging.analysis import Decision, DecisionKind
from palio.experiments.lease import Lease
from palio.experiments.ports import ExperimentUnit
from palio.experiments.service import Experiments
from palio.ports import Clock, Store

__all__ = ["EVALUATOR", "Act", "Evaluator", "reasons_of", "verb_for"]

EVALUATOR = "evaluator"
"""Name of the lease, and of who acts in the audit log."""
_TICK_S = 1.0  # between two steps while a bandit runs
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Act:
    """What was seen of an experiment, and whether something was done about it."""

    experiment: str
    decision: Decision
    acted: bool


@dataclass(slots=True, kw_only=True)
class Evaluator:
    """Looks at the experiments that run, one step at a time.

    Not safe to share between threads.

    Parameters
    ----------
    store
        Where the lease is.
    experiments
        The verbs, in the name that the audit log shall tell.
    clock
        What time it is.
    holder
        Name of this process, which no other one has.
    interval_s
        Seconds between two looks, above 0.
    dry_run
        Whether it only looks and says what it would do; under a lease of its own.
    log
        Called with a line for what is done, would be done, or has failed.
    chores
        Called once an interval by who holds the lease; each stands for itself.
    """

    store: Store[ExperimentUnit]
    experiments: Experiments
    clock: Clock
    holder: str
    interval_s: float = 30.0
    dry_run: bool = False
    log: Callable[[str], object]
    chores: Sequence[Callable[[], object]] = ()
    _look_at: datetime | None = field(default=None, init=False)
    _bandits: bool = field(default=False, init=False)

    @property
    def lease(self) -> str:
        """Name of the lease that is needed."""
        return f"{EVALUATOR}.dry_run" if self.dry_run else EVALUATOR

    @property
    def rest_s(self) -> float:
        """Seconds until the next step is due."""
        return min(self.interval_s, _TICK_S) if self._bandits else self.interval_s

    def step(self) -> Sequence[Act]:
        """Take or renew the lease; refresh bandits; once an interval look and act.

        Returns
        -------
        sequence of Act
            One for each experiment that was looked at; none without the lease.
        """
        if not self._leasing.leads():
            self._bandits = False
            return []
        running = self._running()
        self._refresh(running)
        if self._look_at is not None and self.clock() < self._look_at:
            return []
        self._look_at = self.clock() + timedelta(seconds=self.interval_s)
        acts = [act for one in running if (act := self._attended(one)) is not None]
        for chore in () if self.dry_run else self.chores:
            self._guarded(chore, "a chore")
        return acts

    def leader(self) -> Lease | None:
        """Return the lease that is in force, if any."""
        return self._leasing.leader()

    def release(self) -> None:
        """Give the lease back, so that another process need not wait for its end."""
        self._leasing.release()

    @property
    def _leasing(self) -> Leasing:
        return Leasing(
            store=self.store,
            name=self.lease,
            holder=self.holder,
            clock=self.clock,
            interval_s=self.interval_s,
        )

    def _running(self) -> Sequence[Experiment]:
        with self.store.read() as unit:
            return unit.experiments.find(state=State.RUNNING)

    def _refresh(self, running: Sequence[Experiment]) -> None:
        """Publish the weights of bandits anew, where they are due."""
        if self.dry_run:
            return
        moving = [one.key for one in running if one.design.policy.moves]
        self._bandits = bool(moving)
        for key in moving:
            self._guarded(partial(self.experiments.refresh, key), f"the weights of {key}")

    def _attended(self, experiment: Experiment) -> Act | None:
        """Look at one experiment and act, unless a step has taken longer than the lease."""
        act = partial(self._act, experiment)
        return self._guarded(act, experiment.key) if self._leasing.leads() else None

    def _act(self, experiment: Experiment) -> Act:
        key, decision = experiment.key, self.experiments.analyze(experiment.key).decision
        automatic = experiment.design.automatic
        verb = verb_for(self.experiments, experiment, decision) if automatic else None
        if verb is None:
            return Act(key, decision, acted=False)
        why = reasons_of(decision)
        if self.dry_run:
            self.log(f"{key} would be acted on: {why}")
            return Act(key, decision, acted=False)
        verb(key, why)
        self.log(f"{key} was acted on: {why}")
        return Act(key, decision, acted=True)

    def _guarded(self, work: Callable[[], T], what: str) -> T | None:
        return guarded(work, what, self.log)


def verb_for(
    experiments: Experiments, experiment: Experiment, decision: Decision
) -> Callable[[str, str], object] | None:
    """Return what is done on a decision, with key and reason.

    Where one goes on that is nothing, unless one of several has lost enough: then its weight goes
    to the others. A bandit's refresh does that by itself.
    """
    if decision.kind is DecisionKind.KEEP_RUNNING:
        loser, weights = decision.variant, experiment.weights
        is_alone = not any(weight for one, weight in weights.items() if one != loser)
        if loser is None or is_alone or experiment.design.policy.moves:
            return None
        return partial(_sent_home, experiments, loser)
    chosen = partial(experiments.complete, chosen=decision.variant)
    verbs: dict[DecisionKind, Callable[[str, str], object]] = {
        DecisionKind.SHIP: experiments.ship if experiment.design.ships else chosen,
        DecisionKind.ROLLBACK: experiments.rollback,
        DecisionKind.INCONCLUSIVE: experiments.complete,
        DecisionKind.INVALID: experiments.pause,
    }
    return verbs.get(decision.kind)


def _sent_home(experiments: Experiments, loser: str, key: str, reason: str) -> Experiment:
    """Give one variant no weight any more, and the others what they had of the rest."""
    left = {**experiments.get(key).weights, loser: 0.0}
    total = sum(left.values())
    shares = {variant: weight / total for variant, weight in left.items()}
    return experiments.reweight(key, shares, reason)


def reasons_of(decision: Decision) -> str:
    """Return why something is done, for the audit log."""
    return f"{decision.kind}: {'; '.join(decision.reasons)}"
