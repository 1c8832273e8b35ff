"""``palio deployments control``: look at all deployments that have not ended, and act."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
import typer

from palio.cli.output import AsJson, listing
from palio.cli.session import wiring
from palio.delivery.deployments.control import Action, Kind

__all__ = ["app"]

app = typer.Typer()
_COLUMNS = ("deployment", "done", "verdict", "why")


@app.command()
def control(
    ctx: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Look once, then end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look at all deployments, and do what is due: start, let on, take back.

    A server does so by itself, every PALIO_CONTROL_S seconds; of all processes on a store one
    does it at a time.

    [dim]palio deployments control --once[/dim]
    """
    shell = wiring(ctx)

    def tell(done: Sequence[tuple[str, Action]], other: str | None) -> None:
        if other is not None:
            if once:
                typer.echo(f"{other} looks at these deployments; nothing was done", err=True)
        elif once:
            records = [{"deployment": name, "action": action} for name, action in done]
            rows = [_row(name, action) for name, action in done]
            listing(records, _COLUMNS, rows, as_json=as_json, empty="nothing is deployed")
        else:
            for name, action in done:
                if action.kind is not Kind.WAIT:
                    typer.echo(_line(name, action, as_json=as_json))

    shell.wiring.control(shell.wiring.settings(store=shell.store), once=once, on_look=tell)


def _line(name: str, action: Action, *, as_json: bool) -> str:
    if as_json:
        return msgspec.json.encode({"deployment": name, "action": action}).decode()
    return f"{name}: {action.kind}: {action.reason}"


def _row(name: str, action: Action) -> tuple[object, ...]:
    if action.kind is Kind.WAIT:
        return name, "nothing", "", "nothing is due"
    return name, action.kind, action.verdict, action.reason
