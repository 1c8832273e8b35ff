"""Records of keys and alerts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from palio.access.alerts import Alert, AlertDelivery, DeliveryState, Severity
from palio.access.domain import ApiKey, Role
from palio.testing.records.odd import ODD, WHEN

__all__ = ["RECORDS"]

_KEY = ApiKey(
    id="key_1",
    name=ODD,
    role=Role.OPERATOR,
    digest="0" * 64,
    created_at=WHEN,
    created_by="admin",
    expires_at=WHEN + timedelta(days=1),
    revoked_at=WHEN + timedelta(microseconds=1),
)
_ALERT = Alert.of(
    "experiment.rolled_back",
    ODD,
    occasion="1",
    severity=Severity.CRITICAL,
    at=WHEN,
    text=ODD,
    evidence={ODD: [1, None, {"deep": True}]},
)
_DELIVERY = AlertDelivery(
    alert=_ALERT.id,
    target="ab" * 8,
    host="example.org",
    state=DeliveryState.DELIVERED,
    attempts=2,
    due_at=WHEN,
    at=WHEN,
    error=ODD,
)
RECORDS: Mapping[str, Sequence[Any]] = {
    "keys": [_KEY, replace(_KEY, id="key_2", role=Role.VIEWER, expires_at=None, revoked_at=None)],
    "alerts": [_ALERT, replace(_ALERT, id="a", evidence={}, handed_on=1)],
    "alert_deliveries": [_DELIVERY, replace(_DELIVERY, target="a", at=None)],
}
