"""Rule 5: sample ratio mismatch, watched constantly by an e-process.

Under the null the newly assigned units fall on the variants as the weights say; the alternative
is a Dirichlet prior around the weights, of a concentration that says how near. The evidence is
the ratio of the two likelihoods, a martingale under the null, so it may be looked at whenever
one likes; a chi-square test may not.

References
----------
Lindon and Malek (2022), NeurIPS 35, "Anytime-valid inference for multinomial count data".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import exp, fsum, inf, isfinite, lgamma, log

__all__ = ["SampleRatio", "sample_ratio", "sample_ratio_log_evalue"]

_SUM_TOLERANCE = 1e-9

Epoch = tuple[Mapping[str, int], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Evidence against the weights over all epochs.

    Attributes
    ----------
    log_evalue
        Natural logarithm of the e-value; inf where a variant of weight 0 has units.
    p_value
        ``min(1, 1/e)``, valid at every look.
    """

    log_evalue: float
    p_value: float


def sample_ratio(epochs: Iterable[Epoch], *, concentration: float = 1000.0) -> SampleRatio:
    """Weigh the counts of all epochs against their weights, under one error budget.

    Parameters
    ----------
    epochs
        For each epoch the counts of newly assigned units and the weights in force, by variant.
        Every epoch starts a new e-process and their product is one again.
    concentration
        Of the Dirichlet prior, > 0; the larger, the smaller the mismatch it is made for.

    Returns
    -------
    SampleRatio
        A mismatch is found where ``p_value <= alpha``.

    Raises
    ------
    ValueError
        As `sample_ratio_log_evalue`.
    """
    total = sum(
        sample_ratio_log_evalue(counts, weights, concentration=concentration)
        for counts, weights in epochs
    )
    return SampleRatio(float(total), exp(-max(0.0, total)))


def sample_ratio_log_evalue(
    counts: Mapping[str, int], weights: Mapping[str, float], *, concentration: float = 1000.0
) -> float:
    """Give ln e of one epoch: Dirichlet-multinomial over multinomial likelihood.

    Parameters
    ----------
    counts
        Newly assigned units by variant, each >= 0; a variant left out counts 0.
    weights
        Weights in force by variant, each >= 0, summing to 1 within 1e-9.
    concentration
        Of the Dirichlet prior ``concentration * weights``, > 0.

    Returns
    -------
    float
        ``lnG(A) - lnG(A + n) + sum_i lnG(a_i + n_i) - lnG(a_i) - n_i ln w_i`` with a_i =
        A w_i; inf where a variant of weight 0 has units, which the null excludes.

    Raises
    ------
    ValueError
        If counts or weights are out of range or a count has no weight.

    References
    ----------
    Lindon and Malek (2022), NeurIPS 35, equation of the Bayes factor.
    """
    _check(counts, weights, concentration)
    log_e = lgamma(concentration) - lgamma(concentration + sum(counts.values()))
    for key, weight in weights.items():
        count, prior = counts.get(key, 0), concentration * weight
        if prior == 0 and count:
            return inf
        if count:
            log_e += lgamma(prior + count) - lgamma(prior) - count * log(weight)
    return log_e


def _check(counts: Mapping[str, int], weights: Mapping[str, float], concentration: float) -> None:
    if not (isfinite(concentration) and concentration > 0):
        raise ValueError(f"concentration must be finite and > 0, got {concentration}")
    for key, weight in weights.items():
        if not 0 <= weight <= 1 + _SUM_TOLERANCE:
            raise ValueError(f"weights[{key!r}] must be in [0, 1], got {weight}")
    total = fsum(weights.values())
    if abs(total - 1) > _SUM_TOLERANCE:
        raise ValueError(f"weights must sum to 1, got {total:.10g}")
    for key, count in counts.items():
        if key not in weights:
            raise ValueError(f"counts[{key!r}] must be of a variant with a weight, got {count}")
        if count < 0:
            raise ValueError(f"counts[{key!r}] must be >= 0, got {count}")
