"""A server: where it binds, what it logs, its workers."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from palio.errors import InvalidInput, Refused
from palio.monitoring.logs import begin_logs
from palio.platform.app import application
from palio.platform.connecting import connect
from palio.platform.process import process_name, settle
from palio.settings import Settings

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["serve"]


def serve(settings: Settings, *, on_ready: Callable[[str], None] = lambda _: None) -> None:
    """Serve until interrupted; without any key only on this machine.

    Parameters
    ----------
    settings
        Where to bind, and on which store; port 0 takes a free one.
    on_ready
        Called with the address once requests are answered.

    Raises
    ------
    Refused
        If the address can be reached from elsewhere and no key is configured, or is taken.
    """
    from palio.http.workers import run_one, run_workers

    with connect(settings.store, artifacts=settings.artifacts_url()) as palio:
        if settings.host not in _LOOPBACK and not palio.keys.configured():
            raise Refused(
                f"no API key is configured, so the server answers on this machine only and not "
                f"on {settings.host}; make a key first: palio keys create NAME --role admin",
                host=settings.host,
            )
    _check_log(settings)
    with _bound(settings.host, settings.port) as listening:
        host, port = listening.getsockname()[:2]
        address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        _begin_logs(settings)
        if settings.workers > 1:
            make = partial(_worker, settings, process_name())
            ready = partial(on_ready, address)
            run_workers(make, listening, workers=settings.workers, on_ready=ready)
        else:
            run_one(application(settings, on_ready=partial(_ready, on_ready, address)), listening)


def _ready(tell: Callable[[str], None], address: str) -> None:
    settle()
    tell(address)


def _worker(settings: Settings, server_name: str) -> ASGIApp:
    """Return the application of one of several processes."""
    _begin_logs(settings)
    return application(settings, server_name=server_name, on_ready=settle)


def _check_log(settings: Settings) -> None:
    """Refuse a file that several processes would rotate away from each other."""
    file = settings.log_file
    if settings.workers > 1 and file and settings.log_max_bytes and "{pid}" not in str(file):
        raise InvalidInput(
            f"PALIO_LOG_FILE is {file}, which {settings.workers} workers cannot rotate together; "
            "write {pid} into its name, or set PALIO_LOG_MAX_BYTES=0 and rotate it from outside",
            field="PALIO_LOG_FILE",
            value=str(file),
        )


def _begin_logs(settings: Settings) -> None:
    begin_logs(
        settings.log_level,
        file=settings.log_file,
        max_bytes=settings.log_max_bytes,
        backups=settings.log_backups,
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # it tells of each start and stop


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as failed:
        raise Refused(
            f"{host}:{port} cannot be bound: {failed.strerror}; choose another with --port, "
            "0 for a free one",
            host=host,
            port=port,
        ) from failed
    # asyncio does so only for sockets that say they are TCP, and answers would wait 40 ms
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
