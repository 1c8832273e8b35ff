"""Numbers in, numbers out: pure functions of sufficient statistics, raising only ValueError."""

from __future__ import annotations

from palio.stats.asymptotic import AsymptoticRule, tuned_rho2
from palio.stats.fixed import FixedComparison, RelativeEffect, welch
from palio.stats.mixture import MixtureRule, crossing
from palio.stats.moments import Moments
from palio.stats.sample_ratio import SampleRatio, sample_ratio, sample_ratio_log_evalue
from palio.stats.sequential import Comparison, compare

__all__ = [
    "AsymptoticRule",
    "Comparison",
    "FixedComparison",
    "MixtureRule",
    "Moments",
    "RelativeEffect",
    "SampleRatio",
    "compare",
    "crossing",
    "sample_ratio",
    "sample_ratio_log_evalue",
    "tuned_rho2",
    "welch",
]
