"""What the looks at a test have shown: significance over time, and how leads drift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from palio.dialects.crowetrade.results import moment
from palio.experiments.judging.analysis import Look

__all__ = ["drift_of", "history_of"]


def history_of(looks: Sequence[Look]) -> list[dict[str, Any]]:
    """Return what each look has shown: significance over time."""
    return [
        {
            "at": moment(one.at),
            "arm_id": one.variant,
            "total_requests": one.units,
            "effect": one.effect,
            "confidence_interval": [one.lower, one.upper],
            "p_value": one.p_value,
            "weights": dict(one.weights),
        }
        for one in looks
    ]


def drift_of(looks: Sequence[Look]) -> Mapping[str, dict[str, float]]:
    """Return how each challenger's lead has moved: before the middle of its results, and since.

    The effect over all results is the mean of both stretches, weighted by their results.
    """
    found = {}
    for arm in dict.fromkeys(one.variant for one in looks):
        own = [one for one in looks if one.variant == arm and one.effect is not None]
        known = [sum(one.known.values()) for one in own]
        middle = next((at for at, n in enumerate(known) if 2 * n >= known[-1]), 0) if own else 0
        if not own or known[middle] in (0, known[-1]):
            continue
        then, now = own[middle].effect or 0.0, own[-1].effect or 0.0
        since = (known[-1] * now - known[middle] * then) / (known[-1] - known[middle])
        found[arm] = {"earlier_effect": then, "recent_effect": since, "drift": since - then}
    return found
