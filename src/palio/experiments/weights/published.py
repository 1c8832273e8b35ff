"""Published weights: what requests are split by, and what was known when they were made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

__all__ = ["Knowledge", "Published"]

Knowledge = tuple[float, float, float]
"""Of an arm: rewards (not whole where they fade), their mean, and the squares about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One version of an experiment's weights; the next one replaces it, and it stays.

    Parameters
    ----------
    experiment, policy_version
        Whose, and which: 0 are those that the experiment started with.
    epoch
        The stretch that it belongs to: a person's change of weights begins another.
    at, by
        When, and who or which policy.
    watermark
        How far the log had been folded.
    weights
        By variant, summing to 1: the propensities of all units that were given a variant by it.
    guesses
        Mean of each metric by variant as known then, frozen for the analysis of these units.
    rewards
        Known rewards in all, of the goal.
    totals
        What was known of each arm's rewards, larger better, then.
    evidence
        The same as the policy takes it: warm-started, and faded where a discount says so.
    retired
        Arms that get nothing any more.
    """

    experiment: str
    policy_version: int
    epoch: int
    at: datetime
    by: str
    watermark: int
    weights: Mapping[str, float]
    guesses: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    rewards: int = 0
    totals: Mapping[str, Knowledge] = field(default_factory=dict)
    evidence: Mapping[str, Knowledge] = field(default_factory=dict)
    retired: tuple[str, ...] = ()

    def guess(self, metric: str, variant: str) -> float:
        """Return what a metric's mean was taken to be; 0 where nothing was known."""
        return self.guesses.get(metric, {}).get(variant, 0.0)
