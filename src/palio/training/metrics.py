"""Figures of a classifier on rows it has not seen, with 95 % intervals of some."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from scipy.stats import binomtest  # type: ignore[import-untyped]
from sklearn import metrics  # type: ignore[import-untyped]

from palio.charts.curves import Bin
from palio.stats.moments import Moments
from palio.stats.one_look.means import one_sample
from palio.stats.one_look.proportions import wilson
from palio.stats.quality.auc import auc, auc_estimate
from palio.stats.quality.calibration import CalibrationError
from palio.stats.quality.calibration import calibration_error as calibration_of
from palio.stats.quality.paired_calibration import even_bins

__all__ = [
    "calibration_bins",
    "calibration_error",
    "classifier_intervals",
    "classifier_metrics",
]

_Array = np.ndarray[Any, Any]


def classifier_metrics(codes: _Array, probabilities: _Array) -> dict[str, float]:
    """Return the figures of a classifier.

    With two classes, the second is the positive one. With more, precision, recall, F1, ROC AUC
    and average precision are averages over the classes (each against the rest; only those that
    occur in ``codes`` have the last two), the Brier score is the sum over the classes, from 0 to
    2, and the calibration error is that of the likeliest class.

    Parameters
    ----------
    codes
        Class of every row, array (n_rows,) of int, in 0 … n_classes - 1.
    probabilities
        Array (n_rows, n_classes) of float in [0, 1].

    Returns
    -------
    dict
        ``accuracy``, ``precision``, ``recall``, ``f1``, ``roc_auc``, ``average_precision``,
        ``brier``, ``log_loss``, ``calibration_error`` (a mean distance, which noise makes larger)
        and ``calibration_rms`` (a root mean square, the noise taken off); ``roc_auc`` and
        ``average_precision`` are left out where only one class occurs, ``calibration_rms`` where
        rows are too few to tell noise from error.
    """
    classes = range(probabilities.shape[1])
    chosen = probabilities.argmax(axis=1)
    is_binary = len(classes) == 2  # noqa: PLR2004  two classes
    averaged = {"average": "binary" if is_binary else "macro", "zero_division": 0.0}
    truth = np.eye(len(classes))[codes]
    squares = ((probabilities - truth) ** 2).sum(axis=1)
    ranked = [1] if is_binary else [at for at in classes if 0 < truth[:, at].sum() < len(codes)]
    happened, sure = _surest(codes, probabilities)
    found = {
        "accuracy": metrics.accuracy_score(codes, chosen),
        "precision": metrics.precision_score(codes, chosen, **averaged),
        "recall": metrics.recall_score(codes, chosen, **averaged),
        "f1": metrics.f1_score(codes, chosen, **averaged),
        "brier": squares.mean() / (2 if is_binary else 1),
        "log_loss": metrics.log_loss(codes, probabilities, labels=list(classes)),
        "calibration_error": calibration_error(happened, sure),
    }
    if (debiased := _debiased(happened, sure)) is not None:
        found["calibration_rms"] = debiased.error
    if len(set(codes.tolist())) > 1:
        for name, score in _RANKINGS.items():
            found[name] = np.mean([score(truth[:, at], probabilities[:, at]) for at in ranked])
    return {name: float(value) for name, value in found.items()}


def classifier_intervals(codes: _Array, probabilities: _Array) -> dict[str, tuple[float, float]]:
    """Return 95 % intervals of what the figures would be on all rows there could be.

    They say how far the rows held out, if these are independent, leave the figures open; not what
    another fit, or rows of another time, would give.

    Parameters
    ----------
    codes, probabilities
        As for :func:`classifier_metrics`.

    Returns
    -------
    dict
        Lower and upper bound of ``accuracy`` (Wilson), ``brier`` and ``log_loss`` (Student),
        ``calibration_rms`` (noncentral chi-square) and, with two classes that both occur twice,
        ``roc_auc`` (DeLong); those that cannot be told are left out.
    """
    at = np.arange(len(codes))
    hits = int((probabilities.argmax(axis=1) == codes).sum())
    found = {"accuracy": wilson(hits, len(codes))}
    squares = ((probabilities - np.eye(probabilities.shape[1])[codes]) ** 2).sum(axis=1)
    is_binary = probabilities.shape[1] == 2  # noqa: PLR2004  two classes
    least = np.finfo(probabilities.dtype).eps  # as scikit-learn clips
    surprise = -np.log(np.clip(probabilities[at, codes], least, 1))
    for name, losses in (("brier", squares / (2 if is_binary else 1)), ("log_loss", surprise)):
        moments = Moments.of(losses)
        if moments.n > 1 and moments.var > 0:
            mean = one_sample(moments)
            found[name] = (max(mean.lower, 0.0), mean.upper)
    if (debiased := _debiased(*_surest(codes, probabilities))) is not None:
        found["calibration_rms"] = (debiased.lower, debiased.upper)
    if is_binary and min(np.bincount(codes, minlength=2)) > 1:
        area = auc_estimate(auc(codes, probabilities[:, 1]))
        found["roc_auc"] = (area.lower, area.upper)
    return found


def _surest(codes: _Array, probabilities: _Array) -> tuple[_Array, _Array]:
    """Give whether the second of two classes, or the likeliest of more, came; and its score."""
    if probabilities.shape[1] == 2:  # noqa: PLR2004  two classes
        return codes == 1, probabilities[:, 1]
    return probabilities.argmax(axis=1) == codes, probabilities.max(axis=1)


def _debiased(happened: _Array, sure: _Array) -> CalibrationError | None:
    try:
        return calibration_of(even_bins(happened, np.clip(sure, 0, 1)))
    except ValueError:  # one class alone, or rows too few
        return None


_RANKINGS = {
    "roc_auc": metrics.roc_auc_score,
    "average_precision": metrics.average_precision_score,
}


def calibration_error(happened: _Array, predicted: _Array, *, n_bins: int = 10) -> float:
    """Return the expected calibration error over bins of equal mass.

    Mean over rows of the distance between the mean prediction of a row's bin and the share of
    events in it; 0 for a calibrated model, at most 1. Equal predictions share a bin.

    References
    ----------
    Naeini, Cooper, Hauskrecht (2015), AAAI, with bins of equal mass as in Nguyen and O'Connor
    (2015), EMNLP, 1587-1598.
    """
    bins = calibration_bins(happened, predicted, n_bins=n_bins)
    return sum(b.rows * abs(b.predicted - b.observed) for b in bins) / len(predicted)


def calibration_bins(happened: _Array, predicted: _Array, *, n_bins: int = 10) -> list[Bin]:
    """Return bins with about as many rows each, by predicted probability.

    Parameters
    ----------
    happened
        Whether the event happened, array (n_rows,) of bool.
    predicted
        Its probability, array (n_rows,) of float in [0, 1].
    n_bins
        Upper limit of their number; equal predictions share a bin.

    Returns
    -------
    list of Bin
        In ascending order, with 95 % Wilson bounds of the observed share.
    """
    edges = np.quantile(predicted, np.arange(1, n_bins) / n_bins)
    numbers = np.searchsorted(edges, predicted)
    groups = [numbers == number for number in np.unique(numbers)]
    return [_bin(happened[group], predicted[group]) for group in groups]


def _bin(happened: _Array, predicted: _Array) -> Bin:
    events, rows = int(happened.sum()), len(happened)
    bounds = _wilson(events, rows)
    return Bin(float(predicted.mean()), events / rows, bounds[0], bounds[1], rows)


@functools.lru_cache(maxsize=256)
def _wilson(events: int, rows: int) -> tuple[float, float]:
    interval = binomtest(events, rows).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)
