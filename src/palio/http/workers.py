"""Several processes that answer at one address, and the one that keeps them running."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection
from socket import socket
from threading import Event, Thread

import uvicorn
from starlette.types import ASGIApp
from uvicorn.supervisors import Multiprocess

__all__ = ["run_one", "run_workers"]

_SILENT_S = 60  # after which a process that says nothing is stopped: it may be loading models
_LOOK_S = 0.1


def run_one(app: ASGIApp, listening: socket) -> None:
    """Answer in this process until interrupted."""
    config = uvicorn.Config(app, log_config=None, access_log=False)
    uvicorn.Server(config).run(sockets=[listening])


def run_workers(
    make: Callable[[], ASGIApp], listening: socket, *, workers: int, on_ready: Callable[[], None]
) -> None:
    """Answer in several processes until interrupted; one that dies is followed by another.

    Parameters
    ----------
    make
        Makes the application, in each of the processes; it is sent there, so it is a function of
        a module, or a partial of one.
    listening
        The socket that all share: whoever is free takes the next connection.
    workers
        How many.
    on_ready
        Called when the first of them answers.
    """
    config = uvicorn.Config(
        partial(_made, make),
        factory=True,
        workers=workers,
        log_config=None,
        access_log=False,
        timeout_worker_healthcheck=_SILENT_S,
    )
    supervisor = Multiprocess(config, sockets=[listening])
    address = listening.getsockname()[:2]
    thread = Thread(target=_tell, args=(address, supervisor.should_exit, on_ready), daemon=True)
    thread.start()
    supervisor.run()


def _made(make: Callable[[], ASGIApp]) -> ASGIApp:
    """Make the application, in a process that ends when the one that began it is gone."""
    Thread(target=_follow, daemon=True).start()
    return make()


def _follow() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        signal.raise_signal(signal.SIGTERM)


def _tell(address: tuple[str, int], ending: Event, on_ready: Callable[[], None]) -> None:
    """Wait until somebody answers."""
    while not ending.wait(_LOOK_S):
        connection = HTTPConnection(*address, timeout=_LOOK_S * 50)
        try:
            connection.request("GET", "/healthz")
            if connection.getresponse().status == HTTPStatus.OK:
                on_ready()
                return
        except OSError:
            continue
        finally:
            connection.close()
