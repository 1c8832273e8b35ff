"""Charts as PNG, SVG and HTML, without a network: fonts, code and data come from here."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence

import altair as alt
import vl_convert

from palio.charts.theme import Drawing

__all__ = ["bundle_script", "to_html", "to_png", "to_svg"]

_VEGA_LITE = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])


def to_png(chart: Drawing, *, scale: float = 2.0) -> bytes:
    """Return the chart as a PNG image, ``scale`` pixels for each pixel of the chart."""
    return vl_convert.vegalite_to_png(
        chart.to_dict(), vl_version=_VEGA_LITE, scale=scale, allowed_base_urls=[]
    )


def to_svg(chart: Drawing) -> str:
    """Return the chart as an SVG document."""
    return vl_convert.vegalite_to_svg(chart.to_dict(), vl_version=_VEGA_LITE, allowed_base_urls=[])


def to_html(charts: Drawing | Sequence[Drawing]) -> str:
    """Return a fragment of HTML for a page that holds :func:`bundle_script` once before it."""
    several = charts if isinstance(charts, Sequence) else [charts]
    return "\n".join(_fragment(chart, number) for number, chart in enumerate(several))


@functools.cache
def bundle_script() -> str:
    """Return the ``<script>`` element with Vega, Vega-Lite and Vega-Embed in it; about 1 MB."""
    code = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=_VEGA_LITE)
    escaped = code.replace("</script", "<\\u002fscript")
    return f"<script>{escaped}</script>"


def _fragment(chart: Drawing, number: int) -> str:
    # "<" is escaped, so that no word in a chart can end the script
    spec = json.dumps(chart.to_dict(), sort_keys=True).replace("<", "\\u003c")
    name = f"chart-{hashlib.sha256(spec.encode()).hexdigest()[:12]}-{number}"
    options = '{"actions":false,"renderer":"svg"}'
    return (
        f'<div id="{name}" class="chart"></div>\n'
        f'<script>vegaEmbed("#{name}", {spec}, {options}).catch(console.error);</script>'
    )
