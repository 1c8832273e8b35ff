"""What the demonstration refuses to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from palio.demo.options import DemoOptions
from palio.errors import InvalidInput


def test_nothing_need_be_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert DemoOptions().report == Path("palio-demo.html")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"data": Path("x.csv")}, "target"),
        ({"target": "y"}, "data"),
        ({"drop": ("x",)}, "data"),
        ({"requests": 199}, "requests"),
        ({"requests": 100_001}, "requests"),
        ({"look_every": 19}, "look_every"),
        ({"report": Path("/")}, "report"),
        ({"report": Path("/nowhere/at/all.html")}, "report"),
        ({"keep": Path("/")}, "keep"),
        ({"keep": Path("/nowhere/at/all")}, "keep"),
    ],
)
def test_refusals_name_the_field(given: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        DemoOptions(**given)
    assert refused.value.details["field"] == field
