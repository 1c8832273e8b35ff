"""Predict over HTTP, against a bare ASGI echo of the same body on the same server.

Both run as processes of their own under uvicorn; one load generator with plain sockets asks them
in turn. Palio's side authenticates, validates, routes an experiment, predicts with scikit-learn
and commits to the event log before it answers; the echo does nothing.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

import msgspec
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import palio
from palio.access.domain import Role
from palio.experiments.designs.design import ExperimentDraft, Metrics, Variant

FEATURES = 23
SECONDS = 2.0
ROUNDS = 3

ECHO = """
import socket, sys, uvicorn
async def echo(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})
listening = socket.create_server(("127.0.0.1", 0))
listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
print("http://127.0.0.1:%d" % listening.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(echo, log_level="warning")).run(sockets=[listening])
"""


@contextmanager
def served(command: list[str], folder: str) -> Iterator[tuple[int, int]]:
    """Run a server that prints its address; yield its port and process id, and stop it."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder)
    try:
        line = process.stdout.readline() if process.stdout else ""
        yield int(line.strip().rsplit(":", 1)[1]), process.pid
    finally:
        process.terminate()
        process.wait(10)


def prepared(folder: str) -> str:
    """Register two versions behind an endpoint with a running experiment; return a key."""
    random = np.random.default_rng(0)
    inputs = random.normal(size=(500, FEATURES))
    labels = (inputs[:, 0] > 0).astype(int)
    with palio.connect(f"{folder}/palio.db") as p:
        for name, strength in (("v1", 1.0), ("v2", 0.1)):
            model = make_pipeline(StandardScaler(), LogisticRegression(C=strength))
            p.register("m", model.fit(inputs, labels), version=name, sample=inputs)
        p.versions.promote("m:v1")
        p.endpoints.create("e", "m")
        p.experiments.draft(
            ExperimentDraft(
                key="x",
                endpoint="e",
                variants=(Variant("control", "v1", 0.5), Variant("challenger", "v2", 0.5)),
                metrics=Metrics("brier"),
            )
        )
        p.experiments.start("x")
        return p.keys.create("bench", Role.OPERATOR).secret


def request_bytes(path: str, body: bytes, key: str) -> bytes:
    """Return one HTTP/1.1 request."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def ask(port: int, request: bytes, until: float, latencies: list[float]) -> None:
    """Ask over one connection, one request after the other, until the time is over."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (start := perf_counter()) < until:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        lower = head.lower()
        at = lower.index(b"content-length:") + 15
        await reader.readexactly(int(lower[at : lower.index(b"\r\n", at)]))
        latencies.append(perf_counter() - start)
    writer.close()


@dataclass(frozen=True)
class Load:
    """What one load showed: requests a second, median latency, the server's CPU a request."""

    rate: float
    p50_ms: float
    cpu_us: float


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process and its threads have used (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(server: tuple[int, int], request: bytes, concurrency: int) -> Load:
    """Ask a server for a while over a number of connections."""
    port, pid = server

    async def run() -> Load:
        latencies: list[float] = []
        used, start = cpu_s(pid), perf_counter()
        until = start + SECONDS
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(ask(port, request, until, latencies))
        rate = len(latencies) / (perf_counter() - start)
        return Load(rate, 1e3 * median(latencies), 1e6 * (cpu_s(pid) - used) / len(latencies))

    return asyncio.run(run())


def rows() -> list[dict[str, str | float]]:
    """Measure both in turn, at concurrency 64 and 1."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as servers:
        key = prepared(folder)
        ours_at = servers.enter_context(
            served([sys.executable, "-m", "palio", "serve", "--port", "0"], folder)
        )
        echo_at = servers.enter_context(served([sys.executable, "-c", ECHO], folder))
        body = msgspec.json.encode({"rows": [[0.5] * FEATURES]})
        request = request_bytes("/v1/predict/e", body, key)
        load(ours_at, request, 8)
        many = [(load(ours_at, request, 64), load(echo_at, request, 64)) for _ in range(ROUNDS)]
        one = [(load(ours_at, request, 1), load(echo_at, request, 1)) for _ in range(ROUNDS)]
    return [
        {
            "what": "predict requests/s at concurrency 64",
            "ours": median(ours.rate for ours, _ in many),
            "limit": median(echo.rate for _, echo in many),
            "ratio": median(ours.rate / echo.rate for ours, echo in many),
            "target": "informative: the load generator is the limit of the echo",
        },
        {
            "what": "predict, server CPU us a request at 64",
            "ours": median(ours.cpu_us for ours, _ in many),
            "limit": median(echo.cpu_us for _, echo in many),
            "ratio": median(echo.cpu_us / ours.cpu_us for ours, echo in many),
            "target": ">= 0.25 (later 0.50)",
        },
        {
            "what": "predict p50 at concurrency 1, ms",
            "ours": median(ours.p50_ms for ours, _ in one),
            "limit": median(echo.p50_ms for _, echo in one),
            "ratio": median(ours.p50_ms / echo.p50_ms for ours, echo in one),
            "target": "<= 1.7 later, once models are converted",
        },
    ]


if __name__ == "__main__":
    print(rows())
