"""Specifications of an experiment's charts."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from palio.charts.experiment import (
    Look,
    Share,
    Traffic,
    interval_over_time,
    share_over_time,
    traffic_over_time,
)
from palio.charts.render import to_svg

LOOKS = [
    Look(units=10, effect=None, lower=None, upper=None),
    Look(units=50, effect=0.5, lower=-9.0, upper=10.0, decision="keep_running"),
    Look(units=1_000, effect=0.02, lower=-0.01, upper=0.05, decision="keep_running"),
    Look(units=2_000, effect=0.03, lower=0.01, upper=0.05, decision="ship"),
]


def layers(chart: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = chart.to_dict()["layer"]
    return found


def marks(chart: Any) -> list[str]:
    return [layer["mark"]["type"] for layer in layers(chart)]


def test_band_zero_edges_line_and_decision() -> None:
    expected = ["area", "rule", "line", "line", "line", "rule", "circle", "text"]
    assert marks(interval_over_time(LOOKS)) == expected


def test_mappings_draw_what_records_draw() -> None:
    records, mappings = interval_over_time(LOOKS), interval_over_time([asdict(x) for x in LOOKS])
    assert layers(records) == layers(mappings)


def test_looks_without_bounds_are_left_out() -> None:
    drawn = layers(interval_over_time(LOOKS))[0]["data"]["values"]
    assert [row["units"] for row in drawn] == [50, 1_000, 2_000]


def test_the_first_looks_do_not_flatten_the_rest() -> None:
    low, high = layers(interval_over_time(LOOKS))[0]["encoding"]["y"]["scale"]["domain"]
    assert -0.02 < low <= -0.01  # the bounds of looks past a tenth of the units, with a margin
    assert 0.05 <= high < 0.06


def test_no_decision_no_mark() -> None:
    assert marks(interval_over_time(LOOKS[:3])) == ["area", "rule", "line", "line", "line"]


@pytest.mark.parametrize("decision", ["ship", "rollback", "inconclusive", "invalid"])
def test_a_decision_is_named_where_it_fell(decision: str) -> None:
    ended = [*LOOKS[:3], replace(LOOKS[3], decision=decision)]
    assert f"{decision} at 2,000" in to_svg(interval_over_time(ended))


def test_a_fixed_horizon_interval_is_two_dashed_lines() -> None:
    looks = [replace(look, fixed_lower=0.0, fixed_upper=0.04) for look in LOOKS]
    dashed = [
        x for x in layers(interval_over_time(looks)) if x["mark"].get("strokeDash") == [3, 3]
    ]
    assert [x["encoding"]["y"]["field"] for x in dashed] == ["fixed_lower", "fixed_upper"]


def test_the_axis_says_what_is_measured_in_what() -> None:
    drawn = to_svg(interval_over_time(LOOKS, effect="Latency", unit="ms"))
    assert "Latency (ms)" in drawn
    assert "1,000" in drawn


def test_an_experiment_without_looks_is_drawn() -> None:
    assert to_svg(interval_over_time([])).startswith("<svg")
    assert to_svg(traffic_over_time([])).startswith("<svg")


def test_traffic_has_a_line_for_each_variant_in_order() -> None:
    start = datetime(2024, 5, 1, tzinfo=UTC)
    points = [
        Traffic(at=start + timedelta(hours=hour), variant=variant, units=hour * 40)
        for variant in ("control", "b", "a")
        for hour in range(3)
    ]
    chart = traffic_over_time(points)
    spec = chart.to_dict()
    assert spec["encoding"]["color"]["scale"]["domain"] == ["control", "b", "a"]
    again = traffic_over_time([asdict(point) for point in points])
    assert again.to_dict() == spec
    assert "Units assigned so far" in to_svg(chart)


def test_shares_have_a_line_for_each_variant_between_0_and_1() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    points = [
        Share(at=at + timedelta(hours=hour), variant=key, share=share)
        for hour, shares in enumerate([(0.5, 0.5), (0.3, 0.7)])
        for key, share in zip(("control", "challenger"), shares, strict=True)
    ]
    spec = share_over_time(points, words="Weight", title="Weights").to_dict()
    assert spec["encoding"]["y"]["scale"]["domain"] == [0, 1]
    assert spec["encoding"]["color"]["scale"]["domain"] == ["control", "challenger"]
    assert to_svg(share_over_time([], words="Weight", title="None")).startswith("<svg")
