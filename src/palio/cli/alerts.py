"""``palio alerts``: what people were told."""

from __future__ import annotations

from typing import Annotated

import typer

from palio.access.alerts import DeliveryState, Raised
from palio.cli.output import AsJson, listing, moment
from palio.cli.session import verbs

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="What people were told.")


@app.callback()
def alerts() -> None:
    """Show what people were told."""


@app.command("list")
def list_alerts(
    ctx: typer.Context,
    last: Annotated[int, typer.Option(help="How many, the last ones.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List alerts, oldest first, and whether they have arrived.

    [dim]palio alerts list --last 20[/dim]
    """
    found = verbs(ctx).alerts.list(last)
    rows = [
        (moment(one.alert.at), one.alert.severity, one.alert.kind, one.alert.text, _arrival(one))
        for one in found
    ]
    listing(
        found,
        ("at", "severity", "kind", "what", "delivered"),
        rows,
        as_json=as_json,
        empty="no alerts yet",
    )


def _arrival(raised: Raised) -> str:
    told = [
        one.host if one.state is DeliveryState.DELIVERED else f"{one.host}: {one.error}"
        for one in raised.deliveries
    ]
    return ", ".join(told) or "to nobody"
