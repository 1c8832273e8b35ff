"""Signals that end a command: each interrupts it once, so that it can tidy up."""

from __future__ import annotations

import math
import signal
import threading
import time
from types import FrameType

__all__ = ["Interruption"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_MOMENT_S = 3.0


class Interruption:
    """Makes Ctrl-C, SIGTERM and a closed terminal one thing: ``KeyboardInterrupt``.

    Use it in a ``with`` statement. For a moment after an interruption, and for good after
    ``ignore``, nothing interrupts again: an impatient second Ctrl-C does not stop the tidying up.
    ``by`` is the signal that has interrupted, if any.
    """

    def __init__(self) -> None:
        self.by: signal.Signals | None = None
        self._deaf_until = 0.0
        self._former: dict[signal.Signals, object] = {}

    def ignore(self) -> None:
        """Let no signal interrupt from now on."""
        self._deaf_until = math.inf

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._former = {
                number: signal.signal(number, self._told)
                for number in _SIGNALS
                if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN
            }
        return self

    def __exit__(self, *_: object) -> None:
        for number, former in self._former.items():
            signal.signal(number, former)  # type: ignore[arg-type]

    def _told(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if now >= self._deaf_until:
            self._deaf_until = now + _MOMENT_S
            self.by = signal.Signals(number)
            raise KeyboardInterrupt
