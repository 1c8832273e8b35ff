"""How often each rule declares an effect that is not there."""

from __future__ import annotations

from collections.abc import Iterable

from cells import BALANCED, SMALL_1K, SMALL_10K, UNEQUAL, UNLIKE, Cell
from sections import Measured, Section, table

__all__ = ["NULLS", "section"]

NULLS = (*BALANCED, *SMALL_1K, *SMALL_10K, *UNEQUAL, *UNLIKE)
GROUPS = (
    ("Balanced, 10,000 an arm", BALANCED),
    ("1:10, the small arm of 1,000 and of 10,000", (*SMALL_1K, *SMALL_10K)),
    ("Unequal variances, equal means", UNEQUAL),
    ("Beyond the targets: arms of unlike shape, equal means", UNLIKE),
)
INTRO = """\
Share of experiments without an effect in which a rule declared one at any of 100 looks, in per
cent ± its binomial standard error; nominal 5."""
SKIPPED = "fixed t-test, one look"


def section(measured: Measured) -> Section:
    """Write one table for each group of cells, in per cent with the standard error."""
    parts = [INTRO]
    for title, cells in GROUPS:
        names = [cell.name for cell in cells]
        parts += [f"### {title}", table(["rule", *names], _rows(measured, cells))]
    data = {
        cell.name: {
            rule: [outcome.sims, outcome.rate, outcome.rate_se]
            for rule in measured.rules
            if (outcome := measured.of(cell.name, rule))
        }
        for cell in NULLS
    }
    return Section("False positives", "\n\n".join(parts), data)


def _rows(measured: Measured, cells: Iterable[Cell]) -> Iterable[list[str]]:
    for rule in measured.rules:
        if rule != SKIPPED:
            found = [measured.of(cell.name, rule) for cell in cells]
            yield [
                rule,
                *(f"{100 * o.rate:.2f} ± {100 * o.rate_se:.2f}" if o else "" for o in found),
            ]
