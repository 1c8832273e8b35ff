"""How the power of an experiment grows with its units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt

from palio.charts.theme import MUTED, SERIES, Drawing, chart_of, titled

__all__ = ["power_curve"]

_WIDTH_PX, _HEIGHT_PX = 680, 320


def power_curve(
    curves: Mapping[str, Sequence[tuple[int, float]]],
    *,
    power: float,
    planned: Mapping[str, tuple[int, float]] | None = None,
    title: str = "Power",
    subtitle: str = "",
) -> Drawing:
    """Draw the chance to find an effect against the units of both arms, a line for each name.

    Parameters
    ----------
    curves
        Points (units, power in [0, 1]) by name, in the order of their units.
    power
        The power that is asked for, in (0, 1): a dashed line.
    planned
        Units that are planned and the power they reach, by name: a mark on that line.
    title, subtitle
        Words above the chart.
    """
    rows = [
        {"name": name, "units": units, "power": reached}
        for name, points in curves.items()
        for units, reached in points
    ]
    names = list(curves)
    colour = alt.Color("name:N", scale=alt.Scale(domain=names, range=list(SERIES[: len(names)])))
    lines = (
        chart_of(rows)
        .mark_line(clip=True)
        .encode(
            x=alt.X(
                "units:Q",
                title="Units, both arms",
                axis=alt.Axis(format=",d", grid=False, tickCount=8),
            ),
            y=alt.Y(
                "power:Q",
                title="Chance to find the effect",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format="%", tickCount=6),
            ),
            color=colour,
            tooltip=[
                "name:N",
                alt.Tooltip("units:Q", format=",d"),
                alt.Tooltip("power:Q", format=".1%"),
            ],
        )
    )
    asked = chart_of([{"power": power}]).mark_rule(color=MUTED, strokeDash=[4, 4])
    marks = [
        {"name": name, "units": units, "power": reached, "words": f"{units:,}"}
        for name, (units, reached) in (planned or {}).items()
    ]
    base = chart_of(marks).encode(x="units:Q", y="power:Q", color=colour)
    layers = [
        asked.encode(y="power:Q"),
        lines,
        base.mark_circle(size=70, opacity=1),
        base.mark_text(align="left", baseline="top", dx=6, dy=6, fontSize=11).encode(
            text="words:N"
        ),
    ]
    drawn: Drawing = titled(
        alt.layer(*layers), title, subtitle, width=_WIDTH_PX, height=_HEIGHT_PX
    )
    return drawn
