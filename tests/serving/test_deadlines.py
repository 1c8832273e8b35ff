"""Calls that must return in time: those that do, those that do not, and those that come back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from palio.serving.deadlines import Deadlines

PATIENCE_S = 10.0
KEY = ("m", "v1")


def held(deadlines: Deadlines) -> tuple[threading.Event, threading.Event]:
    """Begin a call that waits until it may end, and let it be late."""
    open_, ended = threading.Event(), threading.Event()

    def call() -> None:
        assert open_.wait(PATIENCE_S)
        ended.set()

    with pytest.raises(TimeoutError, match=r"no answer within 0\.01 s"):
        deadlines.begin(KEY, call, 0.01)()
    return open_, ended


def until(true: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("it does not come true")


def test_a_call_in_time_returns_what_it_found() -> None:
    assert Deadlines().begin(KEY, lambda: 7, PATIENCE_S)() == 7


def test_a_call_raises_its_own_errors_even_those_of_time() -> None:
    def call() -> None:
        raise TimeoutError("its own")

    deadlines = Deadlines()
    with pytest.raises(TimeoutError, match="its own"):
        deadlines.begin(KEY, call, PATIENCE_S)()
    assert not deadlines.is_hanging(KEY)


def test_a_version_that_hangs_is_not_asked_until_it_comes_back() -> None:
    deadlines, asked = Deadlines(), threading.Event()
    open_, ended = held(deadlines)
    assert deadlines.is_hanging(KEY)
    with pytest.raises(TimeoutError, match="still at work on rows"):
        deadlines.begin(KEY, asked.set, PATIENCE_S)()
    assert not asked.is_set()
    assert deadlines.begin(("m", "v2"), lambda: "another", PATIENCE_S)() == "another"
    open_.set()
    assert ended.wait(PATIENCE_S)
    until(lambda: not deadlines.is_hanging(KEY))
    deadlines.begin(KEY, asked.set, PATIENCE_S)()
    assert asked.is_set()


def test_hanging_threads_do_not_pile_up() -> None:
    deadlines = Deadlines()
    before = threading.active_count()
    open_, _ = held(deadlines)
    for _ in range(50):
        with pytest.raises(TimeoutError):
            deadlines.begin(KEY, lambda: None, 0.01)()
    assert threading.active_count() == before + 1
    open_.set()


def test_calls_work_beside_each_other() -> None:
    deadlines, met = Deadlines(), threading.Barrier(2, timeout=PATIENCE_S)
    waits = [deadlines.begin(("m", name), met.wait, PATIENCE_S) for name in ("v1", "v2")]
    assert sorted(wait() for wait in waits) == [0, 1]
