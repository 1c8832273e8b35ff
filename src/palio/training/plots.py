"""Curves of a classifier on rows it has not seen, as PNG images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn import metrics as scores  # type: ignore[import-untyped]

from palio.charts import curves
from palio.charts.render import to_png
from palio.registry.signature import Label
from palio.training.metrics import calibration_bins

__all__ = ["draw"]

_MAX_POINTS = 400
_MAX_CURVES = 8

_Array = np.ndarray[Any, Any]


def draw(
    codes: _Array,
    probabilities: _Array,
    *,
    target: str,
    labels: Sequence[Label],
    metrics: Mapping[str, float],
) -> dict[str, bytes]:
    """Return the calibration, ROC and precision-recall curves.

    With more than two classes there is a curve for each of the first eight against the rest, and
    calibration is that of the likeliest class.

    Parameters
    ----------
    codes, probabilities
        As in :func:`~palio.training.metrics.classifier_metrics`.
    target, labels
        Words for axes and legends.
    metrics
        The figures named in the subtitles.
    """
    rows = f"{len(codes):,} rows held out"
    if len(labels) == 2:  # noqa: PLR2004  two classes
        shown, happened, sure = [1], codes == 1, probabilities[:, 1]
        event, base_rate = f"{target} = {labels[1]}", float((codes == 1).mean())
    else:
        shown = [at for at in np.unique(codes).tolist() if at < len(labels)][:_MAX_CURVES]
        happened, sure = probabilities.argmax(axis=1) == codes, probabilities.max(axis=1)
        event, base_rate = "the likeliest class", None
    charts = {
        "calibration": curves.calibration(
            calibration_bins(happened, sure),
            event=event,
            subtitle=f"calibration error {metrics['calibration_error']:.4f} on {rows}; "
            "bars: 95 % Wilson",
        )
    }
    if "roc_auc" in metrics:
        ranked = {str(labels[at]): (codes == at, probabilities[:, at]) for at in shown}
        charts["roc"] = curves.roc(
            {name: _roc(*both) for name, both in ranked.items()},
            subtitle=f"area {metrics['roc_auc']:.3f} on {rows}",
        )
        charts["precision_recall"] = curves.precision_recall(
            {name: _precision_recall(*both) for name, both in ranked.items()},
            base_rate=base_rate,
            subtitle=f"average precision {metrics['average_precision']:.3f} on {rows}",
        )
    return {name: to_png(chart) for name, chart in charts.items()}


def _roc(happened: _Array, predicted: _Array) -> list[curves.Point]:
    false_rate, true_rate, _ = scores.roc_curve(happened, predicted)
    return _points(false_rate, true_rate)


def _precision_recall(happened: _Array, predicted: _Array) -> list[curves.Point]:
    precision, recall, _ = scores.precision_recall_curve(happened, predicted)
    return _points(recall[::-1], precision[::-1])


def _points(across: _Array, up: _Array) -> list[curves.Point]:
    kept = np.unique(np.linspace(0, len(across) - 1, _MAX_POINTS).round().astype(int))
    return list(zip(across[kept].tolist(), up[kept].tolist(), strict=True))
