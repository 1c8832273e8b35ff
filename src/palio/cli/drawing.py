"""Charts that commands write: HTML, PNG or SVG, by the file's suffix."""

from __future__ import annotations

from html import escape
from pathlib import Path

from palio.charts.render import bundle_script, to_html, to_png, to_svg
from palio.charts.theme import Drawing
from palio.errors import InvalidInput

__all__ = ["check_chart", "write_chart"]

_SUFFIXES = (".html", ".png", ".svg")


def check_chart(path: Path | None) -> None:
    """Raise ``InvalidInput`` unless a chart can be written under that name."""
    if path is None:
        return
    if path.suffix.lower() not in _SUFFIXES:
        raise InvalidInput(
            f"--chart {str(path)!r} must end in {', '.join(_SUFFIXES)}",
            field="chart",
            value=str(path),
        )
    if not path.parent.is_dir():
        raise InvalidInput(
            f"--chart {str(path)!r} lies in no folder; make {path.parent} first",
            field="chart",
            value=str(path),
        )


def write_chart(chart: Drawing, path: Path, *, title: str) -> None:
    """Write a chart; HTML is one page that needs no network."""
    match path.suffix.lower():
        case ".png":
            path.write_bytes(to_png(chart))
        case ".svg":
            path.write_text(to_svg(chart), encoding="utf-8")
        case _:
            head = f'<meta charset="utf-8"><title>{escape(title)}</title>{bundle_script()}'
            page = (
                f"<!doctype html><html><head>{head}</head><body>{to_html(chart)}</body></html>\n"
            )
            path.write_text(page, encoding="utf-8")
