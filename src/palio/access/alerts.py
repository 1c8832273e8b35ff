"""Alerts: what people are told at once, and the verb that lists them.

An alert is raised in the unit of work that changes or finds what it tells, so that neither is
there without the other; whoever delivers it reads it from the store.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from palio.access.domain import Identity, Role, requires
from palio.errors import InvalidInput
from palio.ports import Collection, Store

__all__ = [
    "Alert",
    "AlertDelivery",
    "AlertUnit",
    "Alerts",
    "DeliveryState",
    "Raised",
    "Severity",
    "raise_alert",
]

_MOST = 1_000


class Severity(enum.StrEnum):
    """How soon somebody should look."""

    INFO = "info"  # good to know
    WARNING = "warning"  # soon
    CRITICAL = "critical"  # at once


class DeliveryState(enum.StrEnum):
    """How far the delivery of an alert to one receiver is."""

    WAITING = "waiting"  # for its first or next attempt
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"  # after days of attempts


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something that people should know.

    ``kind`` is a noun and what has become of it, as ``experiment.rolled_back``; ``subject`` says
    which one. ``evidence`` is whatever JSON shows why. ``handed_on`` once deliveries stand for
    every receiver.
    """

    id: str
    kind: str
    subject: str
    severity: Severity
    at: datetime
    text: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    handed_on: int = 0

    @classmethod
    def of(cls, kind: str, subject: str, *, occasion: str, **fields: Any) -> Alert:
        """Return an alert whose id follows from what it is about.

        Parameters
        ----------
        kind, subject
            What it tells of.
        occasion
            Which of the times that it could be told: the same one is told once, however often it
            is raised.
        **fields
            ``severity``, ``at``, ``text`` and ``evidence``.
        """
        about = f"{kind}\x00{subject}\x00{occasion}".encode("utf-8", "surrogatepass")
        made = f"alert_{hashlib.sha256(about).hexdigest()[:24]}"
        return cls(id=made, kind=kind, subject=subject, **fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertDelivery:
    """An alert on its way to one receiver.

    ``target`` is a digest of the receiver's address, which may hold a secret, ``host`` what may be
    shown of it. ``due_at`` is when the next attempt may begin, ``at`` when it arrived.
    """

    alert: str
    target: str
    host: str
    state: DeliveryState
    attempts: int
    due_at: datetime
    at: datetime | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Raised:
    """An alert, and how far its deliveries are; none where no receiver is configured."""

    alert: Alert
    deliveries: tuple[AlertDelivery, ...]


class AlertUnit(Protocol):
    """Alerts and their deliveries, inside one unit of work."""

    @property
    def alerts(self) -> Collection[Alert]:
        """Alerts under their id."""
        ...

    @property
    def alert_deliveries(self) -> Collection[AlertDelivery]:
        """Deliveries under (alert, target)."""
        ...


def raise_alert(unit: AlertUnit, alert: Alert) -> None:
    """Keep an alert in the unit of work that does, or finds, what it tells of.

    One that was raised before, by its id, is not raised again.
    """
    unit.alerts.add_missing([alert])


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerts:
    """What people were told."""

    store: Store[AlertUnit]
    actor: Identity

    @requires(Role.VIEWER)
    def list(self, last: int = 100) -> Sequence[Raised]:
        """Return the last alerts, oldest first, and how far their deliveries are.

        Parameters
        ----------
        last
            How many at most, from 1 to 1000.
        """
        if not 1 <= last <= _MOST:
            raise InvalidInput(
                f"last is {last}; ask for 1 to {_MOST} alerts", field="last", value=last
            )
        with self.store.read() as unit:
            return [
                Raised(alert, tuple(unit.alert_deliveries.find(alert=alert.id)))
                for alert in unit.alerts.find(last=last)
            ]
