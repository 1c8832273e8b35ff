"""``palio keys`` and ``palio audit``: who may, and who did."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from palio.access.audit import AuditCheck, line_of
from palio.access.checkpoint import Checkpoint, read_checkpoint, sign_head, text_of
from palio.access.domain import Role
from palio.access.service import every_entry
from palio.cli.evidence import (
    check_file,
    moment_in,
    read_file,
    read_private,
    write_lines,
    write_new,
    write_pair,
)
from palio.cli.output import AsJson, done, listing, moment, print_json
from palio.cli.session import verbs
from palio.errors import InvalidInput

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
    model: Annotated[
        str | None,
        typer.Option(help="On this model, its versions, aliases, endpoints and experiments."),
    ] = None,
    actor: Annotated[str | None, typer.Option(help="By this actor.")] = None,
    action: Annotated[
        str | None, typer.Option(help="An action (version.promote), or a noun (version).")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="From this day or moment on; UTC without a zone.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Before this day or moment; UTC without a zone.")
    ] = None,
    after: Annotated[int, typer.Option(help="Start after this entry.")] = 0,
    limit: Annotated[int, typer.Option(help="Entries to show at most; 1,000 a page.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List who changed what, when and why.

    [dim]palio audit list --model credit-risk --action version.promote --since 2026-11-01[/dim]
    """
    found = verbs(ctx).audit.list(
        after,
        limit,
        model=model,
        actor=actor,
        action=action,
        since=moment_in("since", since),
        until=moment_in("until", until),
    )
    rows = [(e.seq, moment(e.at), e.actor, e.action, e.subject, e.reason) for e in found]
    listing(found, ("#", "when", "who", "what", "on", "why"), rows, as_json=as_json)


@audit.command()
def export(
    ctx: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Where to, replaced if it exists; - prints it.")
    ],
) -> None:
    """Write the whole log as JSON lines, which `verify --file` checks without the store.

    [dim]palio audit export audit.jsonl[/dim]
    """
    lines = map(line_of, every_entry(verbs(ctx).audit))
    if file == "-":
        typer.get_binary_stream("stdout").writelines(lines)
        return
    typer.echo(f"{write_lines(Path(file), lines)} entries are in {file}")


@audit.command()
def verify(
    ctx: typer.Context,
    file: Annotated[
        Path | None, typer.Option(help="An exported log to check instead of the store.")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="A checkpoint that the log must contain.")
    ] = None,
    public_key: Annotated[
        Path | None, typer.Option(help="The public key of whoever signed the checkpoint.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read the whole chain and find any edit; exit code 1 if there is one.

    A tail cut off, and a log written anew from its start, show against a checkpoint only.

    [dim]palio audit verify --checkpoint head.json --public-key audit.pem.pub[/dim]
    """
    signed = _signed(checkpoint, public_key)
    known = None if signed is None else signed.mark
    if file is not None:
        checked = check_file(file, known)
    elif known is None:
        checked = verbs(ctx).audit.verify()
    else:
        checked = verbs(ctx).audit.verify(known.seq, known.hash)
    _report(checked, signed, as_json=as_json)
    if checked.broken is not None:
        raise typer.Exit(1)


@audit.command("checkpoint")
def write_checkpoint(
    ctx: typer.Context,
    key: Annotated[Path, typer.Option(help="The private key, as `palio audit keygen` made it.")],
    out: Annotated[Path, typer.Option(help="Where to write it; never over another file.")],
    as_json: AsJson = False,
) -> None:
    """Read the whole log and sign where it ends; keep the file where the log is not.

    [dim]palio audit checkpoint --key audit.pem --out head.json[/dim]
    """
    private = read_private(key)
    now = datetime.now(UTC)  # noqa: TID251 - the clock of whoever signs, not of the server
    signed = sign_head(verbs(ctx).audit.verify(), private, at=now)
    write_new(out, text_of(signed), "out")
    done(signed, f"{signed.entries} entries, signed in {out}", as_json=as_json)


@audit.command()
def keygen(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The private key; the public one is FILE.pub.")
    ],
    as_json: AsJson = False,
) -> None:
    """Make a key pair that signs checkpoints; the private key is not shown.

    [dim]palio audit keygen audit.pem[/dim]
    """
    public = write_pair(file)
    paths = {"private": str(file), "public": str(public)}
    done(paths, f"the private key is {file}, the public key {public}", as_json=as_json)


def _signed(checkpoint: Path | None, public_key: Path | None) -> Checkpoint | None:
    if checkpoint is None and public_key is None:
        return None
    if checkpoint is None or public_key is None:
        missing = "checkpoint" if checkpoint is None else "public_key"
        raise InvalidInput(
            f"--{missing.replace('_', '-')} is missing; give both, the checkpoint and the public "
            "key of whoever signed it",
            field=missing,
        )
    return read_checkpoint(
        read_file(checkpoint, "checkpoint"), read_file(public_key, "public_key")
    )


def _report(checked: AuditCheck, signed: Checkpoint | None, *, as_json: bool) -> None:
    if as_json:
        print_json(checked)
    elif checked.broken is not None:
        typer.echo(f"entry {checked.broken.seq}: {checked.broken.problem}", err=True)
    elif signed is not None:
        when = f"the checkpoint of {moment(signed.at)} at entry {signed.seq}"
        typer.echo(f"{checked.entries} entries, the chain holds and contains {when}")
    else:
        typer.echo(f"{checked.entries} entries, the chain holds")
