"""``palio models``: models, versions, stages, aliases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import typer

from palio.cli.output import AsJson, describe, done, listing, moment, number
from palio.cli.session import verbs
from palio.errors import InvalidInput
from palio.registry.comparison import MetricDifference, Way
from palio.registry.domain import CHAMPION, Version

__all__ = ["Name", "Reason", "Reference", "app"]

app = typer.Typer()

Reference = Annotated[str, typer.Argument(help="name:version or name@alias")]
Reason = Annotated[str, typer.Option(help="Why, for the audit log.")]
Name = Annotated[str, typer.Argument(help="Name of the model.")]
Deleted = Annotated[bool, typer.Option("--deleted", help="Show what was deleted, too.")]


@app.command("list")
def list_models(ctx: typer.Context, deleted: Deleted = False, as_json: AsJson = False) -> None:
    """List all models.

    [dim]palio models list --json[/dim]
    """
    found = verbs(ctx).models.list(deleted=deleted)
    rows = [
        (m.name, m.lifecycle, moment(m.created_at), m.description)
        + ((moment(m.deleted_at),) if deleted else ())
        for m in found
    ]
    listing(
        found,
        ("model", "lifecycle", "created", "description", *(("deleted",) if deleted else ())),
        rows,
        as_json=as_json,
        empty="no models yet; `palio train … --register` or `palio models create NAME` makes one",
    )


@app.command()
def create(
    ctx: typer.Context,
    name: Name,
    description: Annotated[str, typer.Option(help="What its versions do.")] = "",
    lifecycle: Annotated[str, typer.Option(help="Lifecycle of its versions.")] = "standard",
    as_json: AsJson = False,
) -> None:
    """Open a line of versions.

    [dim]palio models create credit-risk --lifecycle strict[/dim]
    """
    model = verbs(ctx).models.create(name, description, lifecycle)
    done(model, f"model {model.name} is open; register versions of it", as_json=as_json)


@app.command()
def versions(
    ctx: typer.Context, model: Name, deleted: Deleted = False, as_json: AsJson = False
) -> None:
    """List the versions of a model, oldest first.

    [dim]palio models versions credit-risk[/dim]
    """
    found = verbs(ctx).versions.list(model, deleted=deleted)
    rows = [
        (v.ordinal, v.version, v.stage, v.flavor, moment(v.created_at), v.created_by)
        + ((moment(v.deleted_at), moment(v.purged_at)) if deleted else ())
        for v in found
    ]
    marks = ("deleted", "purged") if deleted else ()
    columns = ("#", "version", "stage", "flavor", "created", "by", *marks)
    listing(found, columns, rows, as_json=as_json, empty=f"{model} has no versions yet")


@app.command()
def show(ctx: typer.Context, reference: Reference, as_json: AsJson = False) -> None:
    """Show a version: stage, metrics, features, files.

    [dim]palio models show credit-risk@champion[/dim]
    """
    version = verbs(ctx).versions.get(reference, deleted=True)
    describe(version, _pairs(version), as_json=as_json)


@app.command()
def move(
    ctx: typer.Context,
    reference: Reference,
    stage: Annotated[str, typer.Argument(help="Where it should stand.")],
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Take a version to another stage of its lifecycle.

    [dim]palio models move credit-risk:v2 staging[/dim]
    """
    version = verbs(ctx).versions.move(reference, stage, reason)
    done(version, f"{version.reference} is in {version.stage}", as_json=as_json)


@app.command()
def promote(
    ctx: typer.Context,
    reference: Reference,
    expected: Annotated[
        str | None, typer.Option(help="Version that should be champion now; '' for none.")
    ] = None,
    former_to: Annotated[str | None, typer.Option(help="Stage for the former champion.")] = None,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Make a version production and @champion, both or neither.

    [dim]palio models promote credit-risk:v2 --expected v1 --reason "won credit-ab"[/dim]
    """
    version = verbs(ctx).versions.promote(reference, expected, former_to, reason)
    done(version, f"{version.reference} is {version.stage} and @{CHAMPION}", as_json=as_json)


@app.command()
def rollback(
    ctx: typer.Context, model: Name, reason: Reason = "", as_json: AsJson = False
) -> None:
    """Make the champion before this one production again.

    [dim]palio models rollback credit-risk --reason "errors since noon"[/dim]
    """
    version = verbs(ctx).models.rollback(model, reason)
    done(version, f"{version.reference} is {version.stage} and @{CHAMPION}", as_json=as_json)


@app.command()
def alias(
    ctx: typer.Context,
    model: Name,
    name: Annotated[str, typer.Argument(help="The alias, without @.")],
    version: Annotated[str, typer.Argument(help="Where it should point.")],
    expected: Annotated[
        str | None, typer.Option(help="Where it should point now; '' for nowhere.")
    ] = None,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Point an alias at a version; @champion moves with promote and rollback only.

    [dim]palio models alias credit-risk shadow v3[/dim]
    """
    made = verbs(ctx).models.set_alias(model, name, version, expected=expected, reason=reason)
    done(made, f"{model}@{name} points at {made.version}", as_json=as_json)


@app.command()
def aliases(ctx: typer.Context, model: Name, as_json: AsJson = False) -> None:
    """List where each alias points.

    [dim]palio models aliases credit-risk[/dim]
    """
    found = verbs(ctx).models.aliases(model)
    listing(
        found,  # type: ignore[arg-type]  # a mapping is printed whole
        ("alias", "version"),
        [(f"@{name}", version) for name, version in found.items()],
        as_json=as_json,
        empty=f"{model} has no aliases yet",
    )


@app.command()
def history(
    ctx: typer.Context,
    model: Name,
    alias: Annotated[str, typer.Argument(help="Which alias.")] = CHAMPION,
    as_json: AsJson = False,
) -> None:
    """List every move of an alias.

    [dim]palio models history credit-risk[/dim]
    """
    found = verbs(ctx).models.history(model, alias)
    rows = [(moment(m.at), m.kind, m.previous, m.version, m.actor, m.reason) for m in found]
    columns = ("when", "move", "from", "to", "by", "why")
    listing(found, columns, rows, as_json=as_json, empty=f"{model}@{alias} has never moved")


@app.command()
def requirements(
    ctx: typer.Context,
    reference: Reference,
    stage: Annotated[
        str | None, typer.Argument(help="Stage to enter; production when not given.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell what a version lacks to enter a stage; exit code 1 if it lacks something.

    [dim]palio models requirements credit-risk:v2 staging[/dim]
    """
    found = verbs(ctx).versions.requirements(reference, stage)
    lacks = "is ready for" if found.ready else "is not ready for"
    rows = [("step", "in the lifecycle", "none" if found.step else "one", not found.step)]
    rows += [(one.what, one.wanted, one.found, one.met) for one in found.findings]
    shown = [(*row, "yes" if met else "no") for *row, met in rows]
    listing(
        found,  # type: ignore[arg-type]  # one record is printed whole
        ("requirement", "wanted", "found", "met"),
        shown,
        as_json=as_json,
    )
    if not as_json:
        typer.echo(f"{found.version} {lacks} {found.stage}")
        if found.step:
            typer.echo(found.step)
    if not found.ready:
        raise typer.Exit(1)


@app.command()
def compare(
    ctx: typer.Context,
    references: Annotated[list[str], typer.Argument(help="The baseline, then one or more.")],
    better: Annotated[
        list[str] | None, typer.Option(help="metric=higher or metric=lower; repeatable.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Hold the metrics of versions against those of the first: how far, and which is better.

    [dim]palio models compare credit-risk@champion credit-risk:v7 --better payback=lower[/dim]
    """
    ways = dict(_way(text) for text in better or ())
    found = verbs(ctx).versions.compare(references, ways)
    rows = [
        (row.metric, number(row.baseline), other, number(one.value), _far(one), _word(one.better))
        for row in found
        for other, one in row.differences.items()
    ]
    listing(
        found,
        ("metric", references[0], "version", "has", "difference", "better"),
        rows,
        as_json=as_json,
        empty="none of these versions has a metric",
    )


def _way(text: str) -> tuple[str, Way]:
    metric, _, way = text.partition("=")
    if way not in set(Way):
        raise InvalidInput(
            f"--better takes metric=higher or metric=lower, got {text!r}",
            field="better",
            value=text,
        )
    return metric, Way(way)


def _far(one: MetricDifference) -> str:
    if one.absolute is None:
        return ""
    share = "" if one.relative is None else f" ({one.relative:+.2%})"
    return f"{one.absolute:+.4g}{share}"


def _word(better: bool | None) -> str:
    return {True: "yes", False: "no", None: ""}[better]


def _pairs(version: Version) -> list[tuple[str, object]]:
    signature = version.signature
    features = [] if signature is None else signature.features
    paths = [file.path for file in version.manifest.files]
    shown = [f"{f.name} ({f.said}{', may be missing' if f.nullable else ''})" for f in features]
    return [
        ("version", version.reference),
        ("number", version.ordinal),
        ("stage", version.stage),
        ("flavor", version.flavor),
        ("preprocessor", next((path for path in paths if path.startswith("preprocessor.")), None)),
        ("created", f"{moment(version.created_at)} by {version.created_by}"),
        ("approved by", version.approved_by),
        ("description", version.description),
        ("type", version.type),
        ("framework", version.framework),
        ("architecture", version.architecture),
        ("metrics", ", ".join(f"{k} {number(v)}" for k, v in version.metrics.items())),
        ("backtest", ", ".join(f"{k} {number(v)}" for k, v in version.backtest.items())),
        ("dataset version", version.dataset_version),
        ("training", _compact(version.training)),
        ("policy", _compact(version.policy)),
        ("parent", version.parent),
        ("source", _texts(version.source)),
        ("tags", _texts(version.tags)),
        ("external ref", version.external_ref),
        ("card", "`palio models card` shows it" if version.card else ""),
        ("features", ", ".join(shown)),
        ("files", ", ".join(paths)),
        ("digest", version.manifest.digest),
        *((("deleted", moment(version.deleted_at)),) if version.deleted_at else ()),
        *((("purged", moment(version.purged_at)),) if version.purged_at else ()),
    ]


def _compact(document: Mapping[str, Any] | None) -> str:
    return msgspec.json.encode(document).decode() if document else ""


def _texts(texts: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={text}" for name, text in texts.items())
