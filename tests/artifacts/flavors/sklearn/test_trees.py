"""Trees of allowed types whose numbers point elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sklearn.ensemble import BaggingClassifier, GradientBoostingClassifier
from sklearn.tree import DecisionTreeClassifier

from palio.artifacts.flavors.sklearn.trees import check_trees
from palio.errors import UntrustedArtifact

from . import models


@pytest.mark.parametrize(
    "make",
    [
        models.boosted,
        models.mixed_boosted,
        models.forest,
        lambda: DecisionTreeClassifier().fit(models.NUMBERS, models.LABELS),
        lambda: GradientBoostingClassifier(n_estimators=3).fit(models.NUMBERS, models.LABELS),
        lambda: BaggingClassifier(max_features=2).fit(models.NUMBERS, models.LABELS),
    ],
)
def test_what_scikit_learn_grew_passes(make: Callable[[], Any]) -> None:
    check_trees(make())


@pytest.mark.parametrize(
    ("field", "value"),
    [("left", 10**6), ("right", 0), ("feature_idx", 3), ("feature_idx", 10**6)],
)
def test_a_boosted_tree_that_points_outside_is_refused(field: str, value: int) -> None:
    model = models.boosted()
    nodes = model._predictors[0][0].nodes
    nodes[field][0] = value
    with pytest.raises(UntrustedArtifact, match="outside of their arrays"):
        check_trees(model)


def test_a_category_without_its_set_is_refused() -> None:
    model = models.mixed_boosted()
    nodes = model[-1]._predictors[0][0].nodes
    nodes["is_categorical"][0] = 1
    nodes["feature_idx"][0] = 0
    nodes["bitset_idx"][0] = 10**6
    with pytest.raises(UntrustedArtifact):
        check_trees(model)


@pytest.mark.parametrize("field", ["left_child", "right_child", "feature"])
def test_a_tree_that_points_outside_is_refused(field: str) -> None:
    model = models.forest()
    tree = model.estimators_[0].tree_
    state = tree.__getstate__()
    state["nodes"][field][0] = 10**6
    tree.__setstate__(state)
    with pytest.raises(UntrustedArtifact):
        check_trees(model)


def test_a_tree_that_claims_more_nodes_than_it_has_is_refused() -> None:
    model = models.forest()
    tree = model.estimators_[0].tree_
    tree.__setstate__({**tree.__getstate__(), "node_count": 10**9})
    with pytest.raises(UntrustedArtifact):
        check_trees(model)


def test_a_forest_of_trees_of_another_width_is_refused() -> None:
    model = models.forest()
    wide = DecisionTreeClassifier().fit(models.NUMBERS.repeat(2, axis=1), models.LABELS)
    model.estimators_[0] = wide
    with pytest.raises(UntrustedArtifact):
        check_trees(model)
