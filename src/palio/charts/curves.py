"""How good probabilities are: calibration, ROC and precision-recall curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import altair as alt

from palio.charts.theme import ACCENT, MUTED, SERIES, Drawing, chart_of, titled

__all__ = ["Bin", "Point", "calibration", "precision_recall", "roc"]

Point = tuple[float, float]

_SIDE_PX = 380


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows of similar predicted probability, and how often the event happened among them.

    ``lower`` and ``upper`` bound the observed share; all but ``rows`` are in [0, 1].
    """

    predicted: float
    observed: float
    lower: float
    upper: float
    rows: int


def calibration(
    bins: Sequence[Bin],
    *,
    event: str = "the event",
    title: str = "Calibration",
    subtitle: str = "",
) -> Drawing:
    """Draw predicted probability against observed share; a calibrated model is on the diagonal.

    Parameters
    ----------
    bins
        Bins with about the same number of rows each.
    event
        What is predicted, for the axes.
    title, subtitle
        Words above the chart.
    """
    top = min(1.0, 1.08 * max((max(b.upper, b.predicted) for b in bins), default=1.0))
    across = _axis("predicted", f"Predicted probability of {event}", top)
    base = chart_of([asdict(b) for b in bins]).encode(x=across)
    up = _axis("observed", f"Observed share of {event}", top)
    drawn = alt.layer(
        _diagonal(top),
        base.mark_rule(color=ACCENT, opacity=0.45, strokeWidth=1.6).encode(
            y="lower:Q", y2="upper:Q"
        ),
        base.mark_line(color=ACCENT).encode(y=up),
        base.mark_circle(color=ACCENT, size=58, opacity=1).encode(
            y=up,
            tooltip=[
                alt.Tooltip("rows:Q", title="rows", format=","),
                alt.Tooltip("predicted:Q", format=".3f"),
                alt.Tooltip("observed:Q", format=".3f"),
            ],
        ),
    )
    return _square(drawn, title, subtitle)


def roc(
    curves: Mapping[str, Sequence[Point]], *, title: str = "ROC curve", subtitle: str = ""
) -> Drawing:
    """Draw true positive rate against false positive rate, a line for each name.

    Parameters
    ----------
    curves
        Points (false positive rate, true positive rate) by name, in the order of the line.
    title, subtitle
        Words above the chart.
    """
    lines = _lines(curves, "False positive rate", "True positive rate (recall)")
    return _square(alt.layer(_diagonal(1.0), lines), title, subtitle)


def precision_recall(
    curves: Mapping[str, Sequence[Point]],
    *,
    base_rate: float | None = None,
    title: str = "Precision-recall curve",
    subtitle: str = "",
) -> Drawing:
    """Draw precision against recall, a line for each name.

    Parameters
    ----------
    curves
        Points (recall, precision) by name, in the order of the line.
    base_rate
        Share of positives in [0, 1], drawn as the precision of guessing.
    title, subtitle
        Words above the chart.
    """
    layers = [_lines(curves, "Recall", "Precision")]
    if base_rate is not None:
        guess = chart_of([{"y": base_rate, "words": f"guessing: {base_rate:.3f}"}])
        layers = [
            guess.mark_rule(color=MUTED, strokeDash=[4, 4]).encode(y="y:Q"),
            *layers,
            guess.mark_text(
                color=MUTED, align="left", baseline="bottom", dx=6, dy=-4, fontSize=11
            ).encode(y="y:Q", x=alt.value(0), text="words:N"),
        ]
    return _square(alt.layer(*layers), title, subtitle)


def _lines(curves: Mapping[str, Sequence[Point]], across: str, up: str) -> Any:
    values = [
        {"name": name, "x": x, "y": y, "order": order}
        for name, points in curves.items()
        for order, (x, y) in enumerate(points)
    ]
    base = chart_of(values).mark_line(color=ACCENT, clip=True)
    lines = base.encode(x=_axis("x", across, 1.0), y=_axis("y", up, 1.0), order="order:Q")
    if len(curves) == 1:
        return lines
    scale = alt.Scale(domain=list(curves), range=list(SERIES[: len(curves)]))
    return lines.encode(color=alt.Color("name:N", scale=scale))


def _axis(field: str, words: str, top: float) -> Any:
    channel = alt.X if field in {"x", "predicted"} else alt.Y
    scale = alt.Scale(domain=[0, top], nice=False)
    return channel(f"{field}:Q", title=words, scale=scale, axis=alt.Axis(tickCount=6))


def _diagonal(top: float) -> Any:
    ends = chart_of([{"x": 0, "y": 0}, {"x": top, "y": top}])
    return ends.mark_line(color=MUTED, strokeDash=[4, 4], strokeWidth=1.2).encode(x="x:Q", y="y:Q")


def _square(chart: Any, title: str, subtitle: str) -> Drawing:
    drawn: Drawing = titled(chart, title, subtitle, width=_SIDE_PX, height=_SIDE_PX)
    return drawn
