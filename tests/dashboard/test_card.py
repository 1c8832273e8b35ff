"""The page of a card: one file, offline, and nothing in it that could run."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from tests.registry.describing.test_card import NASTY
from tests.registry.test_registration import FULL

from palio.dashboard.card import card_page
from palio.testing.wired import Wired

PNG = base64.b64decode(  # one pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PLOT = {"plots/roc.png": PNG}


def body_of(page: str) -> str:
    return page.partition("<main>")[2]


def test_plots_are_inside(wired: Wired, tmp_path: Path) -> None:
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "roc curve.png").write_bytes(PNG)
    wired.register("m:1")
    wired.versions.register("m", FULL, tmp_path)
    page = card_page(wired.versions.card("m:2"), wired.versions.plots("m:2"), title="m:2")
    (found,) = re.findall(r'<img src="data:image/png;base64,([^"]+)" alt="roc curve" />', page)
    assert base64.b64decode(found) == PNG
    assert "<title>m:2</title>" in page
    assert "<td>scikit-learn 1.9</td>" in page
    assert 'class="language-yaml"' in page


def test_it_needs_no_network_and_runs_nothing() -> None:
    page = card_page("# m\n\n[more](https://example.org)", PLOT, title="m")
    assert "default-src 'none'" in page
    assert "script" not in page
    assert re.findall(r'(?:src|href)="([^"]+)"', page) == ["https://example.org"]


@pytest.mark.parametrize(
    "source", ["https://example.org/x.png", "plots/other.png", "file:///etc/passwd", "//x/y.png"]
)
def test_other_images_are_words(source: str) -> None:
    body = body_of(card_page(f"![a <b> c]({source})", PLOT, title="m"))
    assert "<img" not in body
    assert "a &lt;b&gt; c" in body


@pytest.mark.parametrize("text", [*NASTY, "<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>"])
def test_html_in_a_card_is_shown_and_not_run(text: str) -> None:
    body = body_of(card_page(f"> {text}\n\n{text}", PLOT, title=text))
    allowed = (
        r"/?(?:p|blockquote|em|strong|code|pre|ul|ol|li|h1|h2|hr|br|table|thead|tbody|tr|th|td)"
    )
    tags = re.findall(r"<([^>]*)>", body.partition("</main>")[0])
    assert [tag for tag in tags if not re.fullmatch(rf"{allowed} ?/?", tag)] == []
    assert 'href="javascript' not in body


def test_a_title_is_text() -> None:
    assert "<title>&lt;b&gt;</title>" in card_page("x", {}, title="<b>")
