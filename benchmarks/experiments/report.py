"""The page of the three designs: tables of what was measured, and how to read them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from statistics import fmean, median

from designs import Run
from prose import COVARIATES, DONE, PAIRING, READING, SETS

__all__ = ["AGAIN", "OWN_HORIZON", "TARGET", "Shuffle", "page"]

AGAIN = 10  # other splits of each stream
OWN_HORIZON = 2_000
TARGET = 0.1  # of the requests that ab needs


@dataclass(frozen=True)
class Shuffle:
    """What was measured on one shuffle.

    Attributes
    ----------
    number
        Which one.
    control, treatment
        Mean Brier scores of the versions on the whole stream.
    runs
        By design.
    adjusted
        ``ab`` with CUPED, by set of covariates.
    again
        ``ab`` under other splits.
    """

    number: int
    control: float
    treatment: float
    runs: dict[str, Run]
    adjusted: dict[str, Run]
    again: tuple[Run, ...]

    def ratio(self, design: str) -> float:
        """Give the variance of ab's difference over that of a design."""
        return self.runs["ab"].variance / self.runs[design].variance


def page(found: Sequence[Shuffle]) -> str:
    """Write the page."""
    written = (
        f"Written by `make bench-credit`: Palio {version('palio')}, scikit-learn "
        f"{version('scikit-learn')}, numpy {version('numpy')}; {len(found)} shuffles."
    )
    parts = [
        "# Deciding on Brier: `ab`, `ab` with CUPED, `paired`",
        written,
        DONE,
        "## Requests needed to decide",
        _summary(found),
        _verdicts(found),
        READING,
        "## Each shuffle",
        "Requests to decide, and ratios of variances at equal traffic.",
        _each(found),
        "## What covariates take out",
        COVARIATES,
        _covariates(found),
        "## When to pair",
        PAIRING,
    ]
    return "\n\n".join(parts) + "\n"


def _summary(found: Sequence[Shuffle]) -> str:
    first, *others = found[0].runs
    whole = fmean(one.runs[first].requests for one in found)
    again = [run for one in found for run in one.again]
    lines = [
        _line(_named(first), [one.runs[first] for one in found], whole, [1.0]),
        _line(f"`ab`, {AGAIN} other splits of each", again, whole, []),
    ]
    for design in others:
        own = "horizon" in design  # fewer requests in all: no equal traffic
        ratios = [] if own else [one.ratio(design) for one in found]
        lines.append(_line(_named(design), [one.runs[design] for one in found], whole, ratios))
    head = ["design", "decided", "for gradient boosting", "median", "mean", "least to most"]
    return _table([*head, "mean over `ab`'s", "`ab`'s variance over its own"], lines)


def _line(name: str, runs: Sequence[Run], whole: float, ratios: Sequence[float]) -> list[str]:
    requests = [run.requests for run in runs]
    effects = [run.effect for run in runs if run.effect is not None]
    return [
        name,
        f"{len(effects)} of {len(runs)}",
        str(sum(effect < 0 for effect in effects)),
        f"{median(requests):,.0f}",
        f"{fmean(requests):,.0f}",
        f"{min(requests):,} to {max(requests):,}",
        f"{fmean(requests) / whole:.3f}",
        f"{fmean(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})" if ratios else "",
    ]


def _verdicts(found: Sequence[Shuffle]) -> str:
    """Hold the paired designs against the target."""
    again = fmean(run.requests for one in found for run in one.again)
    lines = []
    for design in [name for name in found[0].runs if name.startswith("paired")]:
        mine = [one.runs[design].requests for one in found]
        shares = [one.runs[design].requests / one.runs["ab"].requests for one in found]
        share = fmean(mine) / fmean(one.runs["ab"].requests for one in found)
        lines.append([
            _named(design), f"{share:.3f}", "reached" if share <= TARGET else "**missed**",
            f"{fmean(mine) / again:.3f}", f"{median(shares):.3f}",
            f"{sum(share <= TARGET for share in shares)} of {len(shares)}",
        ])  # fmt: skip
    head = ["at most a tenth of `ab`'s requests", "of its mean", "", "of its other splits' mean"]
    return _table([*head, "median of the shuffles", "shuffles within a tenth"], lines)


def _each(found: Sequence[Shuffle]) -> str:
    designs = list(found[0].runs)
    head = ["shuffle", "Brier, logistic", "Brier, boosting", *map(_named, designs)]
    ratios = ["variance, `ab` over CUPED", "variance, `ab` over `paired`"]
    return _table([*head, *ratios], (
        [
            str(one.number), f"{one.control:.4f}", f"{one.treatment:.4f}",
            *(_needed(one.runs[name]) for name in designs),
            f"{one.ratio('ab with CUPED'):.2f}", f"{one.ratio('paired'):.1f}",
        ]
        for one in found
    ))  # fmt: skip


def _named(design: str) -> str:
    return re.sub(r"^(ab|paired)", r"`\1`", design)


def _needed(run: Run) -> str:
    return f"{run.requests:,}" if run.effect is not None else f"undecided: {run.requests:,}"


def _covariates(found: Sequence[Shuffle]) -> str:
    lines = []
    for name, described in SETS.items():
        shares = [1 - one.adjusted[name].variance / one.runs["ab"].variance for one in found]
        mean = fmean(one.adjusted[name].requests for one in found)
        spread = f"{fmean(shares):.3f} ({min(shares):.3f} to {max(shares):.3f})"
        lines.append([described, spread, f"{mean:,.0f}"])
    return _table(["covariates", "share of the variance", "mean requests"], lines)


def _table(head: list[str], lines: Iterable[list[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
