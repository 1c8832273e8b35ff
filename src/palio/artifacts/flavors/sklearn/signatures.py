"""What a fitted estimator takes and gives."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import is_classifier  # type: ignore[import-untyped]

from palio.artifacts.flavors.samples import features_of
from palio.registry.signature import Label, Signature, Task

__all__ = ["signature_of"]


def signature_of(model: Any, sample: Any, target: Any = None) -> Signature:
    """Return the signature of a fitted model.

    Parameters
    ----------
    model
        A fitted estimator. If it was fitted on a frame, its columns in its order are taken.
    sample
        Inputs as a frame of pandas, polars or another library narwhals knows, or as an array
        (n_rows, n_features). A feature may be missing where the sample has missing values.
    target
        Labels, only needed for a classifier that does not keep its classes.

    Raises
    ------
    InvalidInput
        If the sample is no table, lacks columns, or has columns of other types.
    """
    names = [str(name) for name in getattr(model, "feature_names_in_", ())]
    features = features_of(sample, names)
    if not is_classifier(model):
        return Signature(features=features, task=Task.REGRESSION)
    classes: list[Label] = np.asarray(getattr(model, "classes_", np.unique(target))).tolist()
    return Signature(features=features, task=Task.CLASSIFICATION, classes=tuple(classes))
