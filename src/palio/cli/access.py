"""``palio keys`` and ``palio audit``: who may, and who did."""

from __future__ import annotations

from typing import Annotated

import typer

from palio.access.domain import Role
from palio.cli.output import AsJson, done, listing, moment, print_json
from palio.cli.session import verbs

__all__ = ["audit", "keys"]

keys = typer.Typer(no_args_is_help=True, help="API keys.")
audit = typer.Typer(no_args_is_help=True, help="The audit log.")


@keys.command()
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Who or what will use it.")],
    role: Annotated[Role, typer.Option(help="What it may do.")] = Role.VIEWER,
    expires_in_days: Annotated[float | None, typer.Option(help="Days until it ends.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key; its secret is shown once.

    [dim]palio keys create scoring-app --role operator --expires-in-days 90[/dim]
    """
    made = verbs(ctx).keys.create(name, role, expires_in_days)
    line = f"{made.secret}\nThis is the only time the key is shown; its id is {made.key.id}."
    done(made, line, as_json=as_json)


@keys.command("list")
def list_keys(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List all keys, never their secrets.

    [dim]palio keys list[/dim]
    """
    found = verbs(ctx).keys.list()
    rows = [
        (k.id, k.name, k.role, moment(k.created_at), moment(k.expires_at), moment(k.revoked_at))
        for k in found
    ]
    columns = ("id", "name", "role", "created", "expires", "revoked")
    listing(found, columns, rows, as_json=as_json, empty="no keys yet; the server is local only")


@keys.command()
def revoke(
    ctx: typer.Context,
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id.")],
    as_json: AsJson = False,
) -> None:
    """Make a key useless from now on.

    [dim]palio keys revoke key_0123[/dim]
    """
    key = verbs(ctx).keys.revoke(key_id)
    done(key, f"{key.id} ({key.name}) is revoked", as_json=as_json)


@audit.command("list")
def list_entries(
    ctx: typer.Context,
    after: Annotated[int, typer.Option(help="Start after this entry.")] = 0,
    limit: Annotated[int, typer.Option(help="Entries to show at most.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List who changed what, when and why.

    [dim]palio audit list --after 100[/dim]
    """
    found = verbs(ctx).audit.list(after, limit)
    rows = [(e.seq, moment(e.at), e.actor, e.action, e.subject, e.reason) for e in found]
    listing(found, ("#", "when", "who", "what", "on", "why"), rows, as_json=as_json)


@audit.command()
def verify(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Read the whole chain and find any edit; exit code 1 if there is one.

    [dim]palio audit verify[/dim]
    """
    checked = verbs(ctx).audit.verify()
    if as_json:
        print_json(checked)
    elif checked.broken is None:
        typer.echo(f"{checked.entries} entries, the chain holds")
    else:
        typer.echo(f"entry {checked.broken.seq}: {checked.broken.problem}", err=True)
    if checked.broken is not None:
        raise typer.Exit(1)
