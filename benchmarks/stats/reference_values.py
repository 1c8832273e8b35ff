"""Palio's numbers against those of the peers, on the methods that they share.

Each comparison runs over random experiments and keeps the largest relative difference. A method
counts as shared where both mean the same number; where a peer differs by intention the row says
how, and carries no target.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
from reference_cases import CASES, SEED, Experiment, experiments
from reference_gbstats import gbstats_checks
from reference_others import confseq_checks, spotify_checks, tea_checks, ville_checks
from sections import Measured, Section, table

__all__ = ["section"]

TOLERANCE = 1e-6
Key = tuple[str, str, str]  # method, peer, note


def relative_difference(ours: float, theirs: float) -> float:
    """Give the difference relative to the larger of the two."""
    if ours == theirs:
        return 0.0
    return abs(ours - theirs) / max(abs(ours), abs(theirs))


def _all(one: Experiment) -> Iterator[tuple[Key, list[float], list[float]]]:
    yield from gbstats_checks(one)
    yield from tea_checks(one)
    yield from spotify_checks(one)
    yield from ville_checks(one)


def section(_: Measured) -> Section:
    """Compare everything and write one row for each method and peer."""
    worst: dict[Key, float] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [check for one in experiments() for check in _all(one)]
    for key, ours, theirs in [*found, *confseq_checks()]:
        pairs = zip(np.ravel(ours).tolist(), np.ravel(theirs).tolist(), strict=True)
        largest = max(relative_difference(*pair) for pair in pairs)
        worst[key] = max(worst.get(key, 0.0), largest)
    rows = [
        [method, peer, f"{value:.1e}", _verdict(note, value)]
        for (method, peer, note), value in worst.items()
    ]
    text = (
        f"The largest relative difference over {CASES} random experiments (seed {SEED}); equal "
        f"means at most {TOLERANCE:g}.\n\n" + table(["method", "peer", "difference", ""], rows)
    )
    data = [
        {"method": method, "peer": peer, "difference": value, "differs": note}
        for (method, peer, note), value in worst.items()
    ]
    return Section("Reference values", text, data)


def _verdict(note: str, value: float) -> str:
    return note or ("equal" if value <= TOLERANCE else "**not equal**")
