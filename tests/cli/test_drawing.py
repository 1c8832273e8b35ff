"""`palio plan --chart`: power against units, in the format that the file's name says."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

Cli = Callable[..., tuple[int, str, str]]
PLAN = ("plan", "--rate", 0.05, "--effect", 0.005)


def test_a_plan_is_drawn_as_svg_with_its_units(cli: Cli, tmp_path: Path) -> None:
    code, out, _ = cli(*PLAN, "--chart", tmp_path / "power.svg")
    assert code == 0
    horizon, fixed = re.findall(r"[\d,]{5,}", out)[:2]
    drawing = (tmp_path / "power.svg").read_text(encoding="utf-8")
    for words in (horizon, fixed, "looked at once", "looked at as often as you like", "+0.005"):
        assert words in drawing


def test_html_is_one_page_without_a_network(cli: Cli, tmp_path: Path) -> None:
    assert cli(*PLAN, "--looks", 10, "--chart", tmp_path / "power.html")[0] == 0
    page = (tmp_path / "power.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "looked at 10 times" in page
    assert not re.search(r"<(script|link)[^>]*(src|href)=", page)


def test_png_is_an_image(cli: Cli, tmp_path: Path) -> None:
    # the smallest effect of given units, and a small share of treatment
    asked = ("plan", "--mean", 3, "--sd", 2, "--units", 5_000, "--treatment-share", 0.1)
    assert cli(*asked, "--chart", tmp_path / "power.png")[0] == 0
    assert (tmp_path / "power.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "message"),
    [("power.pdf", "must end in .html, .png, .svg"), ("no/power.svg", "lies in no folder")],
)
def test_what_cannot_be_written_is_said_before_it_is_planned(
    cli: Cli, tmp_path: Path, name: str, message: str
) -> None:
    code, out, err = cli(*PLAN, "--chart", tmp_path / name)
    assert (code, out) == (2, "")
    assert message in err
