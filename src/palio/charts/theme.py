"""One look for every chart: few colours, quiet lines, words large enough to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

__all__ = ["ACCENT", "CONFIG", "HARM", "INK", "MUTED", "SERIES", "Drawing", "chart_of", "titled"]

Drawing = alt.Chart | alt.LayerChart | alt.HConcatChart | alt.VConcatChart

INK = "#22303c"
MUTED = "#7b8794"
ACCENT = "#2a6f97"
HARM = "#b5483a"
SERIES = ("#2a6f97", "#c8763c", "#5b8c5a", "#8a6aa3", "#a68a3c", "#4f9aa8", "#b25d7c", "#6b6f76")
_GRID = "#e6eaee"
_FONT = "Inter, Helvetica Neue, Helvetica, Arial, Liberation Sans, DejaVu Sans, sans-serif"

CONFIG: dict[str, Any] = {
    "background": "#ffffff",
    "font": _FONT,
    "padding": 16,
    "view": {"stroke": None},
    "range": {"category": list(SERIES)},
    "title": {
        "anchor": "start",
        "frame": "group",
        "color": INK,
        "fontSize": 16,
        "fontWeight": 600,
        "subtitleColor": MUTED,
        "subtitleFontSize": 12,
        "subtitlePadding": 6,
        "offset": 14,
    },
    "axis": {
        "domainColor": "#b8c1ca",
        "gridColor": _GRID,
        "labelColor": INK,
        "labelFontSize": 11,
        "labelPadding": 5,
        "tickColor": "#b8c1ca",
        "tickSize": 4,
        "titleColor": INK,
        "titleFontSize": 12,
        "titleFontWeight": 500,
        "titlePadding": 10,
    },
    "legend": {
        "labelColor": INK,
        "labelFontSize": 12,
        "orient": "top",
        "symbolStrokeWidth": 2.5,
        "title": None,
    },
    "line": {"strokeWidth": 2.2, "strokeCap": "round", "strokeJoin": "round"},
}


def chart_of(values: Sequence[Mapping[str, Any]]) -> Any:
    """Return a chart of the rows given; altair's own types end here."""
    return alt.Chart(alt.Data(values=list(values)))  # type: ignore[no-untyped-call]


def titled(chart: Any, title: str, subtitle: str, **size: Any) -> Any:
    """Return the chart with words, size and the common look."""
    words = alt.Title(title, subtitle=subtitle) if subtitle else alt.Title(title)
    return chart.properties(title=words, **size).configure(**CONFIG)
