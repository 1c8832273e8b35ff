"""How the peers run: one uvicorn process on a free port, as `palio serve` does."""

from __future__ import annotations

import socket
from typing import Any

import uvicorn

__all__ = ["run"]


def run(app: Any) -> None:
    """Serve an application until interrupted; the address is printed first."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run([listening])
