"""What another policy would have earned, from the log of the one that ran.

Unit i drew its arm with the logged propensity ``e_i``; the target policy would have drawn the
same arm with probability ``p_i``. With ``w = p / e`` each method gives every unit a score whose
mean is the value of the target policy ::

    ips             w r                                  unbiased, noisy, moves with a shift of r
    snips           v + w (r - v) / mean(w)              v = sum(w r) / sum(w), slightly biased
    doubly_robust   q_target + w (r - q)                 unbiased, quiet where the model q is good

so one variance serves all three, and score minus reward, unit by unit, what the target policy
gains over the one that ran. However large the log, only `OffPolicyValue.effective_sample_size`
units of it speak about the target policy.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from palio.stats import ranges
from palio.stats.estimate import Alternative, Estimate, conclude
from palio.stats.moments import Moments

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

__all__ = ["OffPolicyMethod", "OffPolicyValue", "off_policy_value"]

OffPolicyMethod = Literal["ips", "snips", "doubly_robust"]
"""Inverse propensity scores, the same self-normalised, or with a model of the reward."""


@dataclass(frozen=True, slots=True)
class OffPolicyValue:
    """Value of a policy that did not run, with what its estimate rests on.

    Attributes
    ----------
    estimate
        The mean reward under the target policy, with its interval.
    gain
        Moments of score minus reward: the target policy against the one that ran, for any rule
        that takes the moments of paired differences.
    effective_sample_size
        ``sum(w)^2 / sum(w^2)``, in [0, n]: units that an equally weighted sample would need.
    max_weight
        Largest weight, after clipping.
    mean_weight
        Mean weight, after clipping. Without it, 1 is expected; far from it, the propensities or
        the probabilities are not what they are said to be.
    clipped_share
        Share of the units whose weight was clipped, in [0, 1].
    bias
        What clipping changed: the clipped estimate minus the one without. It estimates the bias
        that clipping buys its smaller variance with, and is not in the interval.
    """

    estimate: Estimate
    gain: Moments
    effective_sample_size: float
    max_weight: float
    mean_weight: float
    clipped_share: float
    bias: float


def off_policy_value(
    rewards: ArrayLike,
    logged_propensities: ArrayLike,
    target_probabilities: ArrayLike,
    *,
    method: OffPolicyMethod = "snips",
    predictions: tuple[ArrayLike, ArrayLike] | None = None,
    clip: float | None = None,
    alpha: float = 0.05,
    alternative: Alternative = "two-sided",
    null: float = 0.0,
) -> OffPolicyValue:
    """Estimate the mean reward that a target policy would have had.

    Parameters
    ----------
    rewards
        Reward of each unit, shape (n,) float64, n >= 2.
    logged_propensities
        Probability with which the unit drew the arm that it drew, shape (n,), in (0, 1].
    target_probabilities
        Probability with which the target policy would have drawn that arm, shape (n,), in [0, 1].
        Wherever the target policy would draw an arm, the logged one must have been able to.
    method
        See `OffPolicyMethod`.
    predictions
        For ``doubly_robust`` only: the model's reward of the arm drawn, and the mean of its
        rewards over all arms under the target's probabilities, shape (n,) each. The model must
        not have been fitted to these units.
    clip
        Largest weight allowed, > 0; larger ones count as this. None for no clipping.
    alpha, alternative, null
        As for `conclude`; the interval holds at one look fixed beforehand.

    Returns
    -------
    OffPolicyValue
        Student's t over the scores, with n - 1 degrees of freedom: trust it less, the less
        ``effective_sample_size`` is and the larger ``max_weight``. A log that several policy
        versions wrote may be used whole, each unit with its own propensity.

    Raises
    ------
    ValueError
        If an argument is out of its range, the shapes disagree, predictions are missing or
        superfluous, no unit could be the target's (``snips``) or a sum overflows.

    References
    ----------
    Horvitz and Thompson (1952), JASA 47(260), 663-685, for ips.
    Swaminathan and Joachims (2015), NeurIPS 28, 3231-3239, for snips; its variance linearises
    the ratio.
    Dudik, Langford and Li (2011), ICML, 1097-1104, for doubly_robust.
    Kong (1992), Technical Report 348, University of Chicago, for the effective sample size.
    """
    if method not in get_args(OffPolicyMethod):
        raise ValueError(f"method must be ips, snips or doubly_robust, got {method!r}")
    r = ranges.finite_array("rewards", rewards, least=2)
    weights = _weights(logged_propensities, target_probabilities, r.size)
    model = _model(predictions, method, r.size)
    if clip is not None:
        ranges.positive("clip", clip)
    kept = weights if clip is None else np.minimum(weights, clip)
    with np.errstate(over="ignore", invalid="ignore"):
        score = _scores(r, kept, model, method)
        before = score if clip is None else _scores(r, weights, model, method)
        value, gain = Moments.of(_finite(score)), Moments.of(_finite(score - r))
        bias = value.mean - Moments.of(_finite(before)).mean
        return OffPolicyValue(
            conclude(
                value.mean, sqrt(value.var / value.n),
                df=value.n - 1, alpha=alpha, alternative=alternative, null=null,
            ),
            gain,
            _effective(kept),
            max_weight=float(kept.max()),
            mean_weight=float(kept.mean()),
            clipped_share=float((kept < weights).mean()),
            bias=bias,
        )  # fmt: skip


def _weights(logged: ArrayLike, target: ArrayLike, n: int) -> Array:
    e = _column("logged_propensities", logged, n)
    p = _column("target_probabilities", target, n)
    if not ((e > 0) & (e <= 1)).all():
        at = int(np.argmin((e > 0) & (e <= 1)))
        raise ValueError(f"logged_propensities must be in (0, 1], got {e[at]} for unit {at}")
    if not ((p >= 0) & (p <= 1)).all():
        at = int(np.argmin((p >= 0) & (p <= 1)))
        raise ValueError(f"target_probabilities must be in [0, 1], got {p[at]} for unit {at}")
    with np.errstate(over="ignore"):
        return _finite(p / e)


def _column(name: str, values: ArrayLike, n: int) -> Array:
    column = ranges.finite_array(name, values)
    if column.size != n:
        raise ValueError(f"{name} must hold {n} values, got {column.size}")
    return column


def _model(
    predictions: tuple[ArrayLike, ArrayLike] | None, method: OffPolicyMethod, n: int
) -> tuple[Array, Array] | None:
    if (predictions is None) == (method == "doubly_robust"):
        given = "none" if predictions is None else "some"
        raise ValueError(f"predictions must be given for doubly_robust only, got {given}")
    if predictions is None:
        return None
    return _column("predictions[0]", predictions[0], n), _column(
        "predictions[1]", predictions[1], n
    )


def _scores(
    r: Array, w: Array, model: tuple[Array, Array] | None, method: OffPolicyMethod
) -> Array:
    if model is not None:
        drawn, under_target = model
        return under_target + w * (r - drawn)
    if method == "ips":
        return w * r
    total = float(w.sum())
    if not total > 0:
        raise ValueError("target_probabilities must be > 0 for one unit at least, got 0 for all")
    value = float(w @ r / total)
    score: Array = value + w * (r - value) * (r.size / total)
    return score


def _effective(w: Array) -> float:
    """Give Kong's effective sample size, by weights of at most 1 so that no square overflows."""
    largest = w.max()
    if largest == 0:
        return 0.0
    scaled = w / largest
    return float(scaled.sum() ** 2 / (scaled @ scaled))


def _finite(values: Array) -> Array:
    if not np.isfinite(values).all():
        raise ValueError("rewards and weights must be small enough to multiply, got an overflow")
    return values
