"""The targets, and which of Palio's two settings reaches them."""

from __future__ import annotations

from collections.abc import Iterator

from cells import ALPHA, BALANCED, EFFECTS, SMALL_1K, SMALL_10K, UNEQUAL
from rules import OURS
from sections import Measured, Section, table

__all__ = ["section"]

PEER = "gbstats sequential"
POWER = 0.72
PROMISED = (*BALANCED, *SMALL_1K, *SMALL_10K, *UNEQUAL)
GAUSS, _, _, TWICE = (cell.name for cell in EFFECTS)
Target = tuple[str, str, bool]


def section(measured: Measured) -> Section:
    """Write one row for each target and setting."""
    found = [(rule, *target) for rule in OURS for target in _targets(measured, rule)]
    rows = [
        [what, f"`{rule}`", value, "reached" if reached else "**missed**"]
        for rule, what, value, reached in found
    ]
    data = [
        {"rule": rule, "target": what, "measured": value, "reached": reached}
        for rule, what, value, reached in found
    ]
    return Section("Targets", table(["target", "rule", "measured", ""], rows), data)


def _targets(measured: Measured, rule: str) -> Iterator[Target]:
    nulls = [(o, cell.name) for cell in PROMISED if (o := measured.of(cell.name, rule))]
    if nulls:
        worst, cell = max(nulls, key=lambda pair: pair[0].rate)
        within = sum(o.rate <= ALPHA for o, _ in nulls)
        what = f"false positives at most 5 % in all {len(nulls)} cells"
        most = f"{100 * worst.rate:.2f} ± {100 * worst.rate_se:.2f} % ({cell})"
        value = f"{within} of {len(nulls)}; the most {most}"
        yield what, value, within == len(nulls)
    if ours := measured.of(GAUSS, rule):
        power = f"{ours.rate:.3f} ± {ours.rate_se:.3f}"
        yield f"power at the 80 % effect (Gauss) at least {POWER}", power, ours.rate >= POWER
    for cell, limit in ((GAUSS, 0.90), (TWICE, 0.92)):
        if (ours := measured.of(cell, rule)) and (peer := measured.of(cell, PEER)):
            share = ours.mean_units / peer.mean_units
            what = f"mean stop at most {limit:.2f} of gbstats sequential's ({cell})"
            value = f"{share:.3f} ({ours.mean_units:,.0f} : {peer.mean_units:,.0f})"
            yield what, value, share <= limit
