"""Both versions scored the same requests: the losses are compared request by request.

What makes a request hard is the same for both and drops out of the difference. With equal
variances and correlation rho, m requests scored by both tell as much as ``m / (1 - rho)`` units
in each of two arms. Losses become `Moments` of differences; decisions become the numbers of
requests that exactly one version got wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, log, sqrt
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from scipy.special import bdtr, betainc, betaln, ndtri  # type: ignore[import-untyped]  # no stubs

from palio.stats import ranges
from palio.stats.estimate import Alternative, Estimate
from palio.stats.moments import Moments

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

__all__ = ["DiscordantEvidence", "Loss", "mcnemar", "mcnemar_evalue", "paired_loss"]

Loss = Literal["brier", "log_loss", "squared_error", "absolute_error", "error"]
"""Loss of one request: the first two and ``error`` of a label 0 or 1, the others of a number."""

_PRIOR_RANGE = (0.001, 1e6)  # beyond it the difference of logarithms is rounding
_OF_CLASSES = frozenset({"brier", "log_loss", "error"})


@dataclass(frozen=True, slots=True)
class DiscordantEvidence:
    """Evidence that one version is wrong more often than the other.

    Attributes
    ----------
    log_evalue
        Natural logarithm of the e-value; below 0 it speaks for the null.
    p_value
        ``min(1, 1/e)``, valid at every look; the minimum over the looks so far is valid, too.
    """

    log_evalue: float
    p_value: float


def paired_loss(
    kind: Loss,
    labels: ArrayLike,
    control_scores: ArrayLike,
    treatment_scores: ArrayLike,
    *,
    threshold: float = 0.5,
) -> Moments:
    """Give the moments of what treatment's loss exceeds control's by, request by request.

    Parameters
    ----------
    kind
        ``brier`` (s - y)^2, ``log_loss`` -ln of the score of the label in nats, ``error`` 1 where
        ``s >= threshold`` is not the label: labels 0 or 1, scores in [0, 1].
        ``squared_error`` (s - y)^2 and ``absolute_error`` abs(s - y): finite numbers.
    labels
        What came true, shape (n,) float64.
    control_scores, treatment_scores
        What the versions said of the same requests in the same order, shape (n,) float64.
    threshold
        Score from which on a request is decided as 1, in [0, 1]; used by ``error`` only.

    Returns
    -------
    Moments
        Of ``loss_treatment - loss_control``, negative where treatment is better; chunks of a
        stream merge.

    Raises
    ------
    ValueError
        If an argument is out of its range, lengths differ, or a loss is infinite: log loss of a
        score that rules out what came true. Such a score is not clipped here, for the bound
        chosen would be most of the result.

    References
    ----------
    Brier (1950), Monthly Weather Review 78(1), 1-3; Good (1952), JRSS B 14(1), 107-114.
    """
    if kind not in get_args(Loss):
        raise ValueError(f"kind must be one of {', '.join(get_args(Loss))}, got {kind!r}")
    ranges.share("threshold", threshold)
    truth = ranges.finite_array("labels", labels)
    control = _scores("control_scores", control_scores, truth, kind)
    treatment = _scores("treatment_scores", treatment_scores, truth, kind)
    if kind in _OF_CLASSES and not np.isin(truth, (0, 1)).all():
        raise ValueError(f"labels must be 0 or 1 for {kind}, got others among them")
    with np.errstate(all="ignore"):
        return Moments.of(_difference(kind, truth, control, treatment, threshold=threshold))


def mcnemar(
    only_control_wrong: int,
    only_treatment_wrong: int,
    *,
    n: int,
    alpha: float = 0.05,
    alternative: Alternative = "two-sided",
) -> Estimate:
    """Compare the error rates of two versions that decided the same requests, at one look.

    Parameters
    ----------
    only_control_wrong, only_treatment_wrong
        Requests that exactly this version got wrong, >= 0 and together at most n.
    n
        Requests that both versions decided, >= 1.
    alpha
        Error probability at this one look, in (0, 1).
    alternative
        ``smaller``: treatment is to be shown to err less often.

    Returns
    -------
    Estimate
        ``effect = (only_treatment_wrong - only_control_wrong) / n``; the exact binomial p-value
        given the number of requests in dispute, for a one-sided alternative of its tail, else
        twice the smaller tail; Bonett and Price's se and bounds, within [-1, 1] for the
        two-sided alternative and widened to hold the effect where it is at the edge.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Notes
    -----
    The p-value is exact and so a little conservative, the interval is asymptotic with coverage
    near the nominal one: near alpha one may exclude 0 where the other does not. The p-value
    decides about a difference, the bound about a margin (non-inferiority: upper bound of
    ``smaller`` below the margin).

    References
    ----------
    McNemar (1947), Psychometrika 12(2), 153-157. Bonett and Price (2012), Journal of Educational
    and Behavioral Statistics 37(4), 479-488.
    """
    _check_counts(only_control_wrong, only_treatment_wrong)
    ranges.whole("n", n, max(1, only_control_wrong + only_treatment_wrong))
    ranges.open_unit("alpha", alpha)
    _check_alternative(alternative)
    p_value = _exact_p(only_control_wrong, only_treatment_wrong, alternative)
    effect = (only_treatment_wrong - only_control_wrong) / n
    centre = (only_treatment_wrong - only_control_wrong) / (n + 2)
    disputed = (only_control_wrong + only_treatment_wrong + 2) / (n + 2)
    se = sqrt((disputed - centre**2) / (n + 2))
    if alternative == "two-sided":
        reach = -float(ndtri(alpha / 2)) * se
        lower, upper = max(-1.0, centre - reach), min(1.0, centre + reach)
        return Estimate(effect, se, inf, min(lower, effect), max(upper, effect), p_value)
    reach = -float(ndtri(alpha)) * se
    if alternative == "larger":
        return Estimate(effect, se, inf, min(centre - reach, effect), inf, p_value)
    return Estimate(effect, se, inf, -inf, max(centre + reach, effect), p_value)


def mcnemar_evalue(
    only_control_wrong: int,
    only_treatment_wrong: int,
    *,
    prior: float = 1.0,
    alternative: Alternative = "two-sided",
) -> DiscordantEvidence:
    """Weigh the requests that exactly one version got wrong, as often as one likes.

    Parameters
    ----------
    only_control_wrong, only_treatment_wrong
        Requests so far that exactly this version got wrong, >= 0.
    prior
        Both parameters of the Beta prior of treatment's share in them, in [0.001, 1e6]; the
        larger, the nearer to one half is the share it is made for.
    alternative
        ``larger`` and ``smaller`` cut the prior at one half and test that treatment's share is
        at most, or at least, one half.

    Returns
    -------
    DiscordantEvidence
        With b and c requests, ``e = 2^(b+c) B(prior + b, prior + c) / B(prior, prior)``, for a
        one-sided alternative times twice the posterior probability of its side.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Notes
    -----
    Without a difference either version is the wrong one with probability 1/2, request by
    request, so e is a martingale that starts at 1 whatever the error rates are: exact at any
    sample size, and by Ville's inequality above ``1/alpha`` at any time with probability at most
    alpha. Requests must be counted as they came, each once.

    References
    ----------
    Ville (1939), Etude critique de la notion de collectif; Ramdas, Grunwald, Vovk and Shafer
    (2023), Statistical Science 38(4), 576-601 (mixtures); Robbins (1970), Annals of Mathematical
    Statistics 41(5), 1397-1409 (the Beta mixture of Bernoulli likelihoods).
    """
    _check_counts(only_control_wrong, only_treatment_wrong)
    ranges.within("prior", prior, *_PRIOR_RANGE)
    _check_alternative(alternative)
    b, c = prior + only_control_wrong, prior + only_treatment_wrong
    log_e = float(betaln(b, c) - betaln(prior, prior))
    log_e += (only_control_wrong + only_treatment_wrong) * log(2)
    if alternative != "two-sided":
        side = float(betainc(b, c, 0.5) if alternative == "larger" else betainc(c, b, 0.5))
        log_e += log(2 * side) if side else -inf
    return DiscordantEvidence(log_e, exp(-max(0.0, log_e)))


def _scores(name: str, scores: ArrayLike, labels: Array, kind: Loss) -> Array:
    array = ranges.finite_array(name, scores)
    if array.size != labels.size:
        raise ValueError(f"{name} must hold {labels.size} values as labels do, got {array.size}")
    if kind in _OF_CLASSES and not ((array >= 0) & (array <= 1)).all():
        raise ValueError(f"{name} must be in [0, 1] for {kind}, got others among them")
    if kind == "log_loss" and (array == 1 - labels).any():
        at = int(np.flatnonzero(array == 1 - labels)[0])
        raise ValueError(
            f"{name} must not rule out the label for log_loss, "
            f"got {array[at]:g} at {at} where the label is {labels[at]:g}"
        )
    return array


def _difference(
    kind: Loss, labels: Array, control: Array, treatment: Array, *, threshold: float
) -> Array:
    """Give the losses of treatment less those of control, without cancellation of squares."""
    match kind:
        case "brier" | "squared_error":
            return (treatment - control) * ((treatment - labels) + (control - labels))
        case "absolute_error":
            return np.abs(treatment - labels) - np.abs(control - labels)
        case "log_loss":
            return _log_of_label(control, labels) - _log_of_label(treatment, labels)
        case _:
            decided = [(scores >= threshold).astype(np.float64) for scores in (control, treatment)]
            return np.abs(decided[1] - labels) - np.abs(decided[0] - labels)


def _log_of_label(scores: Array, labels: Array) -> Array:
    return np.where(labels == 1, np.log(scores), np.log1p(-scores))


def _check_counts(only_control_wrong: int, only_treatment_wrong: int) -> None:
    ranges.whole("only_control_wrong", only_control_wrong, 0)
    ranges.whole("only_treatment_wrong", only_treatment_wrong, 0)


def _check_alternative(alternative: str) -> None:
    if alternative not in get_args(Alternative):
        raise ValueError(f"alternative must be two-sided, larger or smaller, got {alternative!r}")


def _exact_p(b: int, c: int, alternative: Alternative) -> float:
    """Give the binomial tail at 1/2 of c among b + c."""
    if alternative == "larger":
        return float(bdtr(b, b + c, 0.5))
    if alternative == "smaller":
        return float(bdtr(c, b + c, 0.5))
    return min(1.0, 2 * float(bdtr(min(b, c), b + c, 0.5)))
