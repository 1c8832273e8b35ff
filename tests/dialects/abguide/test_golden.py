"""Exchanges as they were: requests in order, and what each must be answered, to the field.

``golden/abguide/exchanges.json`` has them; a field whose value is ``"*"`` differs each time.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .conftest import Guide

GOLDEN = Path(__file__).parents[1] / "golden" / "abguide" / "exchanges.json"


def test_exchanges_are_as_they_were(guide: Guide) -> None:
    for one in json.loads(GOLDEN.read_text(encoding="utf-8")):
        asked, wanted = one["request"], one["response"]
        answer = guide.send(asked["method"], asked["path"], asked.get("body"))
        found = {"status": answer.status_code, "body": answer.json()}
        assert masked(found, wanted) == wanted, asked


def masked(found: Any, wanted: Any) -> Any:
    """Return what was found, with a star wherever one is wanted."""
    if wanted == "*":
        return "*"
    if isinstance(found, dict) and isinstance(wanted, dict):
        return {name: masked(value, wanted.get(name)) for name, value in found.items()}
    if isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        return [masked(*pair) for pair in zip(found, wanted, strict=True)]
    return found
