"""Predict over HTTP, beside what people write without Palio, and beside the limit.

The same pipeline and request each; every server is one uvicorn process on the first core, the
load generator has the last. Palio authenticates, checks the schema, routes an experiment,
predicts with scikit-learn and commits to the event log before it answers; plain and strong
FastAPI predict, with scikit-learn and with onnxruntime; the echo does nothing.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from statistics import median
from time import perf_counter

from serving.load import Connection, Load, ask, request_bytes
from serving.material import BODY, prepared
from serving.processes import HERE, PALIO, Server, served

ROUNDS, SECONDS = 7, 1.5
Rounds = dict[str, list[Load]]


def measure(servers: dict[str, Server], concurrency: int) -> Rounds:
    """Ask all servers in turn, so that a busy machine slows all; a failure is no figure."""
    rounds: Rounds = {name: [] for name in servers}
    for _ in range(ROUNDS):
        for name, server in servers.items():
            rounds[name].append(ask(server, concurrency=concurrency, seconds=SECONDS))
    failed = {name: sum(one.failed for one in loads) for name, loads in rounds.items()}
    if any(failed.values()):
        raise RuntimeError(f"requests failed: {failed}")
    return rounds


def first_answer_s(server: Server) -> float:
    """Return how long after its start a server has answered its first request."""
    connection = Connection(server.port)
    with connection.socket:
        connection.send(server.request)
        while (head := connection.received()) is None:
            pass
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head.decode())
    return perf_counter() - server.started


def row(
    what: str, rounds: Rounds, *, limit: str, figure: str, target: str
) -> dict[str, str | float]:
    """Compare one figure of Palio's with a peer's: medians, and the median of the ratios."""
    ours, theirs = ([getattr(one, figure) for one in rounds[name]] for name in ("palio", limit))
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    return {
        "what": what,
        "ours": median(ours),
        "limit": median(theirs),
        "ratio": median(ratios),
        "target": target,
    }


def rows() -> list[dict[str, str | float]]:
    """Measure at concurrency 64 and 1."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        material = prepared(folder)
        ours = request_bytes("/v1/predict/e", BODY, material.key)
        theirs = request_bytes("/predict", BODY)
        servers, first_s = {}, {}
        for name, command, request in (
            ("palio", PALIO, ours),
            ("echo", (sys.executable, f"{HERE}/echo.py"), theirs),
            ("strong", (sys.executable, f"{HERE}/strong.py", material.converted), theirs),
            ("plain", (sys.executable, f"{HERE}/plain.py", material.pickled), theirs),
        ):
            servers[name] = opened.enter_context(served(command, request, folder=folder))
            first_s[name] = first_answer_s(servers[name])
            ask(servers[name], concurrency=8, seconds=0.5)
        many = measure(servers, 64)
        rss_mb = {name: server.rss_mb for name, server in servers.items()}
        one = measure({name: servers[name] for name in ("palio", "echo", "strong", "plain")}, 1)
    return [
        *(
            row(f"predict {what}, limit: {limit}", seen, limit=limit, figure=figure, target=target)
            for what, seen, limit, figure, target in (
                ("requests/s at 64", many, "echo", "rate", ">= 0.25 (later 0.50)"),
                ("requests/s at 64", many, "plain", "rate", ">= 4 (later 8)"),
                ("requests/s at 64", many, "strong", "rate", "later >= 2.5"),
                ("CPU us at 64", many, "echo", "cpu_us", "<= 4 (later 2)"),
                ("CPU us at 64", many, "plain", "cpu_us", "<= 0.25 (later 0.125)"),
                ("CPU us at 64", many, "strong", "cpu_us", "later <= 0.40"),
                ("p50 ms at 1", one, "echo", "p50_ms", "later <= 1.7"),
                ("p50 ms at 1", one, "plain", "p50_ms", "informative"),
            )
        ),
        *(
            {
                "what": what,
                "ours": found["palio"],
                "limit": found["plain"],
                "ratio": found["palio"] / found["plain"],
                "target": target,
            }
            for what, found, target in (
                ("predict RSS MB, limit: plain", rss_mb, "later <= 130 MB"),
                ("predict first answer s, limit: plain", first_s, "later <= 1.5 s"),
            )
        ),
    ]


if __name__ == "__main__":
    for found in rows():
        print(found)
