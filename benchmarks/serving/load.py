"""A load generator: connections that each ask again as soon as they were answered.

Plain sockets and a selector, so that the generator is not what limits a server.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median, quantiles
from time import perf_counter

from serving.processes import Server, on_last_core

__all__ = ["Connection", "Load", "ask", "request_bytes"]

_LENGTH = b"content-length:"


@dataclass(frozen=True, slots=True)
class Load:
    """What one load showed: requests a second, the server's CPU a request, latencies.

    ``failed`` counts answers that were not 200.
    """

    rate: float
    cpu_us: float
    failed: int
    latencies_ms: list[float] = field(repr=False)

    @property
    def p50_ms(self) -> float:
        return median(self.latencies_ms)

    @property
    def p99_ms(self) -> float:
        return quantiles(self.latencies_ms, n=100)[98]


def request_bytes(path: str, body: bytes, key: str = "") -> bytes:
    """Return one HTTP/1.1 request."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection:
    """One connection, with at most one request under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.asked = 0.0
        self._got = b""

    def send(self, request: bytes) -> None:
        self.asked = perf_counter()
        self.socket.sendall(request)

    def received(self) -> bytes | None:
        """Take what has come; return the answer's head when the answer is whole."""
        some = self.socket.recv(65_536)
        if not some:
            raise RuntimeError("the server has closed the connection")
        got = self._got + some if self._got else some
        end = got.find(b"\r\n\r\n")
        if end < 0 or len(got) < end + 4 + _length(got[:end]):
            self._got = got
            return None
        self._got = b""
        return got[:end]


def _length(head: bytes) -> int:
    lower = head.lower() + b"\r\n"
    at = lower.index(_LENGTH) + len(_LENGTH)
    return int(lower[at : lower.index(b"\r\n", at)])


def ask(server: Server, *, concurrency: int, seconds: float) -> Load:
    """Ask a server over a number of connections for a while, from the last core.

    Parameters
    ----------
    server
        Whom, and what.
    concurrency
        How many connections.
    seconds
        How long.
    """
    latencies, failed = [], 0
    with on_last_core(), _connected(server.port, concurrency) as waiting:
        used, start = server.cpu_s, perf_counter()
        for key in waiting.get_map().values():
            key.data.send(server.request)
        while perf_counter() < start + seconds:
            for key, _ in waiting.select():
                head = key.data.received()
                if head is not None:
                    latencies.append(1e3 * (perf_counter() - key.data.asked))
                    failed += not head.startswith(b"HTTP/1.1 200")
                    key.data.send(server.request)
        took, used = perf_counter() - start, server.cpu_s - used
    return Load(len(latencies) / took, 1e6 * used / len(latencies), failed, latencies)


@contextmanager
def _connected(port: int, count: int) -> Iterator[selectors.BaseSelector]:
    with ExitStack() as opened:
        waiting = opened.enter_context(selectors.DefaultSelector())
        for _ in range(count):
            connection = Connection(port)
            opened.enter_context(connection.socket)
            waiting.register(connection.socket, selectors.EVENT_READ, connection)
        yield waiting
