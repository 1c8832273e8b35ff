"""Answers of several versions become one, row by row.

Every answer becomes *scores* first: a number a row for a regression, and for a classification a
number a row and class, in the order of the ensemble's classes. A member whose classes stand in
another order is put right by their labels.

========================  =====================  ==============================================
rule                      regression             classification
========================  =====================  ==============================================
``mean``                  mean of the values     mean of the probabilities of each class
``weighted_mean``         mean by weights        the same by weights
``median``                middle value; of an    middle probability of each class, then divided
                          even number the mean   by their sum; where all are 0 (no class has
                          of the two in the      half of the members behind it) the mean
                          middle
``soft_vote``             refused                as ``mean``, by weights where there are any
``hard_vote``             refused                each member votes for the class it answers,
                                                 with its weight; no probabilities are given
========================  =====================  ==============================================

All but ``hard_vote`` need probabilities of classifiers: a member that gives none has failed. The
class answered is the one with the highest score; of classes within 1e-9 of the highest, the first
in the ensemble's order. A mean lies between the least and the greatest of what it is made of, to
the last bit, and does not depend on the order of the members.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from palio.registry.ensembles.spec import Combine
from palio.registry.signature import Label, Predictions, Signature, Task, label_key

__all__ = ["Scores", "answered", "combined", "scores_of"]

Scores = npt.NDArray[np.float64]
_TIE = 1e-9


def scores_of(
    given: Predictions, own: Signature, *, of: Signature, rule: Combine, n_rows: int
) -> Scores:
    """Return what a member answered as scores.

    Parameters
    ----------
    given
        The answer.
    own
        The member's signature; its classes are those of ``of`` in any order.
    of
        The ensemble's signature.
    rule
        How the scores will be combined.
    n_rows
        How many rows the member was asked about.

    Returns
    -------
    ndarray (n_rows, n_columns) float64
        One column for a regression, one for each class of a classification.

    Raises
    ------
    ValueError
        If it has another number of rows, lacks probabilities that the rule needs, holds what is
        no finite number, or names another class.
    """
    if len(given.values) != n_rows:
        raise ValueError(f"the model gave {len(given.values)} answers to {n_rows} rows")
    if of.task is Task.REGRESSION:
        return _finite(np.asarray(given.values, dtype=np.float64).reshape(n_rows, 1))
    if rule is Combine.HARD_VOTE:
        return _votes(given.values, of.classes)
    if given.probabilities is None:
        raise ValueError(f"the model gave no probabilities, and {rule} needs them")
    found = np.asarray(given.probabilities, dtype=np.float64)
    if found.shape != (n_rows, len(own.classes)):
        raise ValueError(f"the model gave probabilities {found.shape} for {n_rows} rows")
    places = {label_key(label): at for at, label in enumerate(own.classes)}
    return _finite(found[:, [places[label_key(label)] for label in of.classes]])


def combined(scores: Scores, rule: Combine, shares: Sequence[float]) -> Scores:
    """Return one score for what several members gave.

    Parameters
    ----------
    scores
        (n_members, n_rows, n_columns) float64, finite, of at least one member.
    rule
        How they become one.
    shares
        How much each member counts, positive; whatever their sum, it is taken as 1.

    Returns
    -------
    ndarray (n_rows, n_columns) float64
    """
    if rule is not Combine.MEDIAN:
        return _mean(scores, shares if rule.takes_weights else [1.0] * len(scores))
    ordered = np.sort(scores, axis=0)
    middle: Scores = 0.5 * ordered[(len(scores) - 1) // 2] + 0.5 * ordered[len(scores) // 2]
    if scores.shape[2] == 1:
        return middle
    total = middle.sum(axis=1, keepdims=True)
    known = total > 0
    return np.where(
        known, middle / np.where(known, total, 1.0), _mean(scores, [1.0] * len(scores))
    )


def answered(scores: Scores, rule: Combine, signature: Signature) -> Predictions:
    """Return combined scores (n_rows, n_columns) as the answer of the ensemble."""
    if signature.task is Task.REGRESSION:
        return Predictions([*scores[:, 0].tolist()])
    highest = scores.max(axis=1, keepdims=True)
    first = (scores >= highest - _TIE).argmax(axis=1)
    values = [signature.classes[at] for at in first.tolist()]
    return Predictions(values, None if rule is Combine.HARD_VOTE else scores.tolist())


def _mean(scores: Scores, shares: Sequence[float]) -> Scores:
    counted = np.asarray(shares, dtype=np.float64)
    counted /= np.sort(counted).sum()
    # sorted, a sum is the same in whatever order the members come
    total = np.sort(scores * counted[:, None, None], axis=0).sum(axis=0)
    mean: Scores = np.clip(total, scores.min(axis=0), scores.max(axis=0))
    return mean


def _votes(values: Sequence[Label], classes: Sequence[Label]) -> Scores:
    places = {label_key(label): at for at, label in enumerate(classes)}
    votes = np.zeros((len(values), len(classes)))
    for row, label in enumerate(values):
        if label_key(label) not in places:
            raise ValueError(f"the model answered {label!r}, which is no class of its signature")
        votes[row, places[label_key(label)]] = 1.0
    return votes


def _finite(scores: Scores) -> Scores:
    if not np.isfinite(scores).all():
        raise ValueError("the model answered what is no finite number")
    return scores
