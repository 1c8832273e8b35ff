"""The content of trees: indices that native code follows without looking.

scikit-learn walks a tree by the child and feature numbers stored in it and does not compare them
with the bounds of its arrays, so a crafted file of allowed types could read memory that is not
its own, or walk in a circle. These checks hold for every tree that scikit-learn itself grows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.ensemble import BaseEnsemble  # type: ignore[import-untyped]
from sklearn.ensemble._bagging import BaseBagging  # type: ignore[import-untyped]
from sklearn.ensemble._forest import BaseForest  # type: ignore[import-untyped]
from sklearn.ensemble._gb import BaseGradientBoosting  # type: ignore[import-untyped]
from sklearn.ensemble._hist_gradient_boosting.gradient_boosting import (  # type: ignore[import-untyped]
    BaseHistGradientBoosting,
)
from sklearn.tree import BaseDecisionTree  # type: ignore[import-untyped]

from palio.errors import UntrustedArtifact

__all__ = ["check_trees", "parts"]


def parts(model: object) -> Iterator[Any]:
    """Yield the model and every object inside it once: attributes, items, cells of arrays."""
    seen: dict[int, object] = {}
    waiting = [model]
    while waiting:
        part = waiting.pop()
        if id(part) in seen or isinstance(part, str | bytes | int | float | type(None)):
            continue
        seen[id(part)] = part  # kept, so that an id is not given twice
        yield part
        waiting.extend(_inside(part))


def _inside(part: object) -> list[Any]:
    if isinstance(part, dict):
        return list(part.values())
    if isinstance(part, list | tuple | set | frozenset):
        return list(part)
    if isinstance(part, np.ndarray):
        return list(part.flat) if part.dtype == object else []
    if isinstance(part, type):
        return []
    return list(getattr(part, "__dict__", {}).values())


def check_trees(model: object) -> None:
    """Raise ``UntrustedArtifact`` if any tree in the model points outside of its arrays.

    Parameters
    ----------
    model
        A loaded estimator, not used yet.
    """
    for part in parts(model):
        try:
            fits = _fits(part)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            fits = False
        if not fits:
            kind = type(part).__name__
            raise UntrustedArtifact(
                f"a {kind} in the file has trees that point outside of their arrays; "
                "scikit-learn grows no such tree: find out where the file comes from, and "
                "register a model that was saved from a fitted estimator",
                types=[kind],
            )


def _fits(part: Any) -> bool:
    fitted = getattr(part, "__dict__", {})
    if not any(name in fitted for name in ("tree_", "estimators_", "_predictors")):
        return True  # scikit-learn refuses to predict with what is not fitted
    if isinstance(part, BaseHistGradientBoosting):
        return _boosted_fits(part)
    if isinstance(part, BaseForest | BaseGradientBoosting):
        return _share_width(part)
    if isinstance(part, BaseBagging):
        chosen = zip(part.estimators_, part.estimators_features_, strict=True)
        return all(len(columns) == inner.n_features_in_ for inner, columns in chosen)
    if isinstance(part, BaseDecisionTree):
        return _tree_fits(part.tree_, part.n_features_in_)
    return True


def _share_width(ensemble: BaseEnsemble) -> bool:
    width = ensemble.n_features_in_
    per_round = getattr(ensemble, "n_trees_per_iteration_", None)
    if per_round is not None and ensemble.estimators_.shape[1] != per_round:
        return False
    return all(
        isinstance(tree, BaseDecisionTree) and tree.n_features_in_ == width
        for tree in np.ravel(ensemble.estimators_)
    )


def _tree_fits(tree: Any, width: int) -> bool:
    if not 0 < tree.node_count <= tree.capacity:
        return False
    left, right = tree.children_left, tree.children_right
    inner = left != -1  # scikit-learn's mark of a leaf
    return _points_inside(
        left[inner], right[inner], tree.feature[inner], np.flatnonzero(inner), len(left), width
    )


def _boosted_fits(model: BaseHistGradientBoosting) -> bool:
    width = model.n_features_in_
    categorical = model._bin_mapper.is_categorical_  # noqa: SLF001  only here is it kept
    if len(categorical) != width:
        return False
    return all(
        _nodes_fit(predictor, width, categorical)
        for round_ in model._predictors  # noqa: SLF001  only here are they kept
        for predictor in round_
    )


def _nodes_fit(predictor: Any, width: int, categorical: Any) -> bool:
    nodes = predictor.nodes
    at = np.flatnonzero(nodes["is_leaf"] == 0)
    inner = nodes[at]
    if not (
        len(nodes) > 0 and nodes.ndim == 1 and predictor.raw_left_cat_bitsets.shape[1:] == (8,)
    ):
        return False
    if not _points_inside(
        inner["left"], inner["right"], inner["feature_idx"], at, len(nodes), width
    ):
        return False
    by_category = inner[inner["is_categorical"] != 0]
    return bool(
        np.all(by_category["bitset_idx"] < len(predictor.raw_left_cat_bitsets))
        and np.all(categorical[by_category["feature_idx"]])
    )


def _points_inside(  # noqa: PLR0917  the columns of one table
    left: Any, right: Any, feature: Any, own: Any, n_nodes: int, width: int
) -> bool:
    # children come after their parent, which also rules out circles
    inside = (own < left) & (left < n_nodes) & (own < right) & (right < n_nodes)
    return bool(np.all(inside & (feature >= 0) & (feature < width)))
