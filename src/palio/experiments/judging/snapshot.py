"""A snapshot: everything that a decision depends on, as one look sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from palio.experiments.designs.design import Stopping, Type
from palio.experiments.domain import Experiment
from palio.experiments.judging.analysis import (
    Arm,
    Contrast,
    Crossing,
    LabelShare,
    MetricRole,
    SampleRatio,
    Statistics,
    Verdict,
)
from palio.experiments.judging.futility import LEAST_PROGRESS, chance_to_win
from palio.experiments.judging.limits import LIMITS, Hit

__all__ = ["Place", "Snapshot", "place_of"]

Place = tuple[str, str, Verdict]
"""What a crossing is kept under: metric or limit, variant, verdict."""


def place_of(crossing: Crossing) -> Place:
    """Return what a crossing is kept under."""
    return crossing.metric, crossing.variant, crossing.verdict


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Everything a decision depends on.

    Parameters
    ----------
    experiment, statistics, now
        What is looked at, and when.
    contrasts, ratio, labels, arms
        What the statistics show.
    hits
        Limits that are hit now.
    crossed
        What has ever been shown, this look included.
    """

    experiment: Experiment
    statistics: Statistics
    contrasts: tuple[Contrast, ...]
    ratio: SampleRatio
    hits: Sequence[Hit]
    crossed: Mapping[Place, Crossing]
    arms: tuple[Arm, ...]
    now: datetime
    labels: LabelShare | None

    @property
    def goal(self) -> str:
        """Name of the goal."""
        return self.experiment.design.metrics.goal_metric.name

    @property
    def control(self) -> str:
        """Key of the control."""
        return self.experiment.control.key

    @property
    def stopping(self) -> Stopping:
        """The rule it stops by."""
        return self.experiment.design.stopping

    @property
    def age_s(self) -> float:
        """Seconds since the start."""
        started = self.experiment.started_at
        return 0.0 if started is None else (self.now - started).total_seconds()

    @cached_property
    def sizes(self) -> Sequence[int]:
        """Units with a value of the goal in each variant that gets any; in pairs all do."""
        return [
            self.statistics.moments(key, self.goal).n
            for key, weight in self.experiment.weights.items()
            if weight > 0 or self._is_paired
        ]

    @property
    def _is_paired(self) -> bool:
        return self.experiment.design.type is Type.PAIRED

    @property
    def sample(self) -> int:
        """Units with a value of the goal in the smallest variant."""
        return min(self.sizes)

    @property
    def progress(self) -> float | None:
        """Share of the horizon that has a value of the goal; None without one."""
        horizon = self.stopping.horizon
        known = self.sample if self._is_paired else sum(self.sizes)
        return None if horizon is None else known / horizon

    @property
    def is_early(self) -> bool:
        """Tell whether nothing may be shipped yet."""
        return self.sample < self.stopping.min_sample or self.age_s < self.stopping.min_duration_s

    @property
    def at_horizon(self) -> bool:
        """Tell whether the planned sample is there."""
        return self.progress is not None and self.progress >= 1

    @property
    def is_over_age(self) -> bool:
        """Tell whether the maximum duration has passed."""
        longest = self.stopping.max_duration_s
        return longest is not None and self.age_s >= longest

    def variants(self, metric: str, verdict: Verdict) -> list[str]:
        """Return the challengers of which something has been shown."""
        return [
            variant.key
            for variant in self.experiment.challengers
            if (metric, variant.key, verdict) in self.crossed
        ]

    def limits_hit(self, variant: str) -> list[str]:
        """Return what is said of the limits that a variant has hit, now or before."""
        now = {(hit.limit, hit.variant): hit.said for hit in self.hits}
        found = [
            (limit, self.crossed[limit, variant, Verdict.WORSE])
            for limit in LIMITS
            if (limit, variant, Verdict.WORSE) in self.crossed
        ]
        return [
            now.get(
                (limit, variant),
                f"{variant} hit the {limit.removeprefix('limit:')} at event {first.watermark}",
            )
            for limit, first in found
        ]

    @cached_property
    def stopped(self) -> Sequence[str]:
        """Challengers that have hit a limit; none where all are one version."""
        if self.experiment.design.type is Type.AA:
            return []
        return [one.key for one in self.experiment.challengers if self.limits_hit(one.key)]

    @cached_property
    def lost(self) -> Sequence[str]:
        """Challengers that have lost the goal or hit a limit."""
        worse = self.variants(self.goal, Verdict.WORSE)
        return [
            one.key
            for one in self.experiment.challengers
            if one.key in worse or one.key in self.stopped
        ]

    @cached_property
    def won(self) -> Sequence[Contrast]:
        """Contrasts of challengers that have won the goal and lost nothing, best first."""
        better = [k for k in self.variants(self.goal, Verdict.BETTER) if k not in self.lost]
        sign = self.experiment.design.metrics.goal_metric.direction.sign
        rows = [row for row in self._goals if row.variant in better]
        return sorted(rows, key=lambda row: -sign * (row.effect or 0.0))

    def lacking(self, row: Contrast) -> list[str]:
        """Return the criteria that a winner does not fulfil, in words."""
        arm = next(arm for arm in self.arms if arm.variant == row.variant)
        latency = arm.metrics.get("latency_ms")
        sign = self.experiment.design.metrics.goal_metric.direction.sign
        return self.experiment.design.criteria.lacking(
            requests=arm.requests,
            errors=arm.errors,
            latency_ms=latency.mean if latency is not None and latency.n else None,
            improvement=None if row.relative is None else sign * row.relative,
        )

    @cached_property
    def fit(self) -> Sequence[Contrast]:
        """Those that have won and fulfil the criteria."""
        return [row for row in self.won if not self.lacking(row)]

    @cached_property
    def chance_to_win(self) -> float | None:
        """How likely some challenger still wins, where futility is asked for and can be told."""
        if self.stopping.futility is None or self.sample < self.stopping.min_sample:
            return None
        if self.won:
            return 1.0
        progress = self.progress or 0.0
        goals = [row for row in self._goals if row.variant not in self.lost]
        if progress < LEAST_PROGRESS:
            return None
        return chance_to_win(goals, self.experiment.design.metrics.goal_metric, progress)

    @property
    def _goals(self) -> Sequence[Contrast]:
        return [row for row in self.contrasts if row.role is MetricRole.GOAL]
