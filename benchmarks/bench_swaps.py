"""Hot swaps under load: the champion moves to and fro through HTTP, and no request fails.

Rounds with swaps alternate with rounds without, at concurrency 64. Palio runs as in the rows of
``predict``, but for the experiment: the champion answers.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from statistics import median
from threading import Event, Thread

from serving.load import Connection, Load, ask, request_bytes
from serving.material import BODY, prepared
from serving.processes import PALIO, served

ROUNDS, SECONDS, PAUSE_S = 6, 2.0, 0.03


@dataclass(slots=True)
class Swaps:
    """How many swaps were made, and how many of them were refused."""

    made: int = 0
    refused: int = 0


@contextmanager
def swapping(port: int, key: str, swaps: Swaps) -> Iterator[None]:
    """Promote and roll back in turn, beside what the block does."""
    ending = Event()
    turns = cycle(
        request_bytes(path, b"{}", key)
        for path in ("/v1/versions/m:v2/promote", "/v1/models/m/rollback")
    )

    def swap() -> None:
        connection = Connection(port)
        with connection.socket:
            while swaps.made % 2 or not ending.wait(PAUSE_S):  # ends as it began
                connection.send(next(turns))
                while (head := connection.received()) is None:
                    pass
                swaps.made += 1
                swaps.refused += not head.startswith(b"HTTP/1.1 200")

    thread = Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


def rows() -> list[dict[str, str | float]]:
    """Measure latencies with and without swaps in turn."""
    swaps, still, moved = Swaps(), list[Load](), list[Load]()
    with tempfile.TemporaryDirectory() as folder:
        key = prepared(folder, experiment=False).key
        request = request_bytes("/v1/predict/e", BODY, key)
        with served(PALIO, request, folder=folder) as server:
            ask(server, concurrency=64, seconds=0.5)
            for _ in range(ROUNDS):
                still.append(ask(server, concurrency=64, seconds=SECONDS))
                with swapping(server.port, key, swaps):
                    moved.append(ask(server, concurrency=64, seconds=SECONDS))
    if swaps.refused:
        raise RuntimeError(f"{swaps.refused} of {swaps.made} swaps were refused")
    failed, asked = sum(one.failed for one in moved), sum(len(one.latencies_ms) for one in moved)
    return [
        {
            "what": f"failed requests in {swaps.made} hot swaps, of all",
            "ours": failed,
            "limit": asked,
            "ratio": failed / asked,
            "target": "0",
        },
        {
            "what": "p99 ms at 64 with hot swaps, limit: without",
            "ours": median(one.p99_ms for one in moved),
            "limit": median(one.p99_ms for one in still),
            "ratio": median(
                one.p99_ms / other.p99_ms for one, other in zip(moved, still, strict=True)
            ),
            "target": "<= 1.5",
        },
    ]


if __name__ == "__main__":
    for found in rows():
        print(found)
