"""Servers in processes of their own, and what the system says about them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

__all__ = ["HERE", "PALIO", "Server", "on_last_core", "served"]

HERE = Path(__file__).parent
PALIO = (sys.executable, "-m", "palio", "serve", "--port", "0")


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers, the request it is asked, and when its process was started."""

    port: int
    pid: int
    started: float
    request: bytes

    @property
    def cpu_s(self) -> float:
        """CPU seconds that the process and its threads have used (Linux)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def rss_mb(self) -> float:
        """Megabytes of memory that it has now."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def served(command: Sequence[str], request: bytes, *, folder: str) -> Iterator[Server]:
    """Run a server that prints its address, on the first core alone, and stop it at the end.

    Parameters
    ----------
    command
        What starts it.
    request
        What it will be asked.
    folder
        Where it runs.
    """
    started = perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder)
    _keep_to(process.pid, 0)
    try:
        line = process.stdout.readline() if process.stdout else ""
        yield Server(int(line.strip().rsplit(":", 1)[1]), process.pid, started, request)
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def on_last_core() -> Iterator[None]:
    """Keep this process to the last core for a while."""
    if not hasattr(os, "sched_getaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    _keep_to(0, -1)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _keep_to(pid: int, place: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(pid, {sorted(os.sched_getaffinity(pid))[place]})
