"""``palio evaluate``: look at all experiments that run, and act where they are automatic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
import typer

from palio.cli.output import AsJson, listing
from palio.cli.session import wiring
from palio.experiments.evaluating import Act

__all__ = ["evaluate"]


def evaluate(
    ctx: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Look once, then end.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Look at all experiments that run, and act on those that are automatic.

    A server does so by itself, every PALIO_EVALUATE_S seconds; of all processes on a store one
    does it at a time.

    [dim]palio evaluate --once --dry-run[/dim]
    """
    shell = wiring(ctx)

    def tell(acts: Sequence[Act], other: str | None) -> None:
        if other is not None:
            if once:
                typer.echo(f"{other} evaluates this store; nothing was done", err=True)
        elif once:
            rows = [_row(act, dry_run=dry_run) for act in acts]
            listing(acts, _COLUMNS, rows, as_json=as_json, empty="no experiment runs")
        else:
            for act in acts:
                typer.echo(_line(act, dry_run=dry_run, as_json=as_json))

    settings = shell.wiring.settings(store=shell.store)
    shell.wiring.evaluate(settings, once=once, dry_run=dry_run, on_look=tell)


_COLUMNS = ("experiment", "decision", "done", "why")


def _row(act: Act, *, dry_run: bool) -> tuple[object, ...]:
    done = "yes" if act.acted else "not in a dry run" if dry_run else "no"
    return act.experiment, act.decision.kind, done, "; ".join(act.decision.reasons)


def _line(act: Act, *, dry_run: bool, as_json: bool) -> str:
    if as_json:
        return msgspec.json.encode(act).decode()
    experiment, kind, done, why = _row(act, dry_run=dry_run)
    return f"{experiment}: {kind} (done: {done}): {why}"
