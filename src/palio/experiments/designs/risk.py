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
        below its highest point, or where lower is better rise above its lowest; a plain limit, no
        statistics. Above 0.
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
    """What a winner must fulfil to be shipped, as observed.

    Parameters
    ----------
    min_requests
        Requests of the winner.
    max_error_rate
        Share of its requests that failed, in [0, 1]. Once the share is shown to be larger, at
        any look and without a minimum sample, the decision is to roll back.
    max_latency_ms
        Its mean latency, of the units' means; needs ``latency_ms`` among the design's metrics.
    min_improvement
        Relative improvement of the goal against the control, >= 0.
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

    def lacking(
        self, *, requests: int, errors: int, latency_ms: float | None, improvement: float | None
    ) -> list[str]:
        """Return what a winner lacks, in words; nothing where all is fulfilled.

        Parameters
        ----------
        requests, errors
            Its requests, and how many of them failed.
        latency_ms
            Its mean latency; None where it is not known.
        improvement
            Of the goal, relative to the control and larger better; None where the control's mean
            is 0.
        """
        found = []
        if requests < self.min_requests:
            found.append(f"it has {requests} of at least {self.min_requests} requests")
        rate = errors / requests if requests else None
        asked = (
            ("error rate", rate, self.max_error_rate),
            ("mean latency in ms", latency_ms, self.max_latency_ms),
        )
        for name, value, most in asked:
            if most is not None and (value is None or value > most):
                shown = "not known" if value is None else f"{value:.4g}"
                found.append(f"its {name} is {shown}, and at most {most:g} is borne")
        least = self.min_improvement
        if least > 0 and (improvement is None or improvement < least):
            shown = "not known" if improvement is None else f"{improvement:.2%}"
            found.append(f"its improvement is {shown}, and at least {least:.2%} is asked for")
        return found


def _refused(name: str, value: float, why: str) -> InvalidInput:
    return InvalidInput(f"{name} {why}, got {value}", field=name, value=value)
