"""Commands that look until they are stopped: each leaves at once, and gives its lease back."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.e2e import servers

from palio.delivery.deployments.controller import CONTROLLER
from palio.experiments.evaluating import EVALUATOR
from palio.experiments.lease import Lease
from palio.storage.store import SqlStore, engine_for

from .conftest import Cli

SELDOM = {"PALIO_EVALUATE_S": "600", "PALIO_CONTROL_S": "600"}
HEARING = """
import runpy, signal
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also where the tests run without a terminal
runpy.run_module("palio", run_name="__main__", alter_sys=True)
"""
COMMANDS = [(EVALUATOR, ("evaluate",)), (CONTROLLER, ("deployments", "control"))]


def leader(store: str, lease: str) -> Lease | None:
    """Return the lease that is in force."""
    with closing(SqlStore(engine_for(store))) as kept, kept.read() as unit:
        found = unit.leases.get(lease)
    now = datetime.now(UTC)  # noqa: TID251 - of a real store
    return found if found is not None and found.until > now else None


@contextmanager
def begun(store: str, lease: str, command: tuple[str, ...]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command, wait until it holds its lease and rests, and leave nothing of it."""
    program = [sys.executable, "-c", HEARING, "--store", store, *command]
    folder = Path(store).parent
    with (folder / "watching.log").open("wb") as log:
        child = subprocess.Popen(
            program,
            env=servers.environment(**SELDOM),
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + servers.PATIENCE_S
        while (held := leader(store, lease)) is None:
            assert child.poll() is None, (folder / "watching.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert held.holder.split(":")[1] == str(child.pid)
        yield child
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize(("lease", "command"), COMMANDS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_whoever_is_stopped_gives_the_lease_back(
    cli: Cli, home: str, lease: str, command: tuple[str, ...], *, number: signal.Signals
) -> None:
    with begun(home, lease, command) as child:
        child.send_signal(number)
        code = child.wait(servers.PATIENCE_S)
    assert code == (130 if number is signal.SIGINT else -number)  # as without a lease
    assert leader(home, lease) is None
    assert (Path(home).parent / "watching.log").read_text() == ""
    ended, _, errors = cli("--store", home, *command, "--once")
    assert (ended, errors) == (0, "")  # nobody is named who would do it instead
