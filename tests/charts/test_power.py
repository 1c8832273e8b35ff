"""The power curve: what is drawn, and where."""

from __future__ import annotations

from typing import Any

from palio.charts.power import power_curve
from palio.charts.render import to_svg

CURVES = {"once": [(100, 0.2), (200, 0.5)], "often": [(100, 0.1), (200, 0.4)]}


def drawn(**more: Any) -> dict[str, Any]:
    found: dict[str, Any] = power_curve(CURVES, power=0.8, **more).to_dict()
    return found


def test_every_point_is_on_its_line() -> None:
    rows = drawn()["layer"][1]["data"]["values"]
    assert [(row["name"], row["units"], row["power"]) for row in rows] == [
        (name, *point) for name, points in CURVES.items() for point in points
    ]


def test_the_power_asked_for_is_a_rule() -> None:
    rule = drawn()["layer"][0]
    assert (rule["mark"]["type"], rule["data"]["values"]) == ("rule", [{"power": 0.8}])


def test_what_is_planned_is_marked_with_its_units() -> None:
    chart = power_curve(CURVES, power=0.8, planned={"once": (12_345, 0.8)}, title="How many")
    drawing = to_svg(chart)
    for word in ("12,345", "How many", "once", "often", "Units, both arms"):
        assert word in drawing


def test_without_curves_it_is_drawn() -> None:
    assert to_svg(power_curve({}, power=0.8)).startswith("<svg")
