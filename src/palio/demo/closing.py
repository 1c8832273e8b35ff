"""The end of the demonstration, in words."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from palio.dashboard.words import kind_in_words
from palio.demo.result import DemoResult
from palio.experiments.judging.analysis import DecisionKind

__all__ = ["close"]

_SHORT_HASH = 8
_WIDTHS = {"#": 2, "when (UTC)": 10, "who": 4, "what": 17}


def close(result: DemoResult, console: Console) -> None:
    """Print the decision and why, the audit trail, where the report is, and what to do next."""
    _say(console)
    _say(console, f"Decision: {kind_in_words(result.decision.kind)}", "bold")
    for reason in result.decision.reasons:
        _say(console, f"  {reason}")
    _say(console, _production(result), "bold")
    _say(console)
    for line in _counts(result):
        _say(console, line)
    _say(console)
    _say(console, "Audit trail", "bold")
    console.print(_trail(result), soft_wrap=True)
    intact = "the chain of hashes holds" if result.audit_intact else "THE CHAIN IS BROKEN"
    _say(
        console, f"{len(result.audit)} entries, {intact}", "dim" if result.audit_intact else "red"
    )
    _say(console)
    _say(console, f"Report: {result.report}")
    for line in _next(result):
        _say(console, line)
    _say(console, f"{result.seconds:.0f} seconds", "dim")


def _production(result: DemoResult) -> str:
    before, after = result.champion.before, result.champion.after
    if before == after:
        return f"Production stays with {after}."
    return f"Production moved from {before} to {after}."


def _counts(result: DemoResult) -> Iterator[str]:
    shares = ", ".join(f"{arm.variant} {arm.requests:,}" for arm in result.variants)
    yield f"{result.requests_sent:,} requests sent: {shares}"
    yield (
        f"{result.outcomes_sent:,} labels sent late and out of order, {result.outcomes_joined:,} "
        f"joined; {result.outcomes_repeated:,} were sent twice, {result.outcomes_early:,} before "
        "their request"
    )
    same = "the same" if result.verified else "NOT THE SAME"
    yield f"{result.verification.compared} figures recomputed from the events: {same}"
    if result.data.left_out:
        yield (
            f"{result.data.left_out:,} rows were left out: a value is missing where none was in "
            "the part learnt from, or the class was not there"
        )


def _trail(result: DemoResult) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("#", "when (UTC)", "who", "what"):
        table.add_column(name, no_wrap=True, min_width=_WIDTHS[name])
    table.add_column("on", no_wrap=True, overflow="ellipsis")
    table.add_column("hash", no_wrap=True, min_width=_SHORT_HASH)
    for entry in result.audit:
        table.add_row(
            str(entry.seq),
            f"{entry.at:%H:%M:%S}",
            Text(entry.actor),
            Text(entry.action),
            Text(entry.subject),
            Text(entry.hash[:_SHORT_HASH], style="dim"),
        )
    return table


def _next(result: DemoResult) -> Iterator[str]:
    if result.kept is not None:
        store = shlex.quote(f"{result.kept}/palio.db")
        yield f"Kept: palio --store {store} serve"
        yield f"      palio --store {store} experiments analyze {result.experiment}"
        return
    if result.data.synthetic:
        yield "Next: palio demo --data your.csv --target column   the same on a table of yours"
    if result.decision.kind is DecisionKind.INCONCLUSIVE:
        yield "Next: palio demo --requests 20000                  more rows show smaller effects"
    yield "Next: palio demo --keep FOLDER                     keep the store, serve it, explore it"
    yield "Next: palio serve                                  a store of your own"


def _say(console: Console, words: str = "", style: str = "") -> None:
    console.print(Text(words, style=style), soft_wrap=True)
