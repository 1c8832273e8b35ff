"""``palio models search``: versions of all models by what is known of them."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer

from palio.cli.output import AsJson, listing, moment, number, print_json
from palio.cli.session import verbs
from palio.edge.verbs import Verbs
from palio.registry.domain import Version
from palio.registry.search.fields import ALIAS, facts_of
from palio.registry.search.pages import MAX_LIMIT, VersionPage, parse_order
from palio.registry.search.parsing import parse_query
from palio.registry.search.query import conditions_of

__all__ = ["app"]

app = typer.Typer()

_ALWAYS = ("model", "version", "stage", "created_at", "created_by")  # columns of every table


@app.command()
def search(
    ctx: typer.Context,
    where: Annotated[
        str, typer.Argument(help="What versions must be; all versions when not given.")
    ] = "",
    order: Annotated[
        str, typer.Option(help="Fields, each with asc or desc; newest first when not given.")
    ] = "",
    limit: Annotated[int, typer.Option(help="Versions a page, 1 to 1,000.")] = 50,
    after: Annotated[str, typer.Option(help="Where the page before ended, as it told.")] = "",
    every: Annotated[bool, typer.Option("--all", help="Every page, as one.")] = False,
    as_json: AsJson = False,
) -> None:
    """Find versions of all models by field, metric, tag or alias.

    Fields are model, version, stage, alias, flavor, type, framework, architecture,
    dataset_version, parent, external_ref, description, created_by, approved_by, created_at,
    ordinal, deleted, metrics.NAME, backtest.NAME and tags.NAME. Compare with = != < <= > >=, in
    ('a', 'b'), not in, contains; join with and, or, not and brackets.

    [dim]palio models search "metrics.auc > 0.8 and tags.team = 'risk'"
    --order "metrics.auc desc" --limit 20[/dim]

    [dim]palio models search "stage in ('staging', 'testing') and not description contains
    'draft'"[/dim]
    """
    fields = _fields(where, order)
    opened = verbs(ctx)
    page = (
        _all_pages(opened, where, order, after)
        if every
        else opened.versions.search(where, order, limit, after)
    )
    if as_json:
        print_json(page)
        return
    rows = [(*_start(version), *_values(version, fields)) for version in page.versions]
    columns = ("version", "stage", "created", "by", *fields)
    listing(page.versions, columns, rows, as_json=False, empty="no version is like that")
    if page.next:
        given = ["palio", "models", "search", *([where] if where else [])]
        given += ["--order", order] * bool(order) + ["--limit", str(limit)]
        typer.echo(f"next page: {shlex.join([*given, '--after', page.next])}")


def _all_pages(opened: Verbs, where: str, order: str, after: str) -> VersionPage:
    found: list[Version] = []
    while True:
        page = opened.versions.search(where, order, MAX_LIMIT, after)
        found += page.versions
        after = page.next
        if not after:
            return VersionPage(tuple(found))
        if sys.stderr.isatty():
            typer.echo(f"{len(found):,} versions so far", err=True)


def _fields(where: str, order: str) -> list[str]:
    """Return the fields that were asked for and are in no column yet."""
    node = parse_query(where).where
    named = [one.field for one in conditions_of(node)] if node is not None else []
    named += [key.field for key in parse_order(order).keys]
    return [one for one in dict.fromkeys(named) if one not in (*_ALWAYS, ALIAS)]


def _start(version: Version) -> tuple[str, ...]:
    return version.reference, version.stage, moment(version.created_at), version.created_by


def _values(version: Version, fields: list[str]) -> list[str]:
    facts = facts_of(version) | {"deleted": "no" if version.deleted_at is None else "yes"}
    found = [facts.get(field, "") for field in fields]
    return [value if isinstance(value, str) else number(value) for value in found]
