"""What people are told of deployments: taken back, not able to go on, well again."""

from __future__ import annotations

from datetime import datetime

from palio.access.alerts import Alert, AlertUnit, Severity, raise_alert
from palio.delivery.deployments.control import Action, Kind
from palio.delivery.deployments.domain import Deployment, Verdict

__all__ = ["alert_of", "tell"]

_OF_ACTIONS = {
    Kind.ROLL_BACK: ("rolled_back", Severity.CRITICAL),
    Kind.FAIL: ("failed", Severity.CRITICAL),
    Kind.ADVANCE: ("advanced", Severity.INFO),
}
_OF_VERDICTS = {
    Verdict.FINE: ("recovered", Severity.INFO),
    Verdict.UNHEALTHY: ("unhealthy", Severity.CRITICAL),
    Verdict.HARMED: ("harmed", Severity.CRITICAL),
    Verdict.INCONCLUSIVE: ("inconclusive", Severity.WARNING),
}
_WORDS = {
    "rolled_back": "rolled back",
    "failed": "given up",
    "advanced": "let on",
    "recovered": "seen well again",
    "unhealthy": "seen unhealthy",
    "harmed": "seen harmed",
    "inconclusive": "seen inconclusive",
}


def tell(
    unit: AlertUnit, deployment: Deployment, action: Action, *, by: str, at: datetime
) -> None:
    """Tell people of an action in the unit of work that does it, where there is something to."""
    alert = alert_of(deployment, action, by=by, at=at)
    if alert is not None:
        raise_alert(unit, alert)


def alert_of(deployment: Deployment, action: Action, *, by: str, at: datetime) -> Alert | None:
    """Return what is told of an action; nothing where it is what was asked for.

    Parameters
    ----------
    deployment
        As it is now.
    action
        What was done.
    by, at
        Who did it, and when.
    """
    if action.kind in {Kind.WAIT, Kind.START}:
        return None
    what, severity = _OF_ACTIONS.get(action.kind) or _OF_VERDICTS[action.verdict]
    return Alert.of(
        f"deployment.{what}",
        deployment.name,
        occasion=f"{deployment.revision} {at.isoformat()}",
        severity=severity,
        at=at,
        text=f"{deployment.name} ({deployment.reference} on {deployment.endpoint}): "
        f"{_WORDS.get(what, what)} by {by}: {action.reason or 'no reason'}",
        evidence={
            "deployment": deployment.name,
            "version": deployment.reference,
            "endpoint": deployment.endpoint,
            "environment": deployment.environment,
            "state": deployment.state,
            "actor": by,
            **(action.evidence or {}),
        },
    )
