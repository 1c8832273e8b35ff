"""``palio models card``, ``edit``, ``edit-model``: what people read of a version and edit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer
from rich.console import Console
from rich.markdown import Markdown

from palio.cli.documents import read_text, texts_of
from palio.cli.evidence import file_taken, write_new
from palio.cli.models import Name, Reason, Reference
from palio.cli.output import AsJson, done, print_json
from palio.cli.session import verbs, wiring
from palio.errors import InvalidInput

__all__ = ["app", "show_markdown", "write_files"]

app = typer.Typer()

Description = Annotated[str | None, typer.Option(help="New description; '' for none.")]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", help="name=text; all tags from now on, repeatable."),
]
NoTags = Annotated[bool, typer.Option("--no-tags", help="Take all tags off.")]
_OTHERS_TOO = {"ignore_unknown_options": True, "allow_extra_args": True}  # to say what they are


@app.command()
def card(
    ctx: typer.Context,
    reference: Reference,
    html: Annotated[Path | None, typer.Option(help="HTML file to write, plots inside.")] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Markdown file to write, plots in plots/ beside it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the card of a version: what it is, for what, how good, made of what.

    Files that exist are not replaced.

    [dim]palio models card credit-risk@champion --html card.html[/dim]
    """
    versions = verbs(ctx).versions
    text = versions.card(reference)
    files: dict[Path, bytes] = {}
    plots = _flat(versions.plots(reference)) if html or markdown else {}
    if html is not None:
        files[html] = wiring(ctx).wiring.card_page(text, plots, title=reference).encode()
    if markdown is not None:
        files[markdown] = text.encode()
        files |= {markdown.parent / path: image for path, image in plots.items()}
    if files:
        write_files(files)
        names = [str(path) for path in files]
        done(names, f"wrote {', '.join(names)}", as_json=as_json)
    elif as_json:
        print_json(text)
    else:
        show_markdown(text)


@app.command(context_settings=_OTHERS_TOO)
def edit(
    ctx: typer.Context,
    reference: Reference,
    description: Description = None,
    tag: Tags = None,
    no_tags: NoTags = False,
    external_ref: Annotated[
        str | None, typer.Option(help="Its id in another system; '' for none.")
    ] = None,
    card: Annotated[
        Path | None, typer.Option(help="Markdown file with the prose of its card.")
    ] = None,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Change the description, tags, external reference or card of a version.

    All else is frozen: it stands in the manifest or in what was measured.

    [dim]palio models edit credit-risk:v2 --tag team=risk --reason "moved teams"[/dim]
    """
    _refuse_others(ctx, "description, tags, external_ref and card")
    version = verbs(ctx).versions.edit(
        reference,
        description=description,
        tags=_tags(tag, no_tags=no_tags),
        external_ref=external_ref,
        card=None if card is None else read_text(card, "card"),
        reason=reason,
    )
    done(version, f"{version.reference} is as asked", as_json=as_json)


@app.command("edit-model", context_settings=_OTHERS_TOO)
def edit_model(
    ctx: typer.Context,
    model: Name,
    description: Description = None,
    tag: Tags = None,
    no_tags: NoTags = False,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Change the description or the tags of a model.

    [dim]palio models edit-model credit-risk --description "who pays back"[/dim]
    """
    _refuse_others(ctx, "description and tags")
    made = verbs(ctx).models.edit(
        model, description=description, tags=_tags(tag, no_tags=no_tags), reason=reason
    )
    done(made, f"model {made.name} is as asked", as_json=as_json)


def _refuse_others(ctx: typer.Context, editable: str) -> None:
    if ctx.args:
        raise InvalidInput(
            f"{ctx.args[0]} cannot be edited: it is frozen or unknown; {editable} can be, for "
            "all else register a new version",
            field=ctx.args[0].lstrip("-"),
        )


def _tags(given: list[str] | None, *, no_tags: bool) -> dict[str, str] | None:
    if given and no_tags:
        raise InvalidInput("--tag and --no-tags exclude each other; give one", field="tag")
    return texts_of("tag", given) if given else {} if no_tags else None


def _flat(plots: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return plots under names that lie in ``plots/``, whatever a server calls them."""
    return {f"plots/{PurePosixPath(path).name}": image for path, image in plots.items()}


def write_files(files: Mapping[Path, bytes]) -> None:
    """Write files, or none if one of them is there already."""
    for path in files:
        if path.exists():
            raise file_taken("file", path)
    for path, content in files.items():
        if path.parent.name == "plots":
            path.parent.mkdir(parents=True, exist_ok=True)
        write_new(path, content, "file")


def show_markdown(text: str) -> None:
    """Print Markdown for people, and as it is where no person reads it."""
    console = Console()
    if console.is_terminal:
        console.print(Markdown(text, hyperlinks=False))
    else:
        typer.echo(text)
