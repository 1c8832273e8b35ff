"""``palio units``: what is kept of units, removed on request or when it is old."""

from __future__ import annotations

from typing import Annotated

import typer

from palio.cli.output import AsJson, done, moment
from palio.cli.session import verbs

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="What is kept of units: erased, or forgotten.")


@app.command()
def erase(
    ctx: typer.Context,
    units: Annotated[
        list[str], typer.Argument(metavar="UNIT…", help="Ids of units, as clients send them.")
    ],
    reason: Annotated[str, typer.Option(help="Why, for the audit log; without the ids.")],
    as_json: AsJson = False,
) -> None:
    """Remove all that is kept of units, and take it off the statistics.

    Units that nothing is kept of are no error, so that it can be repeated.

    [dim]palio units erase user-17 --reason "request 4711"[/dim]
    """
    erased = verbs(ctx).units.erase(units, reason)
    experiments = ", ".join(erased.experiments) or "no experiment"
    line = (
        f"{erased.known} of {erased.units} units were known: {erased.predictions} predictions, "
        f"{erased.exposures} exposures and {erased.outcomes} outcomes are erased, and taken off "
        f"{experiments}"
    )
    done(erased, line, as_json=as_json)


@app.command()
def retain(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Remove events older than PALIO_RETENTION_DAYS that no open experiment needs.

    [dim]palio units retain[/dim]
    """
    told = verbs(ctx).units.retain()
    held = f"; {', '.join(told.held_by)} needs what is younger" if told.held_by else ""
    line = f"{told.events} events from before {moment(told.before)} are forgotten{held}"
    done(told, line, as_json=as_json)
