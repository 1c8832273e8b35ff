"""Trees whose indices are within bounds.

XGBoost checks the lengths of arrays when it reads a file and follows the indices in them blindly:
a child or a parent that is no node ends the whole process.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from palio.errors import UntrustedArtifact

__all__ = ["check_trees"]


def check_trees(learner: Any) -> None:
    """Check the trees of a booster.

    Parameters
    ----------
    learner
        The object under ``learner`` in its file.

    Raises
    ------
    UntrustedArtifact
        If a node points outside of its tree, to a node twice, or to a feature or an output that
        the model does not have.
    """
    booster = learner["gradient_booster"]
    dropped = booster.get("weight_drop")
    model = booster.get("gbtree", booster)["model"]
    parameters = learner["learner_model_param"]
    trees = model["trees"]
    outputs = max(1, int(parameters["num_class"])) * max(1, int(parameters["num_target"]))
    ends = np.asarray(model["iteration_indptr"])
    best = int(learner["attributes"].get("best_iteration", 0))
    sound = (
        len(model["tree_info"]) == len(trees)
        and all(0 <= output < outputs for output in model["tree_info"])
        and ends.size > 0
        and (ends[0], ends[-1]) == (0, len(trees))
        and bool((np.diff(ends) >= 0).all())
        and 0 <= best < max(ends.size - 1, 1)
        and (dropped is None or len(dropped) == len(trees))
        and all(_is_sound(tree, int(parameters["num_feature"])) for tree in trees)
    )
    if not sound:
        raise UntrustedArtifact(
            "the trees in the file point outside of their arrays, which XGBoost never writes; "
            "save the model again from where it was trained"
        )


def _is_sound(tree: Any, width: int) -> bool:
    left, right = np.asarray(tree["left_children"]), np.asarray(tree["right_children"])
    inner = left != -1
    children = np.concatenate([left[inner], right[inner]])
    features = np.asarray(tree["split_indices"])[inner]
    parents, nodes = np.asarray(tree["parents"]), np.flatnonzero(inner)
    # no node but the root is without parent, none has two: every path ends at a leaf
    return bool(
        left.size > 0
        and (right[~inner] == -1).all()
        and ((children > 0) & (children < left.size)).all()
        and np.unique(children).size == children.size
        and (parents[children] == np.concatenate([nodes, nodes])).all()
        and ((features >= 0) & (features < width)).all()
    )
