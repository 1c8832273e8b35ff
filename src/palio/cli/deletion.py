"""``palio models``: deleting and purging, clearing aliases, what was where on a day."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from palio.cli.evidence import moment_in
from palio.cli.models import Name, Reason
from palio.cli.output import AsJson, describe, done, moment
from palio.cli.session import verbs
from palio.errors import InvalidInput
from palio.registry.domain import CHAMPION

__all__ = ["app"]

app = typer.Typer()

OwnName = Annotated[
    str, typer.Argument(metavar="REF", help="name:version, or the name of a model.")
]


@app.command()
def delete(
    ctx: typer.Context, reference: OwnName, reason: Reason = "", as_json: AsJson = False
) -> None:
    """Delete a version or a whole model, which `restore` takes back.

    Refused while an alias, an endpoint or an experiment names it. Deleting a model takes its
    champion out of production.

    [dim]palio models delete credit-risk:v3 --reason "trained on the wrong year"[/dim]
    """
    models, versions = verbs(ctx).models, verbs(ctx).versions
    deleted = (
        models.delete(reference, reason)
        if _is_model(reference)
        else versions.delete(reference, reason)
    )
    line = f"{reference} is deleted; `palio models restore {reference}` brings it back"
    done(deleted, line, as_json=as_json)


@app.command()
def restore(
    ctx: typer.Context, reference: OwnName, reason: Reason = "", as_json: AsJson = False
) -> None:
    """Bring back a version or a model that was deleted; a model comes without its champion.

    [dim]palio models restore credit-risk:v3[/dim]
    """
    models, versions = verbs(ctx).models, verbs(ctx).versions
    restored = (
        models.restore(reference, reason)
        if _is_model(reference)
        else versions.restore(reference, reason)
    )
    done(restored, f"{reference} is back", as_json=as_json)


@app.command()
def purge(
    ctx: typer.Context,
    reference: Annotated[str, typer.Argument(help="name:version, deleted before.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Take the files of a deleted version away for good; its record stays.

    Again on the same version, it finishes what an interruption left.

    [dim]palio models purge credit-risk:v3 --yes --reason "request 4711"[/dim]
    """
    if not yes:
        _confirm(reference)
    purged = verbs(ctx).versions.purge(reference, reason)
    done(purged, f"the files of {purged.reference} are gone; its record stays", as_json=as_json)


@app.command("clear-alias")
def clear_alias(
    ctx: typer.Context,
    model: Name,
    name: Annotated[str, typer.Argument(help="The alias, without @.")],
    expected: Annotated[str | None, typer.Option(help="Where it should point now.")] = None,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Let an alias point nowhere.

    [dim]palio models clear-alias credit-risk shadow --expected v3[/dim]
    """
    made = verbs(ctx).models.clear_alias(model, name, expected, reason)
    line = f"{model}@{name} points nowhere; it pointed at {made.previous}"
    done(made, line, as_json=as_json)


@app.command()
def at(
    ctx: typer.Context,
    model: Name,
    when: Annotated[str, typer.Argument(help="A day or moment; UTC without a zone.")],
    alias: Annotated[str, typer.Option(help="Which alias.")] = CHAMPION,
    as_json: AsJson = False,
) -> None:
    """Show what was production at a moment, or where another alias pointed, and why.

    [dim]palio models at credit-risk 2026-11-01T12:00[/dim]
    """
    moment_asked = moment_in("when", when)
    if moment_asked is None:  # the argument is required
        raise InvalidInput("when is missing; write 2026-11-01T12:00", field="when")
    found = verbs(ctx).models.at(model, moment_asked, alias)
    pairs = [
        ("alias", f"{model}@{alias}"),
        ("version", found.version or "nothing"),
        ("since", moment(found.at)),
        ("before that", found.previous or "nothing"),
        ("moved by", found.actor),
        ("move", found.kind),
        ("why", found.reason),
    ]
    describe(found, pairs, as_json=as_json)


@app.command()
def adopt(
    ctx: typer.Context,
    model: Name,
    lifecycle: Annotated[
        str | None, typer.Argument(help="Which lifecycle; its own when not given.")
    ] = None,
    revision: Annotated[
        int | None, typer.Option(help="Which revision; the newest when not given.")
    ] = None,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Let a model follow another lifecycle, or another revision of its own.

    Refused if it has no place for a version where that stands now.

    [dim]palio models adopt credit-risk --reason "calibration is required now"[/dim]
    """
    made = verbs(ctx).models.adopt(model, lifecycle, revision, reason)
    line = f"{model} follows revision {made.lifecycle_revision} of {made.lifecycle}"
    done(made, line, as_json=as_json)


def _is_model(reference: str) -> bool:
    return not set(reference) & set(":@")


def _confirm(reference: str) -> None:
    if not sys.stdin.isatty():
        raise InvalidInput(
            f"purging {reference} takes its files away for good, and nobody is there to be asked; "
            "repeat it with --yes",
            field="yes",
            value=reference,
        )
    typer.confirm(f"Take the files of {reference} away for good?", abort=True, err=True)
