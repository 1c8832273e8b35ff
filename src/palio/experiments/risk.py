"""What a design will not bear, and what it asks of a winner beside winning."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from palio.errors import InvalidInput

__all__ = ["Criteria", "StopLoss"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StopLoss:
    """When a variant has lost enough.

    Parameters
    ----------
    metric
        Name of an outcome metric of the design; its direction says what a loss is.
    threshold
        Mean that is borne: a variant is stopped once its mean is shown to be on the wrong side,
        at any look.
    max_drawdown
        How far the sum of a variant's values, in the order in which they became known, may fall
        below its highest point; a plain limit, no statistics. Above 0.
    alpha
        Probability of ever stopping a variant whose mean is at the threshold, in [0.001, 0.2].
    """

    metric: str
    threshold: float | None = None
    max_drawdown: float | None = None
    alpha: float = 0.05

    def __post_init__(self) -> None:
        if self.threshold is None and self.max_drawdown is None:
            raise InvalidInput(
                f"stop_loss on {self.metric} says neither threshold nor max_drawdown; give one",
                field="stop_loss",
            )
        if self.threshold is not None and not isfinite(self.threshold):
            raise _refused("threshold", self.threshold, "must be a finite number")
        if self.max_drawdown is not None and not 0 < self.max_drawdown < float("inf"):
            raise _refused("max_drawdown", self.max_drawdown, "must be a finite number above 0")
        if not 0.001 <= self.alpha <= 0.2:  # noqa: PLR2004
            raise _refused("alpha", self.alpha, "must be in [0.001, 0.2]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """What a winner must fulfil to be shipped; a limit that is shown to be broken rolls back.

    Parameters
    ----------
    min_requests
        Requests of the winner.
    max_error_rate
        Share of its requests that failed, in [0, 1]. Once the share is shown to be larger, at
        any look and without a minimum sample, the decision is to roll back.
    max_latency_ms
        Its mean latency.
    min_improvement
        Relative improvement of the goal against the control, as observed, >= 0.
    """

    min_requests: int = 0
    max_error_rate: float | None = None
    max_latency_ms: float | None = None
    min_improvement: float = 0.0

    def __post_init__(self) -> None:
        if self.min_requests < 0:
            raise _refused("min_requests", self.min_requests, "must be 0 or more")
        if self.max_error_rate is not None and not 0 <= self.max_error_rate <= 1:
            raise _refused("max_error_rate", self.max_error_rate, "must be a share in [0, 1]")
        if self.max_latency_ms is not None and not 0 < self.max_latency_ms < float("inf"):
            raise _refused("max_latency_ms", self.max_latency_ms, "must be above 0")
        if not 0 <= self.min_improvement < float("inf"):
            raise _refused("min_improvement", self.min_improvement, "must be 0 or more")


def _refused(name: str, value: float, why: str) -> InvalidInput:
    return InvalidInput(f"{name} {why}, got {value}", field=name, value=value)
