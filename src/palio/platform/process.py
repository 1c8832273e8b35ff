"""What this process owns: a clock, ids, and names for itself."""

from __future__ import annotations

import gc
import getpass
import hashlib
import multiprocessing
import os
import secrets
import socket
import time
from datetime import UTC, datetime

__all__ = ["new_id", "now", "process_name", "server_name", "settle", "user_name"]

_NEW_OBJECTS = 20_000  # until cycles are looked for among them


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


def new_id(prefix: str) -> str:
    """Return an id that nobody has: milliseconds first, so that indexes grow at their end."""
    return f"{prefix}{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def process_name() -> str:
    """Return a name that no other process has, nor anything else in this one."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def server_name() -> str:
    """Return a name that processes of one supervisor share, as of ``uvicorn --workers 4``."""
    if multiprocessing.parent_process() is None:
        return process_name()
    # spawned or forked, a process keeps the random key of the one that began it
    family = hashlib.sha256(multiprocessing.current_process().authkey).hexdigest()
    return f"{socket.gethostname()}:{family[:16]}"


def settle() -> None:
    """Take what is loaded by now as staying: a server calls it once, when it begins to answer.

    Libraries and models are some 400,000 objects, and to look for cycles among them every few
    hundred requests took a sixth of a server's time. What comes later is still looked at.
    """
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)


def user_name() -> str:
    """Return who runs this process, for the audit log."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
