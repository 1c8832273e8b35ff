"""How often each rule sees an effect that is there, and after how many units."""

from __future__ import annotations

from cells import EFFECTS
from sections import Measured, Section, table

__all__ = ["section"]


INTRO = """\
Power / mean units an arm at the stop ± its standard error; no crossing counts as 10,000. The
effect is the one that a single two-sided t-test at 10,000 an arm sees with 80 %.

"""


def section(measured: Measured) -> Section:
    """Write power and mean units an arm at the stop."""
    rows = []
    for rule in measured.rules:
        found = [measured.of(cell.name, rule) for cell in EFFECTS]
        rows.append(
            [
                rule,
                *(
                    f"{o.rate:.3f} / {o.mean_units:,.0f} ± {o.mean_units_se:.0f}" if o else ""
                    for o in found
                ),
            ]
        )
    text = INTRO + table(["rule", *(cell.name for cell in EFFECTS)], rows)
    data = {
        cell.name: {
            rule: [o.sims, o.rate, o.rate_se, o.mean_units, o.mean_units_se]
            for rule in measured.rules
            if (o := measured.of(cell.name, rule))
        }
        for cell in EFFECTS
    }
    return Section("Power and stopping", text, data)
