"""Model cards: everything people ask for is on them, and no text gets out of its place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from tests.registry.test_registration import FULL

from palio.errors import CorruptArtifact
from palio.registry.describing.card import Surroundings, card_of
from palio.registry.domain import Version
from palio.testing.memory import MemoryStore
from palio.testing.wired import Wired

TEXTS = st.text(st.characters(exclude_categories=("Cc", "Cs")) | st.sampled_from("\n\t"))
NASTY = (
    "a | b",
    "<script>alert(1)</script>",
    "&lt;b&gt;",
    "[x](javascript:alert(1))",
    "![x](https://example.org/x.png)",
    "`code` *em* **strong** __u__ ~~gone~~ a_b_c _d_ e__f__g",
    "# no title",
    "1. no list",
    "- no list",
    "---",
    "```\nopen",
    "> quoted\n\n| a |\n| - |",
    "\\",
    "a\\",
    "<!-- open",
    "&#60;img src=x onerror=alert(1)&#62;",
)


@pytest.fixture
def full(wired: Wired, tmp_path: Path) -> Wired:
    """A version with everything: ``m:2``, made from ``m:1``, champion, with a child and a plot."""
    wired.register("m:1")
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "roc curve.png").write_bytes(b"png")
    (tmp_path / "plots" / "notes.txt").write_bytes(b"text")
    (tmp_path / "other" / "plots").mkdir(parents=True)
    (tmp_path / "other" / "plots" / "roc.png").write_bytes(b"elsewhere")
    wired.versions.register("m", FULL, tmp_path)
    wired.versions.promote("m:2")
    wired.models.set_alias("m", "shadow", "2")
    wired.versions.register("m", replace(FULL, version="3", parent="m:2"), tmp_path)
    return wired


def test_everything_is_on_it(full: Wired) -> None:
    card = full.versions.card("m@champion")
    assert card.startswith("# m:2\n\nwho pays\n")
    for line in (
        "| Type | classification |",
        "| Framework | scikit-learn 1.9 |",
        "| Architecture | linear |",
        "| Registered | 2026-01-01 00:00:00 UTC by ann |",
        "| External reference | run:r1 |",
        "| Tag team | risk |",
        "> ## For",
        "> loans",
        "| Dataset version | 2026-01 |",
        "| Source commit | ab12 |",
        "  rows:",
        "| metric | held out | backtest |",
        "| auc | 0.9 |  |",
        "| sharpe |  | 1.25 |",
        "| age | number | no |",
        "Output: classification into no, yes.",
        "max_leverage: 3.0",
        "![roc curve](plots/roc%20curve.png)",
        "Made from: m:2 ← m:1",
        "Made from it: m:3",
        "| Stage | production |",
        "| Approved by | ann |",
        "| Aliases | @champion, @shadow |",
    ):
        assert line in card.splitlines(), line
    assert full.versions.get("m:2").manifest.digest in card


def test_a_version_that_says_little_has_a_short_card(wired: Wired) -> None:
    wired.register("m:1", signature=None)
    card = wired.versions.card("m:1")
    titles = [line for line in card.splitlines() if line.startswith("## ")]
    assert titles == ["## Approval", "## Files"]


def test_plots_are_images_alone(full: Wired) -> None:
    assert full.versions.plots("m:2") == {"plots/roc curve.png": b"png"}
    full.files.kept["m:2"]["plots/roc curve.png"] = b"gnp"
    with pytest.raises(CorruptArtifact):
        full.versions.plots("m:2")


def version_with(**fields: object) -> Version:
    wired = Wired(MemoryStore())
    (made,) = wired.register("m:1")
    return replace(made, **fields)


def rendered(version: Version) -> str:
    parser = MarkdownIt("commonmark").enable("table")  # raw HTML on: the worst reader there is
    return str(parser.render(card_of(version, Surroundings())))


def cells_of(page: str) -> list[str]:
    return [line[4:-5] for line in page.splitlines() if line.startswith("<td>")]


def escaped(text: str) -> str:
    for sign, code in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(sign, code)
    return text


@pytest.mark.parametrize("text", NASTY)
def test_no_text_gets_out_of_its_place(text: str) -> None:
    page = rendered(
        version_with(
            description=text,
            framework=text,
            tags={text: text},
            metrics={text: 0.5},
            policy={text: text},
            external_ref=text,
            approved_by=text,
        )
    )
    plain = rendered(
        version_with(
            description="x",
            framework="x",
            tags={"x": "x"},
            metrics={"x": 0.5},
            policy={"x": "x"},
            external_ref="x",
            approved_by="x",
        )
    )
    assert tags_of(page) == tags_of(plain)
    shown = escaped(" ".join(text.split()))
    assert f"<p>{shown}</p>" in page
    assert shown in cells_of(page)


@given(TEXTS)
def test_no_description_whatever_gets_out_of_its_place(text: str) -> None:
    page = rendered(version_with(description=text or "x", tags={"t": text or "x"}))
    if text.strip():
        assert tags_of(page) == tags_of(rendered(version_with(description="x", tags={"t": "x"})))
        assert escaped(" ".join(text.split())) in cells_of(page)


@pytest.mark.parametrize("prose", ["```\nopen", "~~~", "<!-- open", "> deeper", "- list\n  - in"])
def test_prose_ends_where_it_ends(prose: str) -> None:
    page = rendered(version_with(card=prose))
    assert page.index("</blockquote>") < page.index("<h2>Files</h2>")
    assert "<h2>Approval</h2>" in page


def tags_of(page: str) -> list[str]:
    return [part.split(">")[0] for part in page.split("<")[1:]]
