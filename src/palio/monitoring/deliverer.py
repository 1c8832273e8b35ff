"""Alerts on their way to those who should know: kept until they arrive, sent until they do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from operator import attrgetter

from palio.access.alerts import Alert, AlertDelivery, AlertUnit, DeliveryState
from palio.monitoring.webhooks import Receiver, Secret, body_of, post
from palio.ports import Clock, Store

__all__ = ["Deliverer"]

_CLAIM_S = 60.0  # that nobody else sends while one does; longer than an attempt may take
_BACKOFF_S = (5.0, 30.0, 120.0, 600.0, 1_800.0, 3_600.0)  # after each attempt; then as the last
_WAIT = timedelta(days=3)  # after which a delivery is given up
_STALE = timedelta(days=1)  # older alerts are not sent to receivers that were configured later


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliverer:
    """Sends what is due, step by step; any number of processes may do so on one store.

    An attempt is claimed in the store before it is made, so that no two make it at once. One
    that is killed in the middle is made again after a minute, under the same id: whether the
    message had arrived nobody can know, and by its id the receiver does.

    Parameters
    ----------
    store
        Where alerts are raised.
    receivers
        Who is sent each of them.
    secret
        What messages are signed with.
    clock
        What time it is.
    send
        Sends one message, and returns why it has not arrived.
    log
        Called with a line for each attempt that fails.
    """

    store: Store[AlertUnit]
    receivers: Sequence[Receiver]
    secret: Secret
    clock: Clock
    send: Callable[[str, Mapping[str, str], bytes], str] = post
    log: Callable[[str], object]
    rest_s: float = 1.0

    def step(self) -> int:
        """Hand on what was raised, and try what is due; return how many have arrived."""
        self._hand_on()
        arrived = 0
        while (claimed := self._claimed()) is not None:
            arrived += self._attempt(*claimed)
        return arrived

    def release(self) -> None:
        """Do nothing: what waits is in the store."""

    def _hand_on(self) -> None:
        """Note a delivery to each receiver for the alerts that have none yet."""
        with self.store.read() as unit:
            if not unit.alerts.find(handed_on=0):
                return
        now = self.clock()
        with self.store.write() as unit:
            for alert in unit.alerts.find(handed_on=0):
                if now - alert.at < _STALE:
                    unit.alert_deliveries.add_missing(self._deliveries(alert, now))
                unit.alerts.put_many([replace(alert, handed_on=1)])

    def _deliveries(self, alert: Alert, now: datetime) -> Iterable[AlertDelivery]:
        return [
            AlertDelivery(
                alert=alert.id,
                target=one.target,
                host=one.host,
                state=DeliveryState.WAITING,
                attempts=0,
                due_at=now,
            )
            for one in self.receivers
        ]

    def _claimed(self) -> tuple[Alert, AlertDelivery] | None:
        """Take what is due longest, so that nobody else does."""
        with self.store.read() as unit:
            if self._due(unit) is None:
                return None
        with self.store.write() as unit:
            due = self._due(unit)
            if due is None:
                return None
            one = unit.alert_deliveries.get(due.alert, due.target, lock=True)
            alert = unit.alerts.get(due.alert)
            if one != due or alert is None:  # on PostgreSQL another process may have been first
                return None
            until = self.clock() + timedelta(seconds=_CLAIM_S)
            claimed = replace(due, attempts=due.attempts + 1, due_at=until)
            unit.alert_deliveries.put_many([claimed])
        return alert, claimed

    def _due(self, unit: AlertUnit) -> AlertDelivery | None:
        now, targets = self.clock(), {one.target for one in self.receivers}
        waiting = unit.alert_deliveries.find(state=DeliveryState.WAITING)
        due = [one for one in waiting if one.due_at <= now and one.target in targets]
        return min(due, key=attrgetter("due_at"), default=None)

    def _attempt(self, alert: Alert, claimed: AlertDelivery) -> bool:
        url = next(one.url for one in self.receivers if one.target == claimed.target)
        body = body_of(alert)
        error = self.send(url, self.secret.headers(alert.id, self.clock(), body), body)
        now = self.clock()
        if not error:
            done = replace(claimed, state=DeliveryState.DELIVERED, at=now, error="")
        elif now - alert.at >= _WAIT:
            done = replace(claimed, state=DeliveryState.GIVEN_UP, error=error)
        else:
            rest_s = _BACKOFF_S[min(claimed.attempts, len(_BACKOFF_S)) - 1]
            done = replace(claimed, due_at=now + timedelta(seconds=rest_s), error=error)
        with self.store.write() as unit:
            unit.alert_deliveries.put_many([done])
        if error:
            self.log(f"{alert.id} has not reached {claimed.host}: {error}")
        return not error
