"""One row of a report: everything that is said of one metric in two arms.

The always-valid comparison decides; what stands beside it describes: the same as a share of
control, what a single look would have said, the comparison without covariates, and the posterior
under a flat prior, which is never a reason to stop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import sqrt
from typing import TYPE_CHECKING, Literal

from palio.stats.adjusted.cuped import cuped
from palio.stats.anytime.sequential import Comparison, compare
from palio.stats.joint import JointMoments
from palio.stats.moments import Moments
from palio.stats.one_look.means import relative_moments, welch
from palio.stats.posterior.bayes import ExpectedLoss, normal_posterior

if TYPE_CHECKING:
    from palio.stats.estimate import Alternative, Estimate

__all__ = ["Better", "Looking", "ReportRow", "report_row"]

Better = Literal["larger", "smaller"]
_LEAST = 2  # units for a variance
_SURE = 5.0  # standard errors from 0 to a baseline, below which the delta method misses too often
_OPPOSITE: Mapping[Alternative, Alternative] = {
    "two-sided": "two-sided",
    "larger": "smaller",
    "smaller": "larger",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Looking:
    """How the rows of a report are looked at: the keywords of `compare`.

    Attributes
    ----------
    alpha, horizon, planned, treatment_share, looks, alternative
        As for `compare`.
    """

    alpha: float = 0.05
    horizon: int | None = None
    planned: int | None = None
    treatment_share: float = 0.5
    looks: int | None = None
    alternative: Alternative = "two-sided"

    def compare(self, control: Moments, treatment: Moments, *, null: float = 0.0) -> Comparison:
        """Compare two arms in this way."""
        return compare(
            control,
            treatment,
            alpha=self.alpha,
            horizon=self.horizon,
            planned=self.planned,
            treatment_share=self.treatment_share,
            looks=self.looks,
            alternative=self.alternative,
            null=null,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRow:
    """What is said of one metric.

    Attributes
    ----------
    metric
        Its name.
    control, treatment
        Moments of the arms as they are, without covariates.
    comparison
        The always-valid comparison, of the means adjusted for covariates where there are any.
    relative
        The same for ``mean_t / mean_c - 1``, by the delta method; None where control's mean is
        within five of its standard errors of 0.
    fixed
        What Welch's test says if looked at once only; None below two units in an arm.
    unadjusted
        The always-valid comparison without covariates; None where there are none.
    variance_removed
        Share of the squared standard error that the covariates took out; None without any.
    chance_to_beat
        Posterior chance, under a flat prior, that treatment is better; None without variance.
    expected_loss
        What choosing the worse arm is expected to cost, in units of the metric; None likewise.
    adjusted_p
        The always-valid p-value adjusted for the other rows; that of `comparison` if it is alone.
    """

    metric: str
    control: Moments
    treatment: Moments
    comparison: Comparison
    relative: Comparison | None
    fixed: Estimate | None
    unadjusted: Comparison | None
    variance_removed: float | None
    chance_to_beat: float | None
    expected_loss: ExpectedLoss | None
    adjusted_p: float


def report_row(
    metric: str,
    control: Moments | JointMoments,
    treatment: Moments | JointMoments,
    looking: Looking,
    *,
    better: Better = "larger",
    null: float = 0.0,
) -> ReportRow:
    """Say everything about one metric.

    Parameters
    ----------
    metric
        Its name.
    control, treatment
        Moments of the arms; joint moments of the metric and its covariates are adjusted by CUPED.
    looking
        How it is looked at.
    better
        Which values are better: what the chance to beat and the losses count.
    null
        Effect under the null hypothesis, finite; a margin for non-inferiority.

    Returns
    -------
    ReportRow
        One metric's row.

    Raises
    ------
    ValueError
        As `compare` and `cuped`, or if one arm has covariates and the other has none.
    """
    if isinstance(control, JointMoments) and isinstance(treatment, JointMoments):
        return _adjusted_row(metric, control, treatment, looking, better=better, null=null)
    if isinstance(control, Moments) and isinstance(treatment, Moments):
        return _row(metric, control, treatment, looking, better=better, null=null)
    raise ValueError(f"{metric} must have covariates in both arms or in none, got them in one")


def _adjusted_row(
    metric: str,
    control: JointMoments,
    treatment: JointMoments,
    looking: Looking,
    *,
    better: Better,
    null: float,
) -> ReportRow:
    found = cuped(control, treatment)
    row = _row(metric, found.control, found.treatment, looking, better=better, null=null)
    return replace(
        row,
        control=found.raw_control,
        treatment=found.raw_treatment,
        unadjusted=looking.compare(found.raw_control, found.raw_treatment, null=null),
        variance_removed=found.variance_removed,
    )


def _row(
    metric: str,
    control: Moments,
    treatment: Moments,
    looking: Looking,
    *,
    better: Better,
    null: float,
) -> ReportRow:
    found = looking.compare(control, treatment, null=null)
    fixed = None
    if min(control.n, treatment.n) >= _LEAST:
        fixed = welch(
            control, treatment, alpha=looking.alpha, alternative=looking.alternative, null=null
        )
    chance, loss = _posterior(fixed, better)
    return ReportRow(
        metric=metric,
        control=control,
        treatment=treatment,
        comparison=found,
        relative=_relative(control, treatment, looking, null),
        fixed=fixed,
        unadjusted=None,
        variance_removed=None,
        chance_to_beat=chance,
        expected_loss=loss,
        adjusted_p=found.p_value,
    )


def _relative(
    control: Moments, treatment: Moments, looking: Looking, null: float
) -> Comparison | None:
    if abs(control.mean) * sqrt(control.n) <= _SURE * sqrt(control.var):
        return None
    if control.mean < 0:  # a larger mean is a smaller ratio
        looking = replace(looking, alternative=_OPPOSITE[looking.alternative])
    try:
        arms = relative_moments(control, treatment)
        return looking.compare(*arms, null=null / control.mean)
    except ValueError:  # so near to 0 that the ratio overflows
        return None


def _posterior(fixed: Estimate | None, better: Better) -> tuple[float | None, ExpectedLoss | None]:
    if fixed is None or fixed.se == 0:
        return None, None
    sign = 1 if better == "larger" else -1
    effect = normal_posterior(sign * fixed.effect, fixed.se)
    gained = normal_posterior(-sign * fixed.effect, fixed.se)
    return effect.chance_above(), ExpectedLoss(gained.loss_below(), effect.loss_below())
