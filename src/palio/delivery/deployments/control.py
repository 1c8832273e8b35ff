"""What is to be done about a deployment: a pure decision over what was seen of it."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from palio.delivery.deployments.domain import OPEN, Deployment, Health, State, Verdict
from palio.delivery.deployments.evidence import Counts, Harm, Second, Settled, harm_of
from palio.delivery.deployments.wanted import Canary, GuardAction, Guardrail

__all__ = ["READY_WITHIN_S", "Action", "Kind", "Observation", "decide"]

READY_WITHIN_S = 600.0
"""Seconds after which a version that is not ready has failed."""


class Kind(enum.StrEnum):
    """What is done."""

    WAIT = "wait"  # nothing
    TELL = "tell"  # the verdict is kept and told, nothing else changes
    START = "start"  # the version gets traffic
    ADVANCE = "advance"  # the canary gets its whole share
    ROLL_BACK = "rollback"  # the traffic goes back to where it was
    FAIL = "fail"  # the version is given up before it has had any


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What was seen of a deployment.

    Parameters
    ----------
    health
        The last check.
    seconds
        The endpoint's traffic of late, in order, since the deployment is in its state.
    total
        All of it since then, the moments included that are long over.
    others
        Versions that would answer if this one were taken back.
    """

    health: Health
    seconds: Sequence[Second] = ()
    total: Settled | None = None
    others: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What is to be done and why, with what shows it."""

    kind: Kind
    verdict: Verdict = Verdict.FINE
    reason: str = ""
    evidence: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Concern:
    """What is wrong, and what should be done about it."""

    action: GuardAction
    verdict: Verdict
    reason: str
    evidence: Mapping[str, Any]


def decide(deployment: Deployment, seen: Observation, now: datetime) -> Action:
    """Decide what is to be done; the same of the same, and once it is done nothing more.

    A version gets traffic when it is ready, and never before. It is taken back when checks fail
    one after the other, or a guardrail is shown to be crossed; where it must not be taken back,
    or nothing else could answer, that is only told. A canary is let on when its time is up, it
    has had enough requests, and enough of them have succeeded; what has not shown enough stays
    as it is, and that is told.

    Parameters
    ----------
    deployment
        As it stands.
    seen
        What was seen of it.
    now
        The moment of the decision.
    """
    if deployment.state not in OPEN:
        return Action(kind=Kind.WAIT)
    concern = _unhealthy(deployment, seen.health, now) or _harmed(deployment, seen)
    if concern is not None and concern.action is GuardAction.ROLLBACK:
        kind = _way_back(deployment, seen)
        if kind is not Kind.TELL:
            return _acted(kind, concern)
    is_let_on = concern is None or concern.action is GuardAction.WARN
    step = _next_step(deployment, seen, now)
    if step.kind is not Kind.TELL and is_let_on:
        return step
    told = step if concern is None else _acted(Kind.TELL, concern)
    return replace(told, kind=Kind.WAIT) if told.verdict is deployment.verdict else told


def _acted(kind: Kind, concern: _Concern) -> Action:
    return Action(
        kind=kind, verdict=concern.verdict, reason=concern.reason, evidence=concern.evidence
    )


def _way_back(deployment: Deployment, seen: Observation) -> Kind:
    if not deployment.rollback_on_error:
        return Kind.TELL
    if deployment.state is State.PENDING:
        return Kind.FAIL
    return Kind.ROLL_BACK if seen.others else Kind.TELL


def _unhealthy(deployment: Deployment, health: Health, now: datetime) -> _Concern | None:
    waited = (now - deployment.since).total_seconds()
    is_late = deployment.state is State.PENDING and waited >= READY_WITHIN_S and not health.ready
    if health.healthy and not is_late:
        return None
    evidence = {
        "failures": health.failures,
        "reason": health.reason,
        "at": health.at.isoformat(),
        "rss_bytes": health.rss_bytes,
    }
    said = health.words
    if is_late:
        said = f"it was not ready within {READY_WITHIN_S:g} s: {health.reason}"
    return _Concern(GuardAction.ROLLBACK, Verdict.UNHEALTHY, said, {"health": evidence})


def _harmed(deployment: Deployment, seen: Observation) -> _Concern | None:
    """Return the guardrail that is crossed and asks for most."""
    if deployment.state is State.PENDING:
        return None
    found = {rail.action: harm for rail, harm in reversed(_harms(deployment, seen))}
    for action in GuardAction:
        if action in found:
            harm = found[action]
            return _Concern(action, Verdict.HARMED, harm.words, {"harm": asdict(harm)})
    return None


def _harms(deployment: Deployment, seen: Observation) -> list[tuple[Guardrail, Harm]]:
    """Return what is crossed, a canary's threshold first."""
    canary = deployment.canary if deployment.state is State.CANARY else None
    total = None if canary is None else seen.total
    watched = [(rail, rail.words) for rail in deployment.guardrails]
    if canary is not None:
        said = f"success_threshold {canary.success_threshold:g}"
        watched.insert(0, (Guardrail(limit=_borne(canary)), said))
    found = ((rail, said, harm_of(rail, seen.seconds, total)) for rail, said in watched)
    return [
        (rail, replace(harm, guardrail=said)) for rail, said, harm in found if harm is not None
    ]


def _borne(canary: Canary) -> float:
    return round(1 - canary.success_threshold, 12)


def _next_step(deployment: Deployment, seen: Observation, now: datetime) -> Action:
    """Return what is due where nothing is wrong."""
    canary = deployment.canary
    if deployment.state is State.PENDING:
        if seen.health.ready:
            return Action(kind=Kind.START, reason="the version is ready")
    elif canary is not None and deployment.state is State.CANARY:
        is_over = now - deployment.since >= timedelta(seconds=canary.duration_s)
        if is_over:
            return _over(canary, seen.total.own if seen.total else Counts())
    return Action(kind=Kind.TELL, reason="what was told of it is over")


def _over(canary: Canary, own: Counts) -> Action:
    """Judge a canary whose time is up."""
    evidence = {"requests": own.requests, "errors": own.errors}
    good = own.requests - own.errors
    said = f"{good} of {own.requests} requests have succeeded within the canary"
    if own.requests < canary.min_sample:
        why = f"{said}, and {canary.min_sample} requests are asked for; it goes on"
    elif own.errors <= _borne(canary) * own.requests:
        why = f"{said}, and a share of {canary.success_threshold:g} is asked for"
        return Action(kind=Kind.ADVANCE, reason=why, evidence={"canary": evidence})
    else:
        why = f"{said}, less than a share of {canary.success_threshold:g}; it goes on"
    verdict = Verdict.INCONCLUSIVE
    return Action(kind=Kind.TELL, verdict=verdict, reason=why, evidence={"canary": evidence})
