"""``palio artifacts``: the files of versions, compared and tidied."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from palio.cli.output import AsJson, listing, print_json
from palio.cli.session import verbs
from palio.edge.verbs import Verbs
from palio.registry.artifacts import Fate, Verification

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="The files of versions: compared, and tidied.")


@app.command()
def verify(
    ctx: typer.Context,
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[VERSION | MODEL]",
            help="A version or an alias, or a model for all its versions; every model by default.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare every byte with what was registered; exit code 1 if any differs.

    [dim]palio artifacts verify credit-risk@champion[/dim]
    """
    found = _verified(verbs(ctx), what)
    if as_json:
        print_json(found)
    else:
        _tell(found)
    if any(one.differences for one in found):
        raise typer.Exit(1)


@app.command()
def gc(
    ctx: typer.Context,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove what nothing needs, instead of listing it.")
    ] = False,
    older_than_s: Annotated[
        float, typer.Option(help="Seconds; what was written since then stays.")
    ] = 3600.0,
    as_json: AsJson = False,
) -> None:
    """List what registrations and purges have left behind; nothing goes without --remove.

    Files of versions stay, also of deleted ones, and whatever the audit log still tells of.

    [dim]palio artifacts gc --remove[/dim]
    """
    found = verbs(ctx).artifacts.gc(dry_run=not remove, older_than_s=older_than_s)
    rows = [
        (one.place, _size(one.size_bytes), _age(one.age_s), one.fate, one.why) for one in found
    ]
    columns = ("folder", "size", "age", "fate", "why")
    listing(found, columns, rows, as_json=as_json, empty="nothing is left behind")
    removable = [one for one in found if one.fate is Fate.REMOVABLE]
    if removable and not as_json:
        size = _size(sum(one.size_bytes for one in removable))
        count = _counted(len(removable), "folder")
        typer.echo(f"\n`palio artifacts gc --remove` removes {count}, {size}")


def _verified(verbs: Verbs, what: str | None) -> Sequence[Verification]:
    references = list(_references(verbs, what))
    watched = track(
        references,
        description="comparing",
        console=Console(stderr=True),
        transient=True,
        disable=not Console(stderr=True).is_terminal,
    )
    return [verbs.artifacts.verify(reference) for reference in watched]


def _references(verbs: Verbs, what: str | None) -> Iterable[str]:
    if what is not None and (":" in what or "@" in what):
        yield what
        return
    for model in [what] if what else [one.name for one in verbs.models.list(deleted=True)]:
        for version in verbs.versions.list(model, deleted=True):
            if version.purged_at is None:
                yield version.reference


def _tell(found: Sequence[Verification]) -> None:
    for one in found:
        for difference in one.differences:
            typer.echo(f"{one.version}: {difference.file}: {difference.why}", err=True)
    files, size = sum(one.files for one in found), sum(one.size_bytes for one in found)
    bad = sum(1 for one in found if one.differences)
    said = f"{_counted(len(found), 'version')}, {_counted(files, 'file')}, {_size(size)}"
    if bad:
        typer.echo(f"{said}: {bad} not as registered; restore them from a backup")
    else:
        typer.echo(f"{said}: all as registered")


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _size(size_bytes: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:  # noqa: PLR2004
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.3g} TB"


def _age(age_s: float) -> str:
    for unit, seconds in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if age_s >= 2 * seconds:
            return f"{age_s / seconds:.0f} {unit}"
    return f"{age_s:.0f} s"
