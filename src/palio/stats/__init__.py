"""Numbers in, numbers out: pure functions of sufficient statistics, raising only ValueError."""

from __future__ import annotations

from palio.stats.adaptive import AdaptiveSums, adaptive_interval
from palio.stats.asymptotic import AsymptoticRule, tuned_rho2
from palio.stats.auc import (
    Auc,
    auc,
    auc_difference,
    auc_estimate,
    auc_moments,
    binned_auc,
    paired_auc_difference,
    paired_auc_moments,
)
from palio.stats.bayes import (
    BetaPosterior,
    ExpectedLoss,
    NormalPosterior,
    beta_posterior,
    chance_to_be_best,
    chance_to_beat,
    expected_loss,
    normal_posterior,
)
from palio.stats.binary import BinaryBlocks, BinaryEProcess
from palio.stats.binary_bounds import BinaryDifference, rate_sequence
from palio.stats.calibration import (
    CalibrationBins,
    CalibrationError,
    Spiegelhalter,
    calibration_difference,
    calibration_error,
    calibration_in_the_large,
    calibration_moments,
    spiegelhalter,
)
from palio.stats.cuped import Adjusted, cuped
from palio.stats.estimate import Equivalence, Estimate, conclude, equivalence
from palio.stats.frames import summarize, summarize_clusters
from palio.stats.group_sequential import crossing_probabilities
from palio.stats.histogram import LogHistogram
from palio.stats.history import Forecast, History, forecast, summarize_history
from palio.stats.horizon import HorizonRule, level_of
from palio.stats.joint import JointMoments
from palio.stats.means import one_sample, relative, relative_moments, welch
from palio.stats.moments import Moments
from palio.stats.multiplicity import adjust, e_bh, sidak_alpha
from palio.stats.off_policy import OffPolicyValue, off_policy_value
from palio.stats.paired import DiscordantEvidence, mcnemar, mcnemar_evalue, paired_loss
from palio.stats.planning import (
    ANY_LOOKS,
    ONE_LOOK,
    Baseline,
    Design,
    Plan,
    achieved_power,
    detectable_effect,
    sample_size,
)
from palio.stats.proportions import relative_risk, two_proportions, wilson
from palio.stats.quantiles import least_units, quantile_difference, quantile_moments
from palio.stats.ranks import brunner_munzel, mann_whitney
from palio.stats.ratios import ratio
from palio.stats.regression import lin
from palio.stats.report import Looking, ReportRow, report, report_row
from palio.stats.returns import (
    ReturnMoments,
    WinRate,
    autocorrelations,
    maximum_drawdown,
    win_rate,
)
from palio.stats.sample_ratio import SampleRatio, sample_ratio, sample_ratio_log_evalue
from palio.stats.sequential import Comparison, compare, compare_paired, running
from palio.stats.sharpe import (
    annual_factor,
    probabilistic_sharpe,
    sharpe,
    sharpe_difference,
    sharpe_difference_paired,
)
from palio.stats.spending import repeated_interval, spending_bounds, spent, stagewise_p_value
from palio.stats.strata import (
    Heterogeneity,
    Stratified,
    WorstSegment,
    heterogeneity,
    post_stratify,
    worst_segment,
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
    "Spiegelhalter",
    "Stratified",
    "WinRate",
    "WorstSegment",
    "achieved_power",
    "adaptive_interval",
    "adjust",
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
    "conclude",
    "crossing_probabilities",
    "cuped",
    "detectable_effect",
    "e_bh",
    "equivalence",
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
    "paired_loss",
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
    "running",
    "sample_ratio",
    "sample_ratio_log_evalue",
    "sample_size",
    "sharpe",
    "sharpe_difference",
    "sharpe_difference_paired",
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
