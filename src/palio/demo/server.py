"""The server of the demonstration: ``palio serve`` in a process of its own, never left behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import palio
from palio.errors import StoreUnavailable

__all__ = ["main", "serving"]

_STARTS_WITHIN_S = 60.0
_ENDS_WITHIN_S = 5.0


@contextmanager
def serving(store: Path) -> Iterator[str]:
    """Serve a SQLite file on a free port of this machine while the context lasts.

    The server has a session of its own, so that Ctrl-C in a terminal reaches it through this
    process only; and it holds one end of a pipe, so that it ends with this process however that
    ends.

    Yields
    ------
    str
        The address.

    Raises
    ------
    StoreUnavailable
        If it does not come up.
    """
    log = store.with_name("server.log")
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "palio.demo.server"],
            cwd=store.parent,
            env=_environment(store),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
    with process:
        try:
            yield _address(process, log)
        finally:
            _end(process)


def main() -> None:
    """Serve what the environment names until told to stop, or until standard input closes."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from palio import platform  # noqa: PLC0415 - it takes a second, and the watch is kept already
    from palio.cli.app import run  # noqa: PLC0415

    sys.exit(run(platform, ["serve"]))


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _environment(store: Path) -> dict[str, str]:
    """Return the environment without settings of the user's, which are not about this store."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PALIO_")}
    found = [str(Path(palio.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    one_thread = {"OMP_NUM_THREADS": "1"}  # rows come one by one; the cores are for the clients
    return (
        one_thread
        | plain
        | {
            "PALIO_STORE": str(store),
            "PALIO_HOST": "127.0.0.1",
            "PALIO_PORT": "0",
            "PYTHONPATH": os.pathsep.join(path for path in found if path),
            "PYTHONUNBUFFERED": "1",
        }
    )


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    if process.stdout is None:
        raise StoreUnavailable("the server has no standard output")
    ready, _, _ = select.select([process.stdout], [], [], _STARTS_WITHIN_S)
    line = process.stdout.readline().decode() if ready else ""
    if "http://" not in line:
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise StoreUnavailable(f"the server did not start: {said[-1] if said else 'no word'}")
    return line.split()[-1]


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()


if __name__ == "__main__":
    main()
