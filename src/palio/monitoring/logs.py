"""Logs: a line of JSON for each thing that happened, to stderr and, where asked, to a file."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

import msgspec
from typing_extensions import override

from palio.errors import InvalidInput
from palio.experiments.events import Fallback, Prediction

__all__ = ["JsonLines", "begin_logs", "log_predictions"]

_LOGGERS = ("palio", "uvicorn")
_REQUESTS = logging.getLogger("palio.requests")
_MORE = "palio_fields"  # the attribute of a record that holds fields of its own


class JsonLines(logging.Formatter):
    """One JSON object a line: at, level, logger, message, fields of its own, error."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, _MORE, {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


def begin_logs(
    level: str, *, file: Path | None = None, max_bytes: int = 0, backups: int = 0
) -> Sequence[logging.Handler]:
    """Write what Palio and its server log as lines of JSON.

    Parameters
    ----------
    level
        The least level that is written, as ``info``.
    file
        Where lines go beside stderr; ``{pid}`` in its name is the number of the process, for
        several processes cannot rotate one file.
    max_bytes, backups
        Size at which a new file is begun, 0 for never, and how many old ones are kept.

    Returns
    -------
    sequence of logging.Handler
        What writes from now on; whatever wrote before does no longer.

    Raises
    ------
    InvalidInput
        If the file cannot be written.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if file is not None:
        handlers.append(_rotating(file, max_bytes, backups))
    for handler in handlers:
        handler.setFormatter(JsonLines())
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        for old in logger.handlers[:]:
            logger.removeHandler(old)
            old.close()
        for handler in handlers:
            logger.addHandler(handler)
        logger.setLevel(level.upper())
        logger.propagate = False
    return handlers


def log_predictions(predictions: Sequence[Prediction]) -> None:
    """Write a line for each request that was answered, or that a version failed."""
    for one in predictions:
        fields = {
            "request_id": one.request_id,
            "endpoint": one.endpoint,
            "version": f"{one.model}:{one.version}",
            "experiment": one.experiment,
            "variant": one.variant,
            "rows": None if one.error is not None else len(one.values),
            "latency_ms": round(one.latency_ms, 3),
            "failure": one.error,
            "fallback": _stood_in(one.fallback),
        }
        said = "answered" if one.error is None else "failed"
        _REQUESTS.info("%s", said, extra={_MORE: fields})


def _stood_in(fallback: Fallback | None) -> str | None:
    """Return who answered in place of a version that failed, if somebody did."""
    if fallback is None or fallback.error is not None:
        return None
    return f"{fallback.model}:{fallback.version}"


def _rotating(file: Path, max_bytes: int, backups: int) -> RotatingFileHandler:
    path = Path(str(file).replace("{pid}", str(os.getpid())))
    try:
        return RotatingFileHandler(path, maxBytes=max_bytes, backupCount=backups, encoding="utf-8")
    except OSError as failed:
        raise InvalidInput(
            f"PALIO_LOG_FILE: {path}: {failed.strerror}; check the folder and who may write to it",
            field="PALIO_LOG_FILE",
            value=str(path),
        ) from failed
