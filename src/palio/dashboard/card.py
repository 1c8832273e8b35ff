"""The card of a version as one file of HTML that needs no network."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

import jinja2
from markdown_it import MarkdownIt
from markdown_it.token import Token

__all__ = ["card_page"]

_TEMPLATE = Path(__file__).with_name("card.html")


def card_page(card: str, plots: Mapping[str, bytes], *, title: str) -> str:
    """Return a self-contained page: the card with its plots, nothing in it that could run.

    Parameters
    ----------
    card
        Markdown; HTML in it is shown as text, and images beside the plots by their words alone.
    plots
        PNG images by path, as the card refers to them.
    title
        What the window is called.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(card)
    for token in tokens:
        for inner in token.children or ():
            if inner.type == "image":
                _hold(inner, plots)
    body = parser.renderer.render(tokens, parser.options, {})
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(title=title, body=body)


def _hold(image: Token, plots: Mapping[str, bytes]) -> None:
    """Put the bytes of an image inside it, or its words in its place."""
    content = plots.get(unquote(str(image.attrs["src"])))
    if content is None:
        image.type, image.children = "text", None
    else:
        image.attrs["src"] = "data:image/png;base64," + base64.b64encode(content).decode()
