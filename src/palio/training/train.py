"""Training in one call: split, fit, measure, draw, and write down what was done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import sklearn  # type: ignore[import-untyped]
from sklearn.model_selection import train_test_split  # type: ignore[import-untyped]
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from palio.errors import InvalidData, InvalidInput
from palio.registry.signature import Feature, Label, Signature, Task
from palio.training.columns import features_of, identifiers, labels_of, matrix
from palio.training.estimators import estimator_for
from palio.training.metrics import classifier_intervals, classifier_metrics
from palio.training.plots import draw
from palio.training.table import fingerprint

__all__ = ["Trained", "train"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A fitted model and all that is known of it.

    Attributes
    ----------
    model
        A fitted scikit-learn estimator that takes plain arrays.
    signature
        What it takes and gives.
    metrics
        Figures on the rows held out.
    record
        Data, settings, warnings and ``intervals``, the 95 % bounds (lower, upper) of those metrics
        that have them, as JSON-ready fields.
    plots
        PNG images by name: ``calibration``, ``roc``, ``precision_recall``.
    """

    model: Any
    signature: Signature
    metrics: dict[str, float]
    record: dict[str, Any]
    plots: dict[str, bytes]


def train(
    frame: pl.DataFrame,
    *,
    target: str,
    estimator: str = "logistic",
    seed: int = 0,
    test_share: float = 0.25,
    drop: Sequence[str] = (),
    on_step: Callable[[str], None] = lambda _: None,
) -> Trained:
    """Fit a classifier on a table and measure it on rows held out.

    Parameters
    ----------
    frame
        Rows to learn from and to measure on, one column of them the target.
    target
        Column of integers, booleans or strings: the classes.
    estimator
        ``logistic``, ``gradient-boosting`` or ``module:callable`` (see
        :func:`~palio.training.estimators.estimator_for`).
    seed
        Decides the split and whatever is random in the estimator.
    test_share
        Share of rows held out, between 0 and 1, drawn from each class alike.
    drop
        Columns to leave out.
    on_step
        Called with a few words before every step.

    Raises
    ------
    InvalidData
        If the table cannot be learnt from, naming column and remedy.
    InvalidInput
        If there is no such estimator, or the share is none.
    """
    if not 0 < test_share < 1:
        raise InvalidInput(
            f"test_share is {test_share}; give a share between 0 and 1, such as 0.25",
            field="test_share",
            value=test_share,
        )
    on_step("checking columns")
    features = features_of(frame, target, drop)
    codes, labels = labels_of(frame, target)
    cells = matrix(frame, features)
    learnt, held_out = _split(codes, target, seed=seed, test_share=test_share)
    model = estimator_for(estimator, features, cells[learnt], seed=seed)
    on_step(f"fitting {estimator} on {len(learnt):,} rows")
    with threadpool_limits(1):  # threads that wait for busy cores cost more than they gain
        model.fit(cells[learnt], np.array(labels)[codes[learnt]])
    on_step(f"measuring on {len(held_out):,} rows held out")
    probabilities = model.predict_proba(cells[held_out])
    metrics = classifier_metrics(codes[held_out], probabilities)
    intervals = classifier_intervals(codes[held_out], probabilities)
    on_step("drawing curves")
    plots = draw(codes[held_out], probabilities, target=target, labels=labels, metrics=metrics)
    record = {
        "estimator": estimator,
        "target": target,
        "seed": seed,
        "test_share": test_share,
        "dropped": list(drop),
        "rows_train": len(learnt),
        "rows_test": len(held_out),
        "fingerprint": fingerprint(frame),
        "intervals": {name: list(bounds) for name, bounds in intervals.items()},
        "sklearn": sklearn.__version__,
        "warnings": identifiers(frame, features),
        **_described(features, codes, labels),
    }
    signature = Signature(features=features, task=Task.CLASSIFICATION, classes=labels)
    return Trained(model=model, signature=signature, metrics=metrics, record=record, plots=plots)


def _split(
    codes: np.ndarray[Any, Any], target: str, *, seed: int, test_share: float
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    try:
        learnt, held_out = train_test_split(
            np.arange(len(codes)), test_size=test_share, random_state=seed, stratify=codes
        )
    except ValueError as error:
        raise InvalidData(
            f"{len(codes)} rows with {target!r} of {codes.max() + 1} classes cannot be split with "
            f"test_share {test_share}: {error}; add rows, merge classes or change the share",
            field="test_share",
            value=test_share,
        ) from error
    return learnt, held_out


def _described(
    features: Sequence[Feature], codes: np.ndarray[Any, Any], labels: Sequence[Label]
) -> dict[str, Any]:
    shares = np.bincount(codes) / len(codes)
    return {
        "features": [
            {"name": feature.name, "type": str(feature.type), "nullable": feature.nullable}
            for feature in features
        ],
        "positive_class": labels[-1] if len(labels) == 2 else None,  # noqa: PLR2004  two classes
        "class_shares": {
            str(label): float(share) for label, share in zip(labels, shares, strict=True)
        },
    }
