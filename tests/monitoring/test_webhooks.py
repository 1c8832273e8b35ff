"""Messages are signed as the standard says, and go where they may."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook

from palio import platform
from palio.access.alerts import Alert, Severity
from palio.errors import InvalidInput
from palio.monitoring.webhooks import Secret, body_of, post, receivers

from .receivers import SECRET, receiver

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ALERT = Alert.of(
    "experiment.decided", "exp", occasion="1", severity=Severity.INFO, at=NOW, text="done ü"
)


def test_a_signature_is_that_of_the_standards_own_library() -> None:
    body = body_of(ALERT)
    headers = Secret.parse(SECRET).headers(ALERT.id, NOW, body)
    assert headers["webhook-id"] == ALERT.id
    assert headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert headers["webhook-signature"] == Webhook(SECRET).sign(ALERT.id, NOW, body.decode())


def test_a_message_has_a_type_a_time_and_data() -> None:
    body = body_of(ALERT)
    now = platform._now()
    message = Webhook(SECRET).verify(body, dict(Secret.parse(SECRET).headers("i", now, body)))
    assert message["type"] == "experiment.decided"
    assert message["timestamp"] == "2026-01-01T00:00:00Z"
    assert message["data"] == {
        "id": ALERT.id,
        "subject": "exp",
        "severity": "info",
        "text": "done ü",
        "evidence": {},
    }


@pytest.mark.parametrize(
    "text", ["", "whsec_", "whsec_YWJj", "whsec_ü" + "a" * 40, "whsec_" + "A" * 96, SECRET[6:]]
)
def test_a_secret_is_as_the_standard_says(text: str) -> None:
    with pytest.raises(InvalidInput, match="24 to 64 bytes") as caught:
        Secret.parse(text)
    assert len(text) < 7 or text not in caught.value.message


@pytest.mark.parametrize(
    "url", ["ftp://a/b", "file:///etc/passwd", "a.example/hook", "https://", "javascript:alert(1)"]
)
def test_only_http_is_spoken(url: str) -> None:
    with pytest.raises(InvalidInput, match="address 2 is not http") as caught:
        receivers(["https://a.example/x", url])
    assert caught.value.details["field"] == "PALIO_WEBHOOK_URLS"


def test_an_address_is_sent_to_once_and_never_shown() -> None:
    url = "https://hooks.example/T0/s3cret"
    [one] = receivers([url, url])
    assert (one.host, len(one.target)) == ("hooks.example", 16)
    assert "s3cret" not in repr(one)


def test_a_redirect_is_a_failure() -> None:
    with receiver(307) as received:
        assert post(received.url, {}, b"{}") == "HTTP 307"
        assert received.messages == []


def test_who_does_not_answer_is_said() -> None:
    assert post("http://127.0.0.1:1/", {}, b"").startswith("ConnectError: ")
