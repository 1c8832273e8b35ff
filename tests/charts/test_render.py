"""Rendering: real images, pages that need no network."""

from __future__ import annotations

import re
import socket
import struct

import pytest

from palio.charts.curves import roc
from palio.charts.render import bundle_script, to_html, to_png, to_svg

CHART = roc({"</script><script>alert(1)</script>": [(0.0, 0.0), (0.2, 0.7), (1.0, 1.0)], "b": []})


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        pytest.fail("a chart asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_png_is_an_image_whose_size_follows_the_scale() -> None:
    sizes = []
    for scale in (1.0, 2.0):
        image = to_png(CHART, scale=scale)
        # PNG (RFC 2083), section 3: signature, then the IHDR chunk with width and height
        assert image[:8] == b"\x89PNG\r\n\x1a\n"
        sizes.append(struct.unpack(">II", image[16:24]))
    assert abs(sizes[1][0] - 2 * sizes[0][0]) <= 1
    assert abs(sizes[1][1] - 2 * sizes[0][1]) <= 1


def test_svg_holds_the_words() -> None:
    drawn = to_svg(CHART)
    assert drawn.startswith("<svg")
    assert "False positive rate" in drawn


def test_several_charts_get_places_of_their_own() -> None:
    places = re.findall(r'<div id="([^"]+)"', to_html([CHART, CHART]))
    assert len(set(places)) == 2


def test_no_word_in_a_chart_can_end_the_script() -> None:
    fragment = to_html(CHART)
    assert fragment.count("</script>") == 1
    assert "<script>alert" not in fragment


def test_the_bundle_is_one_script_that_loads_nothing() -> None:
    script = bundle_script()
    assert script.startswith("<script>")
    assert script.count("</script") == 1
    assert not re.search(r"<script[^>]*src=|\bimport\s*\(", script)
    assert "vegaEmbed" in script
