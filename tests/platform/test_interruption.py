"""Signals interrupt a command once, and not while it tidies up."""

from __future__ import annotations

import signal

import pytest

from palio.platform.interruption import Interruption


def test_a_signal_interrupts_once_and_an_impatient_second_one_does_not() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Interruption() as interruption:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
    assert interruption.by is signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_nothing_interrupts_the_tidying_up() -> None:
    with Interruption() as interruption:
        interruption.ignore()
        signal.raise_signal(signal.SIGINT)
    assert interruption.by is None
