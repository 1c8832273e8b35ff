"""An experiment as it went: the interval narrowing over time, the traffic filling up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import altair as alt

from palio.charts.theme import ACCENT, HARM, INK, MUTED, SERIES, Drawing, chart_of, titled

__all__ = [
    "Look",
    "Share",
    "Traffic",
    "interval_over_time",
    "share_over_time",
    "traffic_over_time",
]

_WIDTH_PX, _HEIGHT_PX = 680, 320
# the day at midnight, the hour between, the second where it is not full
_MOMENT = (
    "utchours(datum.value) + utcminutes(datum.value) === 0"
    " ? utcFormat(datum.value, '%d %b')"
    " : utcFormat(datum.value, utcseconds(datum.value) === 0 ? '%H:%M' : '%H:%M:%S')"
)
_SETTLED_SHARE = 0.1  # the first looks may be far off the chart
_SHIPPED, _STOPPED = "ship", {"rollback", "invalid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The state of an experiment when somebody looked.

    ``units`` counts units in both arms; the bounds may be absent while nothing can be said. The
    ``fixed`` bounds are those of an interval that is valid for a single look only.
    """

    units: int
    effect: float | None
    lower: float | None
    upper: float | None
    decision: str = ""
    fixed_lower: float | None = None
    fixed_upper: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """How many units a variant had been given at a moment."""

    at: datetime
    variant: str
    units: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share of a variant at a moment, in [0, 1]."""

    at: datetime
    variant: str
    share: float


def interval_over_time(
    looks: Sequence[Look | Mapping[str, Any]],
    *,
    effect: str = "Difference to control",
    unit: str = "",
    title: str = "Effect as evidence arrives",
    subtitle: str = "",
) -> Drawing:
    """Draw the always-valid interval of an effect against the units seen so far.

    Parameters
    ----------
    looks
        Looks in the order they were taken, or mappings with the same fields. Looks without
        bounds are left out.
    effect, unit
        What is on the vertical axis and what it is measured in.
    title, subtitle
        Words above the chart.

    Returns
    -------
    altair chart
        A band for the always-valid interval, a line for the estimate, a rule at zero, thin
        dashed lines for the fixed-horizon interval where given, and a mark where the decision
        first left ``keep_running``.
    """
    rows = [row for row in map(_row, looks) if row["lower"] is not None]
    words = f"{effect} ({unit})" if unit else effect
    base = chart_of(rows).encode(
        x=alt.X(
            "units:Q",
            title="Units assigned, both arms",
            axis=alt.Axis(format=",d", grid=False, tickCount=8),
        )
    )
    axis, scale = alt.Axis(tickCount=7), alt.Scale(domain=_range(rows), nice=False)
    band = base.mark_area(color=ACCENT, opacity=0.16, clip=True).encode(
        y=alt.Y("lower:Q", title=words, axis=axis, scale=scale), y2="upper:Q"
    )
    line = base.mark_line(color=ACCENT, clip=True).encode(
        y="effect:Q",
        tooltip=[
            alt.Tooltip("units:Q", format=",d"),
            *(alt.Tooltip(f"{field}:Q", format=".4f") for field in ("effect", "lower", "upper")),
            alt.Tooltip("decision:N"),
        ],
    )
    layers = [band, _zero(), *_fixed(base, rows), *_edges(base), line, *_decided(rows)]
    drawn: Drawing = titled(
        alt.layer(*layers), title, subtitle, width=_WIDTH_PX, height=_HEIGHT_PX
    )
    return drawn


def traffic_over_time(
    points: Sequence[Traffic | Mapping[str, Any]],
    *,
    title: str = "Traffic by variant",
    subtitle: str = "",
) -> Drawing:
    """Draw the cumulative units of every variant against time.

    Parameters
    ----------
    points
        Cumulative counts, or mappings with the same fields; variants are coloured in the order
        of their first appearance.
    title, subtitle
        Words above the chart.
    """
    rows = [_plain(point, Traffic.__slots__) for point in points]
    y = alt.Y("units:Q", title="Units assigned so far", axis=alt.Axis(format=",d", tickCount=6))
    lines = _lines(rows, y, alt.Tooltip("units:Q", format=",d"))
    drawn: Drawing = titled(lines, title, subtitle, width=_WIDTH_PX, height=_HEIGHT_PX)
    return drawn


def share_over_time(
    points: Sequence[Share | Mapping[str, Any]],
    *,
    words: str,
    title: str,
    subtitle: str = "",
) -> Drawing:
    """Draw a share of every variant against time.

    Parameters
    ----------
    points
        Shares, or mappings with the same fields; variants are coloured in the order of their
        first appearance.
    words
        What the share is of, for the vertical axis.
    title, subtitle
        Words above the chart.
    """
    rows = [_plain(point, Share.__slots__) for point in points]
    scale = alt.Scale(domain=[0, 1], nice=False)
    y = alt.Y("share:Q", title=words, scale=scale, axis=alt.Axis(format=".0%", tickCount=6))
    lines = _lines(rows, y, alt.Tooltip("share:Q", format=".1%"))
    drawn: Drawing = titled(lines, title, subtitle, width=_WIDTH_PX, height=_HEIGHT_PX)
    return drawn


def _lines(rows: Sequence[dict[str, Any]], y: Any, tooltip: Any) -> Any:
    """Draw a line for each variant against time."""
    for row in rows:
        row["at"] = row["at"].isoformat() if isinstance(row["at"], datetime) else row["at"]
    variants = list(dict.fromkeys(row["variant"] for row in rows))
    scale = alt.Scale(
        domain=variants, range=[SERIES[at % len(SERIES)] for at in range(len(variants))]
    )
    x = alt.X(
        "at:T",
        title="Time (UTC)",
        scale=alt.Scale(type="utc"),
        axis=alt.Axis(grid=False, tickCount=8, labelExpr=_MOMENT),
    )
    color = alt.Color("variant:N", scale=scale)
    return (
        chart_of(rows)
        .mark_line()
        .encode(x=x, y=y, color=color, tooltip=["variant:N", tooltip, "at:T"])
    )


def _row(look: Look | Mapping[str, Any]) -> dict[str, Any]:
    return _plain(look, Look.__slots__)


def _plain(record: object, fields: Sequence[str]) -> dict[str, Any]:
    if isinstance(record, Mapping):
        return {field: record.get(field) for field in fields}
    return {field: getattr(record, field) for field in fields}


def _range(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    settled = [row for row in rows if row["units"] >= _SETTLED_SHARE * rows[-1]["units"]]
    bottom = min((0.0, *(row["lower"] for row in settled)))
    top = max((0.0, *(row["upper"] for row in settled)))
    margin = 0.08 * ((top - bottom) or 1.0)
    return [bottom - margin, top + margin]


def _zero() -> Any:
    return (
        chart_of([{"zero": 0}])
        .mark_rule(color=INK, strokeWidth=1.1, opacity=0.8)
        .encode(y="zero:Q")
    )


def _edges(base: Any) -> list[Any]:
    edge = base.mark_line(color=ACCENT, opacity=0.55, strokeWidth=1, clip=True)
    return [edge.encode(y="lower:Q"), edge.encode(y="upper:Q")]


def _fixed(base: Any, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    if all(row["fixed_lower"] is None for row in rows):
        return []
    thin = base.mark_line(color=MUTED, strokeDash=[3, 3], strokeWidth=1, clip=True)
    return [thin.encode(y="fixed_lower:Q"), thin.encode(y="fixed_upper:Q")]


def _decided(rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    ended = next((row for row in rows if row["decision"] not in {None, "", "keep_running"}), None)
    if ended is None:
        return []
    decision = ended["decision"]
    colour = SERIES[2] if decision == _SHIPPED else HARM if decision in _STOPPED else MUTED
    mark = {**ended, "words": f"{decision} at {ended['units']:,}"}
    base = chart_of([mark]).encode(x="units:Q", y="effect:Q")
    rule = chart_of([mark]).encode(x="units:Q")
    side = "right" if ended["units"] > rows[-1]["units"] / 2 else "left"
    return [
        rule.mark_rule(color=colour, strokeWidth=1.2, strokeDash=[2, 2]),
        base.mark_circle(color=colour, size=80, opacity=1),
        rule.mark_text(
            color=colour,
            align=side,
            baseline="top",
            dx=-8 if side == "right" else 8,
            fontSize=12,
            fontWeight=600,
        ).encode(y=alt.value(2), text="words:N"),
    ]
