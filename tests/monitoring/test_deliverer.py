"""Alerts arrive: once, whoever fails on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import servers

import palio
from palio.access.alerts import Alert, DeliveryState, Severity, raise_alert
from palio.errors import StoreUnavailable
from palio.monitoring.deliverer import Deliverer
from palio.monitoring.webhooks import Receiver, Secret
from palio.storage.store import SqlStore
from palio.testing.steps import in_threads
from palio.testing.wired import Wired

from .receivers import SECRET, receiver


@dataclass
class Post:
    """Receivers that are told what to do, and what reached them."""

    failing: str = ""
    sent: list[tuple[str, str]] = field(default_factory=list)
    raising: BaseException | None = None

    def __call__(self, url: str, headers: Mapping[str, str], _: bytes) -> str:
        self.sent.append((url, headers["webhook-id"]))
        if self.raising is not None:
            raise self.raising
        return self.failing if url.endswith("/bad") else ""


def deliverer(wired: Wired, sending: Any, *urls: str) -> Deliverer:
    return Deliverer(
        store=wired.store,
        receivers=[Receiver(url) for url in urls or ("http://a/good",)],
        secret=Secret.parse(SECRET),
        clock=wired.clock,
        send=sending,
        log=lambda _: None,
    )


def alert(wired: Wired, occasion: str = "1") -> Alert:
    return Alert.of(
        "deployment.rolled_back",
        "credit",
        occasion=occasion,
        severity=Severity.CRITICAL,
        at=wired.clock(),
        text="credit went back to 1",
        evidence={"error_rate": 0.5},
    )


def told(wired: Wired, *occasions: str) -> None:
    with wired.store.write() as unit:
        for occasion in occasions or ("1",):
            raise_alert(unit, alert(wired, occasion))


def states(wired: Wired) -> list[list[str]]:
    return [[one.state for one in raised.deliveries] for raised in wired.alerts.list()]


def test_each_receiver_is_sent_each_alert_once(wired: Wired) -> None:
    told(wired, "1", "2", "1")
    post = Post()
    sending = deliverer(wired, post, "http://a/x", "http://b/x")
    assert sending.step() == 4
    assert len(set(post.sent)) == len(post.sent) == 4
    wired.clock.advance(1e6)
    assert sending.step() == 0
    assert states(wired) == [[DeliveryState.DELIVERED] * 2] * 2


def test_what_was_undone_is_not_told(wired: Wired) -> None:
    def undone() -> None:
        with wired.store.write() as unit:
            raise_alert(unit, alert(wired))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        undone()
    assert list(wired.alerts.list()) == []


def test_who_fails_is_tried_again_later_and_later(wired: Wired) -> None:
    told(wired)
    post = Post(failing="HTTP 500")
    sending = deliverer(wired, post, "http://a/bad", "http://b/good")
    begun, times = wired.clock(), []
    while wired.clock() - begun < timedelta(hours=3):
        before = len(post.sent)
        sending.step()
        if len(post.sent) > before:
            times.append((wired.clock() - begun).total_seconds())
        wired.clock.advance(5)
    # 5 s, 30 s, 2 min, 10 min, 30 min, then an hour each
    assert times == [0, 5, 35, 155, 755, 2_555, 6_155, 9_755]
    assert [url for url, _ in post.sent].count("http://b/good") == 1
    [raised] = wired.alerts.list()
    [bad] = [one for one in raised.deliveries if one.state is DeliveryState.WAITING]
    assert (bad.attempts, bad.error) == (8, "HTTP 500")
    post.failing = ""
    wired.clock.advance(3_600)
    assert sending.step() == 1


def test_after_days_it_is_given_up(wired: Wired) -> None:
    told(wired)
    sending = deliverer(wired, Post(failing="HTTP 410"), "http://a/bad")
    for _ in range(100):
        sending.step()
        wired.clock.advance(3_600)
    assert states(wired) == [[DeliveryState.GIVEN_UP]]


def test_one_that_is_killed_while_it_sends_loses_nothing(wired: Wired) -> None:
    """Nobody can know whether the message had arrived: it comes again, under the same id."""
    told(wired)
    killed = Post(raising=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        deliverer(wired, killed).step()
    post = Post()
    wired.clock.advance(59)
    assert deliverer(wired, post).step() == 0  # it might still be at it
    wired.clock.advance(1)
    assert deliverer(wired, post).step() == 1
    assert post.sent == killed.sent


def test_one_that_cannot_note_it_sends_again_under_the_same_id(wired: Wired) -> None:
    told(wired)
    post = Post()
    sending = deliverer(wired, post)
    store: Any = wired.store

    class Full:
        read = staticmethod(store.read)
        writes = 0

        def write(self) -> Any:
            self.writes += 1
            if self.writes == 3:  # the first two hand on and claim
                raise StoreUnavailable("the disk is full")
            return store.write()

    with pytest.raises(StoreUnavailable):
        replace(sending, store=Full()).step()
    wired.clock.advance(60)
    assert sending.step() == 1
    assert post.sent[0] == post.sent[1]


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_of_many_processes_one_sends(request: pytest.FixtureRequest, kind: str) -> None:
    store: SqlStore = request.getfixturevalue(f"{kind}_store")
    wired = Wired(store)
    told(wired, *map(str, range(10)))
    post = Post()

    def send(_: int) -> None:
        deliverer(wired, post).step()

    in_threads([send] * 4)
    deliverer(wired, post).step()  # what two wanted at once, neither may have sent
    assert len(post.sent) == len(set(post.sent)) == 10


def test_receivers_that_come_later_are_not_told_old_stories(wired: Wired) -> None:
    told(wired, "old")
    wired.clock.advance(25 * 3_600)
    told(wired, "new")
    post = Post()
    assert deliverer(wired, post).step() == 1
    assert states(wired) == [[], [DeliveryState.DELIVERED]]


def until(done: Callable[[], bool], event: Any) -> None:
    """Wait for what an event announces."""
    for _ in range(int(servers.PATIENCE_S)):
        if done():
            return
        event.wait(1)
        event.clear()
    raise AssertionError("it has not come")


def test_an_alert_survives_a_server_that_is_killed(home: str, tmp_path: Path) -> None:
    """The receiver answers 500, the server is killed, another one delivers what was raised."""
    settings = {"PALIO_WEBHOOK_SECRET": SECRET}
    artifacts = str(Path(home).with_name("palio-artifacts"))
    with receiver(500, 500) as received:
        settings["PALIO_WEBHOOK_URLS"] = received.url
        process = servers.start(home, artifacts=artifacts, folder=tmp_path, **settings)
        with palio.connect(process.address) as opened:
            opened.experiments.draft(servers.design("exp"))
            opened.experiments.start("exp")
            opened.experiments.rollback("exp", "try it")
        until(lambda: len(received.refused) > 0, received.arrived)
        process.end(servers.signal.SIGKILL)
        process = servers.start(home, artifacts=artifacts, folder=tmp_path, **settings)
        try:
            received.answers.clear()
            until(lambda: len(received.messages) > 0, received.arrived)
        finally:
            process.end(servers.signal.SIGTERM)
        [(name, message)] = received.messages
        assert received.refused == [name]
        assert (message["type"], message["data"]["subject"]) == ("experiment.rolled_back", "exp")
        with palio.connect(home) as opened:
            [raised] = opened.alerts.list()
        assert [one.state for one in raised.deliveries] == [DeliveryState.DELIVERED]
        assert "/hook" not in (tmp_path / "serve.log").read_text()
