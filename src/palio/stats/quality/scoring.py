"""Two versions scored the same requests: everything that is said about which one is better.

Each figure, a loss or the area under the ROC curve, is compared within requests and bounded by
the always-valid rules; what one look would say stands beside it. Decisions are compared by the
requests that exactly one version got wrong, calibration by its mean squared error, at one look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Literal

import numpy as np

from palio.stats import ranges
from palio.stats.anytime.sequential import Comparison, compare_paired
from palio.stats.one_look.means import one_sample
from palio.stats.quality.auc import (
    auc,
    auc_estimate,
    auc_moments,
    paired_auc_difference,
    paired_auc_moments,
)
from palio.stats.quality.calibration import (
    CalibrationError,
    Spiegelhalter,
    calibration_error,
    spiegelhalter,
)
from palio.stats.quality.paired import (
    DiscordantEvidence,
    Loss,
    mcnemar,
    mcnemar_evalue,
    paired_loss,
)
from palio.stats.quality.paired_calibration import even_bins, paired_calibration_difference

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from palio.stats.estimate import Estimate
    from palio.stats.moments import Moments

    Array = NDArray[np.float64]

__all__ = [
    "Better",
    "Calibration",
    "Decisions",
    "Figure",
    "Level",
    "ScoreReport",
    "compare_scores",
]

Better = Literal["control", "treatment"]
"""Which version is shown to do better."""

_ROC_AUC = "roc_auc"
_OF_PROBABILITIES: tuple[Loss, ...] = ("brier", "log_loss", "error")
_OF_NUMBERS: tuple[Loss, ...] = ("squared_error", "absolute_error")
_FEW = 30  # of a class, below which DeLong's errors are too small at one look
_LEAST_OF_CLASS = 100  # for a verdict at every look, as `compare` asks of an arm


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """Where one version stands on a figure.

    Attributes
    ----------
    value
        The figure.
    lower, upper
        Bounds that hold with 1 - alpha at this look only; infinite where nothing varied.
    """

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure of both versions, and their difference within requests.

    Attributes
    ----------
    name
        ``brier``, ``log_loss``, ``error``, ``squared_error``, ``absolute_error`` (means, better
        when smaller) or ``roc_auc`` (better when larger).
    control, treatment
        Where either stands.
    comparison
        The difference, treatment minus control, with bounds and p-value valid at every look; no
        verdict below 100 requests, for ``roc_auc`` below 100 of either label.
    one_look
        The same if this is the only look.
    better
        Which version is shown to be better, by `comparison`; None where neither is.
    traffic_share
        Requests that this comparison takes, as a share of what two arms of separate requests
        would take together for the same precision: ``var_d / (var_c + var_t) / 2``. None where
        nothing varied.
    """

    name: str
    control: Level
    treatment: Level
    comparison: Comparison
    one_look: Estimate
    better: Better | None
    traffic_share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """McNemar's table of the decisions at the threshold.

    Attributes
    ----------
    both_right, only_control_wrong, only_treatment_wrong, both_wrong
        Requests.
    one_look
        Difference of the error rates with the exact p-value, if this is the only look.
    evidence
        The e-value with its p-value, valid at every look.
    better
        Which version is shown to err less often, by `evidence`; None where neither is.
    """

    both_right: int
    only_control_wrong: int
    only_treatment_wrong: int
    both_wrong: int
    one_look: Estimate
    evidence: DiscordantEvidence
    better: Better | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How far the scores of both versions are from the frequencies, at one look.

    Attributes
    ----------
    control, treatment
        Root mean squared calibration error of either, over `even_bins`.
    control_z, treatment_z
        Spiegelhalter's test of either; None where the scores leave it no variance.
    difference
        Of the mean squares, treatment minus control, as `paired_calibration_difference` has it.
    better
        Which version is shown to be better calibrated, by `difference`; None where neither is.
    """

    control: CalibrationError
    treatment: CalibrationError
    control_z: Spiegelhalter | None
    treatment_z: Spiegelhalter | None
    difference: Estimate
    better: Better | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreReport:
    """What the scores of two versions for the same requests say.

    Attributes
    ----------
    n
        Requests.
    alpha, horizon, planned, threshold
        As they were in force; each statement errs with probability alpha on its own.
    figures
        A row a loss, then the area under the ROC curve where labels are classes.
    decisions
        None where scores are no probabilities.
    calibration
        None where it cannot be told.
    notes
        What was left out and why, and what else one has to know.
    """

    n: int
    alpha: float
    horizon: int | None
    planned: int | None
    threshold: float
    figures: tuple[Figure, ...]
    decisions: Decisions | None
    calibration: Calibration | None
    notes: tuple[str, ...]


def compare_scores(
    labels: ArrayLike,
    control_scores: ArrayLike,
    treatment_scores: ArrayLike,
    *,
    losses: Sequence[Loss] = (),
    threshold: float = 0.5,
    alpha: float = 0.05,
    horizon: int | None = None,
    planned: int | None = None,
) -> ScoreReport:
    """Compare two versions by their scores for the same requests.

    Parameters
    ----------
    labels
        What came true, shape (n,): 0 or 1, or any finite numbers, n at least 2.
    control_scores, treatment_scores
        What the versions said of these requests in the same order, shape (n,), finite.
    losses
        Losses of `paired_loss` to compare. Without any: ``brier``, ``log_loss`` (unless a score
        rules out what came true) and ``error`` of labels 0 or 1 with scores in [0, 1],
        ``squared_error`` and ``absolute_error`` of other labels, none of labels 0 or 1 with other
        scores.
    threshold
        Score from which on a request is decided as 1, in (0, 1).
    alpha
        Error probability of each statement, in [0.001, 0.2].
    horizon, planned
        As for `compare_paired`; without either the n requests here stand for the planned ones.

    Returns
    -------
    ScoreReport
        Figures, decisions and calibration as far as labels and scores have them.

    Raises
    ------
    ValueError
        If an argument is out of its range, lengths differ, a loss that was asked for does not fit
        labels or scores, or none fits.

    Notes
    -----
    Assumes requests independent of each other and labels that do not depend on which version
    answered: shadow traffic, or rows held out from both.

    References
    ----------
    As the functions that it calls.
    """
    ranges.open_unit("threshold", threshold)
    rows = _Rows.of(labels, control_scores, treatment_scores)
    notes: list[str] = []
    if horizon is None and planned is None:
        planned = rows.y.size
        notes.append(
            f"tightest at these {planned:,} requests, for neither a horizon nor planned requests "
            "were given; to look again, choose one now and keep it"
        )
    looking = _Looking(alpha, horizon, planned)
    chosen = tuple(losses) or _fitting(rows, notes)
    figures = [_loss(loss, rows, looking, threshold) for loss in dict.fromkeys(chosen)]
    if _can_rank(rows, notes):
        figures.append(_ranking(rows, looking))
    if not figures:
        raise ValueError("losses must be named: labels of one kind and such scores allow no other")
    return ScoreReport(
        n=rows.y.size,
        alpha=alpha,
        horizon=horizon,
        planned=planned,
        threshold=threshold,
        figures=tuple(figures),
        decisions=_decisions(rows, alpha, threshold) if rows.are_probabilities else None,
        calibration=_calibration(rows, alpha, notes),
        notes=tuple(notes),
    )


@dataclass(frozen=True, slots=True)
class _Looking:
    alpha: float
    horizon: int | None
    planned: int | None

    def compare(self, differences: Moments) -> Comparison:
        return compare_paired(
            differences, alpha=self.alpha, horizon=self.horizon, planned=self.planned
        )


@dataclass(frozen=True, slots=True)
class _Rows:
    """Labels with the scores of both versions, and what kind of numbers these are."""

    y: Array
    control: Array
    treatment: Array
    are_classes: bool
    are_probabilities: bool

    @classmethod
    def of(cls, labels: ArrayLike, control: ArrayLike, treatment: ArrayLike) -> _Rows:
        y = ranges.finite_array("labels", labels, least=2)
        scores = []
        for name, values in (("control_scores", control), ("treatment_scores", treatment)):
            array = ranges.finite_array(name, values)
            if array.size != y.size:
                raise ValueError(
                    f"{name} must hold {y.size} values as labels do, got {array.size}"
                )
            scores.append(array)
        classes = bool(np.isin(y, (0, 1)).all())
        shares = all(((array >= 0) & (array <= 1)).all() for array in scores)
        return cls(y, scores[0], scores[1], classes, classes and shares)


def _fitting(rows: _Rows, notes: list[str]) -> tuple[Loss, ...]:
    """Choose the losses that labels and scores allow."""
    if not rows.are_classes:
        return _OF_NUMBERS
    if not rows.are_probabilities:
        notes.append(
            "scores beyond [0, 1] are no probabilities: only how they rank is compared, unless a "
            "loss is named"
        )
        return ()
    wrong = 1 - rows.y
    ruled_out = int(((rows.control == wrong) | (rows.treatment == wrong)).sum())
    if not ruled_out:
        return _OF_PROBABILITIES
    notes.append(
        f"log_loss is infinite, and left out: scores of 0 or 1 ruled out what came true in "
        f"{ruled_out:,} requests"
    )
    return tuple(loss for loss in _OF_PROBABILITIES if loss != "log_loss")


def _loss(loss: Loss, rows: _Rows, looking: _Looking, threshold: float) -> Figure:
    def beyond(baseline: Array, scores: Array) -> Moments:
        return paired_loss(loss, rows.y, baseline, scores, threshold=threshold)

    differences = beyond(rows.control, rows.treatment)
    arms = beyond(rows.y, rows.control), beyond(rows.y, rows.treatment)  # knowing costs nothing
    comparison = looking.compare(differences)
    return Figure(
        name=loss,
        control=_mean(arms[0], looking.alpha),
        treatment=_mean(arms[1], looking.alpha),
        comparison=comparison,
        one_look=one_sample(differences, alpha=looking.alpha),
        better=_better(comparison.effect, shown=comparison.significant),
        traffic_share=_traffic_share(differences, *arms),
    )


def _mean(losses: Moments, alpha: float) -> Level:
    found = one_sample(losses, alpha=alpha)
    return Level(value=found.effect, lower=found.lower, upper=found.upper)


def _can_rank(rows: _Rows, notes: list[str]) -> bool:
    if not rows.are_classes:
        return False
    positives = int(rows.y.sum())
    fewest = min(positives, rows.y.size - positives)
    if fewest < 2:  # noqa: PLR2004 -- a variance needs two
        notes.append(f"no ranking: {positives:,} of {rows.y.size:,} labels are 1")
        return False
    if fewest < _FEW:
        notes.append(
            f"{_ROC_AUC}: {fewest} requests of the rarer label are few; its bounds want {_FEW}"
        )
    return True


def _ranking(rows: _Rows, looking: _Looking) -> Figure:
    arms = auc(rows.y, rows.control), auc(rows.y, rows.treatment)
    levels = []
    for arm in arms:
        found = auc_estimate(arm, alpha=looking.alpha)
        levels.append(Level(value=found.effect, lower=found.lower, upper=found.upper))
    differences = paired_auc_moments(rows.y, rows.control, rows.treatment)
    comparison = looking.compare(differences)
    fewest = min(arms[0].positives, arms[0].negatives)
    if fewest < _LEAST_OF_CLASS:
        comparison = _silent(comparison, fewest)
    return Figure(
        name=_ROC_AUC,
        control=levels[0],
        treatment=levels[1],
        comparison=comparison,
        one_look=paired_auc_difference(rows.y, rows.control, rows.treatment, alpha=looking.alpha),
        better=_better(-comparison.effect, shown=comparison.significant),
        traffic_share=_traffic_share(differences, *(auc_moments(arm) for arm in arms)),
    )


def _silent(comparison: Comparison, fewest: int) -> Comparison:
    reason = f"the rarer label has {fewest} requests, a verdict needs {_LEAST_OF_CLASS}"
    return replace(
        comparison,
        lower=-inf, upper=inf, p_value=1.0, rule="none", significant=False, reason=reason,
    )  # fmt: skip


def _decisions(rows: _Rows, alpha: float, threshold: float) -> Decisions:
    wrong_c, wrong_t = ((s >= threshold) != rows.y for s in (rows.control, rows.treatment))
    only_c, only_t = int((wrong_c & ~wrong_t).sum()), int((wrong_t & ~wrong_c).sum())
    both = int((wrong_c & wrong_t).sum())
    evidence = mcnemar_evalue(only_c, only_t)
    return Decisions(
        both_right=rows.y.size - only_c - only_t - both,
        only_control_wrong=only_c,
        only_treatment_wrong=only_t,
        both_wrong=both,
        one_look=mcnemar(only_c, only_t, n=rows.y.size, alpha=alpha),
        evidence=evidence,
        better=_better(only_t - only_c, shown=evidence.p_value <= alpha),
    )


def _calibration(rows: _Rows, alpha: float, notes: list[str]) -> Calibration | None:
    if not rows.are_probabilities:
        return None
    bins = even_bins(rows.y, rows.control), even_bins(rows.y, rows.treatment)
    try:
        errors = [calibration_error(each, alpha=alpha) for each in bins]
        difference = paired_calibration_difference(
            rows.y, rows.control, rows.treatment, alpha=alpha
        )
    except ValueError as error:
        notes.append(f"no calibration: {error}")
        return None
    tests = [spiegelhalter(each) if sum(each.spreads) else None for each in bins]
    shown = difference.lower > 0 or difference.upper < 0
    return Calibration(
        control=errors[0],
        treatment=errors[1],
        control_z=tests[0],
        treatment_z=tests[1],
        difference=difference,
        better=_better(difference.effect, shown=shown),
    )


def _better(excess: float, *, shown: bool) -> Better | None:
    """Name the version that does better where treatment exceeds control in something bad."""
    if not shown:
        return None
    return "treatment" if excess < 0 else "control"


def _traffic_share(differences: Moments, control: Moments, treatment: Moments) -> float | None:
    apart = control.var + treatment.var
    return differences.var / apart / 2 if apart else None
