"""What makes the demonstration leave nothing behind: its folder, and its way with signals."""

from __future__ import annotations

import math
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from urllib.request import getproxies

__all__ = ["Interruption", "direct_to_loopback", "workplace", "write_aside"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_MOMENT_S = 3.0


class Interruption:
    """Makes Ctrl-C, SIGTERM and a closed terminal one thing: ``KeyboardInterrupt``.

    Use it in a ``with`` statement. For a moment after an interruption, and for good after
    ``ignore``, nothing interrupts again: an impatient second Ctrl-C does not stop the tidying up.
    """

    def __init__(self) -> None:
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

    def _told(self, _number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if now >= self._deaf_until:
            self._deaf_until = now + _MOMENT_S
            raise KeyboardInterrupt


@contextmanager
def workplace(keep: Path | None) -> Iterator[Path]:
    """Make a folder that is gone at the end, or is ``keep`` when all went well.

    Yields
    ------
    Path
        The folder, hidden beside ``keep`` until then, or in the system's place for such.
    """
    parent = None if keep is None else keep.absolute().parent
    folder = Path(tempfile.mkdtemp(prefix=".palio-demo-" if keep else "palio-demo-", dir=parent))
    try:
        yield folder
        if keep is not None:
            folder.rename(keep)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def direct_to_loopback() -> Iterator[None]:
    """Keep requests to this machine from any proxy that the environment names."""
    before = os.environ.get("no_proxy")
    others = getproxies().get("no")
    os.environ["no_proxy"] = ",".join(filter(None, [others, "127.0.0.1"]))
    try:
        yield
    finally:
        del os.environ["no_proxy"]
        if before is not None:
            os.environ["no_proxy"] = before


def write_aside(path: Path, text: str) -> None:
    """Write a file so that it is there as a whole or not at all."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
