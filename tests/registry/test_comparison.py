"""Versions beside each other: figures by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palio.errors import InvalidInput
from palio.registry.comparison import DIRECTIONS, MetricDifference, Way, compare_versions
from palio.registry.domain import Version
from palio.testing.records import RECORDS

figures = st.floats(-1e6, 1e6)


def version(name: str, metrics: Mapping[str, float]) -> Version:
    base: Version = RECORDS["versions"][0]
    return replace(base, model="credit", version=name, metrics=metrics)


OLD = version("v1", {"auc": 0.8, "brier": 0.2, "zeal": 3.0})
NEW = version("v2", {"auc": 0.84, "brier": 0.25, "spread": 1.0})


def test_each_metric_says_how_far_and_which_is_better() -> None:
    found = {row.metric: row for row in compare_versions([OLD, NEW])}
    assert list(found) == ["auc", "brier", "spread", "zeal"]
    auc = found["auc"].differences["credit:v2"]
    assert (auc.value, auc.better) == (0.84, True)
    assert auc.absolute == pytest.approx(0.04)
    assert auc.relative == pytest.approx(0.05)
    assert found["auc"].best == "credit:v2"
    brier = found["brier"].differences["credit:v2"]
    assert brier.relative == pytest.approx(0.25)
    assert (brier.better, found["brier"].best) == (False, "credit:v1")


def test_what_one_of_them_lacks_is_no_difference() -> None:
    found = {row.metric: row for row in compare_versions([OLD, NEW])}
    assert found["spread"].differences["credit:v2"] == MetricDifference(1.0, None, None, None)
    assert found["zeal"].differences["credit:v2"] == MetricDifference(None, None, None, None)


def test_a_metric_whose_name_does_not_tell_needs_to_be_told() -> None:
    one, two = version("a", {"zeal": 1.0}), version("b", {"zeal": 2.0})
    (silent,) = compare_versions([one, two])
    assert (silent.way, silent.best, silent.differences["credit:b"].better) == (None, None, None)
    (told,) = compare_versions([one, two], {"zeal": Way.LOWER})
    assert (told.best, told.differences["credit:b"].better) == ("credit:a", False)


def test_a_baseline_of_0_has_no_percentage_and_equals_no_winner() -> None:
    one, two, three = (version(name, {"auc": value}) for name, value in
                       (("a", 0.0), ("b", 0.5), ("c", 0.5)))  # fmt: skip
    (row,) = compare_versions([one, two, three])
    assert row.differences["credit:b"] == MetricDifference(0.5, 0.5, None, better=True)
    assert row.best is None


@given(figures, figures, st.sampled_from(sorted(DIRECTIONS)))
def test_exchanged_versions_are_mirrored(one: float, two: float, metric: str) -> None:
    a, b = version("a", {metric: one}), version("b", {metric: two})
    (there,), (back,) = compare_versions([a, b]), compare_versions([b, a])
    left, right = there.differences["credit:b"], back.differences["credit:a"]
    assert there.best == back.best
    assert left.absolute == -(right.absolute or 0.0)
    assert (left.better is None) == (right.better is None)
    assert left.better is None or left.better != right.better


@pytest.mark.parametrize("versions", [[], [OLD], [OLD, OLD]])
def test_fewer_than_two_different_versions_are_refused(versions: list[Version]) -> None:
    with pytest.raises(InvalidInput, match="takes two different versions or more, got"):
        compare_versions(versions)
