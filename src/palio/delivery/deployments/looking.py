"""A look at one deployment: it is asked, its traffic is read, and what is decided is done.

Models are asked with no transaction open. What is done is done in one, after the deployment was
found as it was when it was looked at: two who look at once do nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from palio.access.audit import Change
from palio.delivery.deployments.alerting import tell
from palio.delivery.deployments.control import Action, Kind, Observation, decide
from palio.delivery.deployments.domain import OPEN, Deployment, Health, State
from palio.delivery.deployments.evidence import Counts, Settled, seconds_of, settled_with
from palio.delivery.deployments.placing import others_of, place, standing, weights_of
from palio.delivery.deployments.ports import Probe, Runtime
from palio.delivery.domain import Endpoint
from palio.delivery.ports import DeliveryUnit
from palio.delivery.traffic import ProcessUse, alive
from palio.ports import Clock, Store

__all__ = ["Looking", "checked", "end"]

_SETTLED_S = 60  # after which the counts of a second are those that every process has published
_WINDOW_S = 300  # of a canary's threshold
_TARGETS = {
    Kind.ADVANCE: State.LIVE,
    Kind.ROLL_BACK: State.ROLLED_BACK,
    Kind.FAIL: State.FAILED,
}
_ENDS = frozenset({State.ROLLED_BACK, State.UNDEPLOYED, State.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Looking:
    """Looks at deployments, in somebody's name."""

    store: Store[DeliveryUnit]
    clock: Clock
    runtime: Runtime
    actor: str

    def look(self, name: str) -> Action | None:
        """Look at a deployment and do what is decided; ``None`` where it has ended.

        Returns
        -------
        Action or None
            What was done: ``wait`` where there was nothing to do.
        """
        with self.store.read() as unit:
            deployment = unit.deployments.get(name)
        if deployment is None or deployment.state not in OPEN:
            return None
        health = self._health_now(deployment)
        with self.store.read() as unit:  # most looks find nothing to do, and write nothing
            endpoint = unit.endpoints.get(deployment.endpoint)
            if endpoint is None or self._is_quiet(unit, endpoint, deployment, health):
                return Action(kind=Kind.WAIT)
        with self.store.write() as unit:
            endpoint = unit.endpoints.get(deployment.endpoint, lock=True)
            current = unit.deployments.get(name, lock=True)
            if endpoint is None or current is None or not _is_same(current, deployment):
                return None
            return self._act(unit, endpoint, current, health)

    def health(self, deployment: Deployment) -> Health:
        """Ask a deployment's version, and see what it takes."""
        check = deployment.health_check
        probe = self.runtime.probe(
            deployment.model, deployment.version, timeout_s=check.patience_s, row=check.row
        )
        with self.store.read() as unit:
            uses = unit.process_uses.find()
        return checked(deployment, probe, uses, self.clock())

    def _health_now(self, deployment: Deployment) -> Health:
        health = deployment.health
        if health is None or health.loading or self.clock() >= deployment.probe_at:
            return self.health(deployment)
        if not health.waiting:
            return health
        with self.store.read() as unit:  # they may have loaded it since
            waiting = _waiting(deployment, alive(unit.process_uses.find(), self.clock()))
        said = health.reason if health.failures else _waited_for(waiting)
        return replace(health, waiting=waiting, reason=said)

    def _is_quiet(
        self, unit: DeliveryUnit, endpoint: Endpoint, deployment: Deployment, health: Health
    ) -> bool:
        """Tell whether there is nothing to do, nor anything to keep."""
        now = self.clock()
        seen, settled = observed(unit, endpoint, deployment, health, now)
        found = replace(deployment, health=health, settled=settled)
        weights = weights_of(unit, endpoint, standing(unit, endpoint.name))
        is_as_it_was = found == deployment and weights == endpoint.weights
        return is_as_it_was and decide(deployment, seen, now).kind is Kind.WAIT

    def _act(
        self, unit: DeliveryUnit, endpoint: Endpoint, current: Deployment, health: Health
    ) -> Action:
        now = self.clock()
        seen, settled = observed(unit, endpoint, current, health, now)
        action = decide(current, seen, now)
        found = replace(current, health=health, settled=settled)
        if action.kind is Kind.WAIT:
            if found != current:
                unit.deployments.put_many([found])
            self._reconcile(unit, endpoint, found)
            return action
        changed = _changed(found, action, now)
        unit.deployments.put_many([changed])
        ended = changed if changed.state in _ENDS else None
        placed = place(unit, endpoint, ended=ended)
        unit.audit.append(self._change(action, current, changed, before=endpoint, after=placed))
        tell(unit, changed, action, by=self.actor, at=now)
        return action

    def _reconcile(self, unit: DeliveryUnit, endpoint: Endpoint, current: Deployment) -> None:
        """Follow the champion, to whom the rest goes where no weights were set before."""
        weights = weights_of(unit, endpoint, standing(unit, endpoint.name))
        if weights != endpoint.weights:
            place(unit, endpoint)
            change = Change(
                at=self.clock(),
                actor=self.actor,
                action="deployment.place",
                subject=current.name,
                before={"weights": endpoint.weights},
                after={"weights": weights},
                reason=f"the champion of {endpoint.model} has changed",
            )
            unit.audit.append(change)

    def _change(
        self,
        action: Action,
        old: Deployment,
        new: Deployment,
        *,
        before: Endpoint,
        after: Endpoint,
    ) -> Change:
        told: dict[str, Any] = {"state": new.state, "verdict": new.verdict}
        if after.weights != before.weights:
            told["weights"] = after.weights
        if action.evidence is not None:
            told["evidence"] = action.evidence
        return Change(
            at=new.since if new.state is not old.state else self.clock(),
            actor=self.actor,
            action=f"deployment.{action.kind}",
            subject=new.name,
            before={"state": old.state, "verdict": old.verdict}
            | ({"weights": before.weights} if "weights" in told else {}),
            after=told,
            reason=action.reason,
        )


def checked(
    deployment: Deployment, probe: Probe, uses: Iterable[ProcessUse], now: datetime
) -> Health:
    """Return what a check has found.

    Parameters
    ----------
    deployment
        With the check before this one.
    probe
        What came of asking the version.
    uses
        What all processes take that have ever served.
    now
        When.
    """
    serving = alive(uses, now)
    having = [one for one in serving if deployment.reference in one.loaded]
    waiting = tuple(one for one in _waiting(deployment, serving) if one != probe.process)
    largest = max((one.rss_bytes for one in having), default=None)
    before = deployment.health.failures if deployment.health is not None else 0
    why = probe.reason if probe.loading else probe.reason or _too_large(deployment, largest)
    failures = before if probe.loading else before + 1 if why else 0
    if not why:
        why = "it is being loaded" if probe.loading else _waited_for(waiting) or _cold(probe)
    return Health(
        at=now,
        healthy=failures < deployment.health_check.failure_threshold,
        failures=failures,
        reason=why,
        latency_ms=probe.latency_ms,
        rss_bytes=largest,
        waiting=waiting,
        loading=probe.loading,
    )


def _cold(probe: Probe) -> str:
    if not probe.cold:
        return ""
    return f"a made-up row met {probe.cold}; health_check.row can say what to ask instead"


def _waiting(deployment: Deployment, serving: Iterable[ProcessUse]) -> tuple[str, ...]:
    """Return the processes that do not have the version in memory."""
    return tuple(sorted(one.process for one in serving if deployment.reference not in one.loaded))


def _too_large(deployment: Deployment, rss_bytes: int | None) -> str:
    most = deployment.resources.memory_bytes
    if most is None or rss_bytes is None or rss_bytes <= most:
        return ""
    return f"a process that serves it takes {rss_bytes:,} bytes, more than {most:,}"


def _waited_for(waiting: Sequence[str]) -> str:
    return f"{', '.join(waiting)} must load it" if waiting else ""


def observed(  # noqa: PLR0917 -- one look
    unit: DeliveryUnit,
    endpoint: Endpoint,
    deployment: Deployment,
    health: Health,
    now: datetime,
) -> tuple[Observation, Settled | None]:
    """Return what is seen of a deployment, and of its canary what is settled by now."""
    second, began = int(now.timestamp()), int(deployment.since.timestamp())
    settled = deployment.settled
    if deployment.state is State.CANARY and settled is None:
        settled = Settled(second=began, own=Counts(), others=Counts())
    window_s = max([_WINDOW_S, *(one.window_s for one in deployment.guardrails)])
    start = min(second - window_s, settled.second if settled else second)
    counts = unit.traffic.since(max(start, began), endpoint=endpoint.name)
    seconds = seconds_of(counts, deployment.version)
    total = None
    if settled is not None:
        total = replace(settled_with(settled, seconds, before=second + 1), second=began)
    seen = Observation(
        health=health,
        seconds=[one for one in seconds if one.second > second - window_s],
        total=total,
        others=others_of(unit, endpoint, standing(unit, endpoint.name), deployment.name),
    )
    if settled is not None and second - settled.second > 2 * _SETTLED_S:
        return seen, settled_with(settled, seconds, before=second - _SETTLED_S)
    return seen, deployment.settled


def end(deployment: Deployment, state: State, now: datetime, reason: str) -> Deployment:
    """Return a deployment that has ended."""
    deployment.check(state)
    return replace(deployment, state=state, since=now, reason=reason)


def _is_same(one: Deployment, other: Deployment) -> bool:
    """Tell whether nothing was done about a deployment in between."""
    return (one.revision, one.state, one.since) == (other.revision, other.state, other.since)


def _changed(deployment: Deployment, action: Action, now: datetime) -> Deployment:
    told = replace(deployment, verdict=action.verdict, reason=action.reason)
    if action.kind is Kind.TELL:
        return told
    target = _TARGETS.get(action.kind) or (State.CANARY if told.canary else State.LIVE)
    told.check(target)
    return replace(told, state=target, since=now, settled=None)
