"""Specifications of the curves: what is drawn, and where."""

from __future__ import annotations

from typing import Any

from palio.charts.curves import Bin, calibration, precision_recall, roc
from palio.charts.render import to_svg

POINTS = [(0.0, 0.0), (0.5, 0.8), (1.0, 1.0)]
BINS = [Bin(0.1, 0.12, 0.05, 0.2, 100), Bin(0.4, 0.35, 0.3, 0.5, 100)]


def layers(chart: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = chart.to_dict()["layer"]
    return found


def marks(chart: Any) -> list[str]:
    return [layer["mark"]["type"] for layer in layers(chart)]


def rows_of(chart: Any) -> list[dict[str, Any]]:
    return [row for layer in layers(chart) for row in layer.get("data", {}).get("values", [])]


def test_calibration_draws_diagonal_bounds_line_and_bins() -> None:
    chart = calibration(BINS, event="default = 1")
    assert marks(chart) == ["line", "rule", "line", "circle"]
    assert {
        "predicted": 0.1,
        "observed": 0.12,
        "lower": 0.05,
        "upper": 0.2,
        "rows": 100,
    } in rows_of(chart)
    assert "Predicted probability of default = 1" in to_svg(chart)


def test_calibration_keeps_all_bounds_on_the_chart() -> None:
    scale = layers(calibration(BINS))[2]["encoding"]["y"]["scale"]
    assert scale["domain"][0] == 0
    assert 0.5 < scale["domain"][1] <= 1


def test_calibration_without_bins_is_drawn() -> None:
    assert to_svg(calibration([])).startswith("<svg")


def test_roc_draws_the_points_it_was_given() -> None:
    drawn = [(row["x"], row["y"]) for row in rows_of(roc({"a": POINTS})) if "name" in row]
    assert drawn == POINTS


def test_one_curve_needs_no_legend_and_two_do() -> None:
    assert "color" not in layers(roc({"a": POINTS}))[1]["encoding"]
    assert layers(roc({"a": POINTS, "b": POINTS}))[1]["encoding"]["color"]["field"] == "name"


def test_precision_recall_says_what_guessing_gives() -> None:
    assert "guessing: 0.221" in to_svg(precision_recall({"a": POINTS}, base_rate=0.2212))
    assert "guessing" not in to_svg(precision_recall({"a": POINTS}))


def test_title_and_subtitle_are_shown() -> None:
    drawn = to_svg(roc({"a": POINTS}, title="Ranking", subtitle="area 0.78"))
    assert "Ranking" in drawn
    assert "area 0.78" in drawn
