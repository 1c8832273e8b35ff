"""Real servers over real sockets: in a thread of this process, or in a process of their own."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import uvicorn
from sklearn.linear_model import LogisticRegression

import palio
from palio import platform
from palio.experiments.designs.design import ExperimentDraft, Metrics, Variant
from palio.settings import Settings

PATIENCE_S = 30.0  # what a busy machine is given before a test says that something hangs
SAMPLE = np.random.default_rng(0).normal(size=(200, 3))
LABELS = (SAMPLE[:, 0] + SAMPLE[:, 1] > 0).astype(int)


def model(strength: float = 1.0) -> Any:
    """Return a small classifier of three numbers, x0, x1 and x2."""
    return LogisticRegression(C=strength).fit(SAMPLE, LABELS)


def credit(opened: palio.Palio, *, experiment: str | None = None) -> None:
    """Register credit:v1 (champion) and credit:v2 behind the endpoint credit."""
    opened.register("credit", model(1.0), version="v1", sample=SAMPLE)
    opened.register("credit", model(0.001), version="v2", sample=SAMPLE)
    opened.versions.promote("credit:v1")
    opened.endpoints.create("credit", "credit")
    if experiment is not None:
        opened.experiments.draft(design(experiment))
        opened.experiments.start(experiment)


def design(key: str, **fields: Any) -> ExperimentDraft:
    """Return an experiment that splits the endpoint credit in halves."""
    given: dict[str, Any] = {
        "key": key,
        "endpoint": "credit",
        "variants": (Variant("control", "v1", 0.5), Variant("challenger", "v2", 0.5)),
        "metrics": Metrics(goal="brier", secondary=("accuracy", "revenue:higher")),
    }
    return ExperimentDraft(**given | fields)


@contextmanager
def serving(store: str, **fields: Any) -> Iterator[str]:
    """Serve a store from a thread of this process, and give the address."""
    ready = Event()
    app = platform.application(Settings(store=store, **fields), on_ready=ready.set)
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as `palio serve` does
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", access_log=False))
    thread = Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        assert ready.wait(PATIENCE_S)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
        listening.close()
    assert not thread.is_alive()


@dataclass(slots=True)
class Process:
    """``palio serve`` in a process group of its own."""

    popen: subprocess.Popen[str]
    address: str

    def end(self, by: signal.Signals) -> int:
        """Send a signal to this process and no other, and return how it ended."""
        self.popen.send_signal(by)  # nothing happens when it has ended already
        code = self.popen.wait(PATIENCE_S)
        assert self.popen.stdout is not None
        self.popen.stdout.close()
        return code


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a child: nothing of Palio's but what is given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PALIO_")}
    package = str(Path(palio.__file__).parents[1])
    found = [package, kept.get("PYTHONPATH", "")]
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, found))} | more


def start(store: str, *, artifacts: str, folder: Path, **more: str) -> Process:
    """Start ``palio serve`` on a free port, with more settings; returns when it answers."""
    with (folder / "serve.log").open("a") as log:
        popen = subprocess.Popen(
            [sys.executable, "-m", "palio", "--store", store, "serve", "--port", "0"],
            env=environment(PALIO_ARTIFACTS=artifacts, **more),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    assert popen.stdout is not None
    readable, _, _ = select.select([popen.stdout], [], [], PATIENCE_S)
    line = popen.stdout.readline() if readable else ""
    said = line.strip().removeprefix("Palio answers at ")
    if not said.startswith("http://"):
        popen.kill()
        popen.wait(PATIENCE_S)
        raise AssertionError(f"no server: {line!r} {(folder / 'serve.log').read_text()}")
    return Process(popen, said)
