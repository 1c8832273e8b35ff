"""The log file of this dialect, made with its first line."""

from __future__ import annotations

import logging
import os
from io import TextIOWrapper
from logging.handlers import WatchedFileHandler
from pathlib import Path

from typing_extensions import override

__all__ = ["LOG", "log_to"]

LOG = logging.getLogger("palio.dialects.credtech")
_FORMAT = "%(asctime)s %(levelname)s %(message)s"


def log_to(path: Path) -> None:
    """Let the lines of this dialect go to a file too, and no longer to another one."""
    wanted = str(path.absolute())
    for handler in list(LOG.handlers):
        if isinstance(handler, _Late):
            if handler.baseFilename == wanted:
                return
            LOG.removeHandler(handler)
            handler.close()
    made = _Late(wanted, delay=True, encoding="utf-8")
    made.setFormatter(logging.Formatter(_FORMAT))
    LOG.addHandler(made)
    LOG.setLevel(logging.INFO)


class _Late(WatchedFileHandler):
    """Makes the folder with the first line; a place that cannot be written stops nobody."""

    @override
    def _open(self) -> TextIOWrapper:
        try:
            Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
            return super()._open()
        except OSError:
            return Path(os.devnull).open("w", encoding="utf-8")
