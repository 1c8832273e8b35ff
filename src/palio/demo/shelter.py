"""What makes the demonstration leave nothing behind: its folder, and its files."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import getproxies

__all__ = ["direct_to_loopback", "workplace", "write_aside"]


@contextmanager
def workplace(keep: Path | None) -> Iterator[Path]:
    """Make a folder that is gone at the end, or is ``keep`` when all went well.

    Yields
    ------
    Path
        The folder, hidden beside ``keep`` until then, or in the system's place for such.
    """
    parent = None if keep is None else keep.absolute().parent
    folder = Path(tempfile.mkdtemp(prefix=".palio-demo-" if keep else "palio-demo-", dir=parent))
    try:
        yield folder
        if keep is not None:
            folder.rename(keep)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def direct_to_loopback() -> Iterator[None]:
    """Keep requests to this machine from any proxy that the environment names."""
    before = os.environ.get("no_proxy")
    others = getproxies().get("no")
    os.environ["no_proxy"] = ",".join(filter(None, [others, "127.0.0.1"]))
    try:
        yield
    finally:
        del os.environ["no_proxy"]
        if before is not None:
            os.environ["no_proxy"] = before


def write_aside(path: Path, text: str) -> None:
    """Write a file so that it is there as a whole or not at all."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
