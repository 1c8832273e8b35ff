"""Golden exchanges: what a dialect was asked, and what it answered, as files."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

__all__ = ["same_as_golden"]

HERE = Path(__file__).parent / "golden"


def same_as_golden(
    name: str, asked: Any, answer: httpx.Response, *, volatile: Sequence[str] = ()
) -> None:
    """Compare an exchange with the file of its name; PALIO_GOLDEN=write writes it.

    Parameters
    ----------
    name
        ``dialect/exchange``.
    asked
        The body that was sent.
    answer
        What came back.
    volatile
        Fields whose values differ from run to run: only their type is kept.
    """
    request = answer.request
    exchange = {
        "request": {"method": request.method, "path": _stable(request.url.path), "body": asked},
        "response": {
            "status": answer.status_code,
            "body": _masked(answer.json(), frozenset(volatile)),
        },
    }
    path = HERE / f"{name}.json"
    text = json.dumps(exchange, indent=2, ensure_ascii=False) + "\n"
    if os.environ.get("PALIO_GOLDEN") == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert json.loads(path.read_text(encoding="utf-8")) == json.loads(text)


def _stable(path: str) -> str:
    """Return a path without ids that are made anew."""
    parts = path.split("/")
    return "/".join("{id}" if len(part) == 36 and part.count("-") == 4 else part for part in parts)


def _masked(value: Any, volatile: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {
            key: type(one).__name__ if key in volatile else _masked(one, volatile)
            for key, one in value.items()
        }
    return [_masked(one, volatile) for one in value] if isinstance(value, list) else value
