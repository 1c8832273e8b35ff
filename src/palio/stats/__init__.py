"""Numbers in, numbers out: pure functions of sufficient statistics, raising only ValueError."""

from __future__ import annotations

from palio.stats.adjusted.cuped import Adjusted, cuped, pooled_cuped
from palio.stats.adjusted.regression import lin
from palio.stats.adjusted.strata import (
    Heterogeneity,
    Stratified,
    WorstSegment,
    heterogeneity,
    post_stratify,
    worst_segment,
)
from palio.stats.anytime.allocation import allocation_ratio
from palio.stats.anytime.asymptotic import AsymptoticRule, tuned_rho2
from palio.stats.anytime.binary import BinaryBlocks, BinaryEProcess
from palio.stats.anytime.binary_bounds import BinaryDifference, rate_sequence
from palio.stats.anytime.horizon import HorizonRule, level_of
from palio.stats.anytime.sample_ratio import SampleRatio, sample_ratio, sample_ratio_log_evalue
from palio.stats.anytime.sequential import Comparison, compare, compare_paired, running
from palio.stats.estimate import Equivalence, Estimate, conclude, equivalence
from palio.stats.frames import summarize, summarize_clusters
from palio.stats.joint import JointMoments
from palio.stats.moments import Moments
from palio.stats.multiplicity import adjust, e_bh, sidak_alpha
from palio.stats.one_look.means import one_sample, relative, relative_moments, welch
from palio.stats.one_look.proportions import relative_risk, two_proportions, wilson
from palio.stats.one_look.ranks import brunner_munzel, mann_whitney
from palio.stats.planned.conditional import conditional_power
from palio.stats.planned.group_sequential import crossing_probabilities
from palio.stats.planned.history import Forecast, History, forecast, summarize_history
from palio.stats.planned.planning import (
    ANY_LOOKS,
    ONE_LOOK,
    Baseline,
    Design,
    Plan,
    achieved_power,
    detectable_effect,
    sample_size,
)
from palio.stats.planned.spending import (
    repeated_interval,
    spending_bounds,
    spent,
    stagewise_p_value,
)
from palio.stats.policies.adaptive import AdaptiveSums, adaptive_interval
from palio.stats.policies.off_policy import OffPolicyValue, off_policy_value
from palio.stats.posterior.bayes import (
    BetaPosterior,
    ExpectedLoss,
    NormalPosterior,
    beta_posterior,
    chance_to_be_best,
    chance_to_beat,
    expected_loss,
    normal_posterior,
)
from palio.stats.quality.auc import (
    Auc,
    auc,
    auc_difference,
    auc_estimate,
    auc_moments,
    binned_auc,
    paired_auc_difference,
    paired_auc_moments,
)
from palio.stats.quality.calibration import (
    CalibrationBins,
    CalibrationError,
    Spiegelhalter,
    calibration_difference,
    calibration_error,
    calibration_in_the_large,
    calibration_moments,
    spiegelhalter,
)
from palio.stats.quality.histogram import LogHistogram
from palio.stats.quality.paired import DiscordantEvidence, mcnemar, mcnemar_evalue, paired_loss
from palio.stats.quality.paired_calibration import even_bins, paired_calibration_difference
from palio.stats.quality.quantiles import least_units, quantile_difference, quantile_moments
from palio.stats.quality.scoring import ScoreReport, compare_scores
from palio.stats.ratios import ratio
from palio.stats.reporting.row import Looking, ReportRow, report_row
from palio.stats.reporting.table import SegmentRow, report, report_segments
from palio.stats.returns.series import (
    ReturnMoments,
    WinRate,
    autocorrelations,
    maximum_drawdown,
    win_rate,
)
from palio.stats.returns.sharpe import (
    annual_factor,
    probabilistic_sharpe,
    sharpe,
    sharpe_difference,
    sharpe_difference_paired,
    sharpe_moments,
)

__all__ = [
    "ANY_LOOKS",
    "ONE_LOOK",
    "AdaptiveSums",
    "Adjusted",
    "AsymptoticRule",
    "Auc",
    "Baseline",
    "BetaPosterior",
    "BinaryBlocks",
    "BinaryDifference",
    "BinaryEProcess",
    "CalibrationBins",
    "CalibrationError",
    "Comparison",
    "Design",
    "DiscordantEvidence",
    "Equivalence",
    "Estimate",
    "ExpectedLoss",
    "Forecast",
    "Heterogeneity",
    "History",
    "HorizonRule",
    "JointMoments",
    "LogHistogram",
    "Looking",
    "Moments",
    "NormalPosterior",
    "OffPolicyValue",
    "Plan",
    "ReportRow",
    "ReturnMoments",
    "SampleRatio",
    "ScoreReport",
    "SegmentRow",
    "Spiegelhalter",
    "Stratified",
    "WinRate",
    "WorstSegment",
    "achieved_power",
    "adaptive_interval",
    "adjust",
    "allocation_ratio",
    "annual_factor",
    "auc",
    "auc_difference",
    "auc_estimate",
    "auc_moments",
    "autocorrelations",
    "beta_posterior",
    "binned_auc",
    "brunner_munzel",
    "calibration_difference",
    "calibration_error",
    "calibration_in_the_large",
    "calibration_moments",
    "chance_to_be_best",
    "chance_to_beat",
    "compare",
    "compare_paired",
    "compare_scores",
    "conclude",
    "conditional_power",
    "crossing_probabilities",
    "cuped",
    "detectable_effect",
    "e_bh",
    "equivalence",
    "even_bins",
    "expected_loss",
    "forecast",
    "heterogeneity",
    "least_units",
    "level_of",
    "lin",
    "mann_whitney",
    "maximum_drawdown",
    "mcnemar",
    "mcnemar_evalue",
    "normal_posterior",
    "off_policy_value",
    "one_sample",
    "paired_auc_difference",
    "paired_auc_moments",
    "paired_calibration_difference",
    "paired_loss",
    "pooled_cuped",
    "post_stratify",
    "probabilistic_sharpe",
    "quantile_difference",
    "quantile_moments",
    "rate_sequence",
    "ratio",
    "relative",
    "relative_moments",
    "relative_risk",
    "repeated_interval",
    "report",
    "report_row",
    "report_segments",
    "running",
    "sample_ratio",
    "sample_ratio_log_evalue",
    "sample_size",
    "sharpe",
    "sharpe_difference",
    "sharpe_difference_paired",
    "sharpe_moments",
    "sidak_alpha",
    "spending_bounds",
    "spent",
    "spiegelhalter",
    "stagewise_p_value",
    "summarize",
    "summarize_clusters",
    "summarize_history",
    "tuned_rho2",
    "two_proportions",
    "welch",
    "wilson",
    "win_rate",
    "worst_segment",
]
