"""``palio lifecycles``: the stages of versions, declared, checked and drawn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from palio.cli.documents import read_document
from palio.cli.output import AsJson, done, listing, print_json
from palio.cli.session import verbs
from palio.registry.domain import CHAMPION
from palio.registry.lifecycle import BUILTIN, Lifecycle
from palio.registry.requirements import wanted_by

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Lifecycles: the stages that versions pass through.")

File = Annotated[Path, typer.Argument(help="YAML or JSON file with the lifecycle.")]


@app.command("list")
def list_lifecycles(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List the newest revision of all lifecycles, built in and declared.

    [dim]palio lifecycles list[/dim]
    """
    found = verbs(ctx).lifecycles.list()
    rows = [
        (
            one.name,
            "built in" if one.name in BUILTIN else "declared",
            one.revision,
            ", ".join(one.stages),
        )
        for one in found
    ]
    listing(found, ("lifecycle", "from", "revision", "stages"), rows, as_json=as_json)


@app.command()
def show(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the lifecycle.")],
    revision: Annotated[
        int | None, typer.Option(help="Which revision; the newest when not given.")
    ] = None,
    mermaid: Annotated[
        bool, typer.Option("--mermaid", help="Draw it as a Mermaid flowchart, for Markdown.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Draw a lifecycle: stages, the steps between them, and what each requires.

    [dim]palio lifecycles show standard[/dim]
    """
    found = verbs(ctx).lifecycles.get(name, revision)
    if as_json:
        print_json(found)
    else:
        typer.echo("\n".join(_flowchart(found) if mermaid else _drawing(found)))


@app.command()
def check(file: File, as_json: AsJson = False) -> None:
    """Read a lifecycle and find stages that nothing reaches or leaves; nothing is kept.

    [dim]palio lifecycles check lifecycle.yaml[/dim]
    """
    found = Lifecycle.declared(read_document(file, "lifecycle"))
    done(found, "\n".join([*_drawing(found), "", "it holds"]), as_json=as_json)


@app.command()
def declare(ctx: typer.Context, file: File, as_json: AsJson = False) -> None:
    """Keep a lifecycle of your own, for models to be created in.

    Under a name that exists it becomes the next revision; models stay with theirs until
    [bold]palio models adopt[/bold] takes them to it.

    [bold]palio lifecycles show strict --json[/bold] prints one to start from.

    [dim]palio lifecycles declare lifecycle.yaml[/dim]
    """
    found = verbs(ctx).lifecycles.declare(Lifecycle.declared(read_document(file, "lifecycle")))
    line = f"lifecycle {found.name} is declared"
    if found.revision > 1:
        line += f", revision {found.revision}; `palio models adopt MODEL` takes a model to it"
    done(found, line, as_json=as_json)


def _drawing(lifecycle: Lifecycle) -> Iterator[str]:
    """Yield the stages from top to bottom; an arrow down leads to the next one."""
    stages = lifecycle.stages
    wide = max(map(len, stages))
    later = lifecycle.revision > 1
    yield f"{lifecycle.name}, revision {lifecycle.revision}" if later else lifecycle.name
    yield ""
    for stage, following in zip(stages, (*stages[1:], None), strict=True):
        targets = lifecycle.transitions[stage]
        down = following in targets
        bar = "│" if down else " "
        yield f"{_mark(lifecycle, stage)} {stage:{wide}}  {_role(lifecycle, stage)}".rstrip()
        for requirement in lifecycle.required_by(stage):
            yield f"{bar}   requires {wanted_by(requirement)}"
        if others := ", ".join(target for target in targets if target != following):
            yield f"{bar}   → {others}"
        if following is not None:
            yield "▼" if down else ""
    for alias, role in lifecycle.aliases.items():
        yield f"\n@{alias} is set by {role}"


def _mark(lifecycle: Lifecycle, stage: str) -> str:
    if stage == lifecycle.production:
        return "★"
    return "○" if lifecycle.transitions[stage] else "■"


def _role(lifecycle: Lifecycle, stage: str) -> str:
    roles = {
        f"production, @{CHAMPION}": stage == lifecycle.production,
        "initial: registered versions": stage == lifecycle.initial,
        "retired: former champions": stage == lifecycle.retired,
        "end": not lifecycle.transitions[stage],
    }
    return ", ".join(role for role, has_it in roles.items() if has_it)


def _flowchart(lifecycle: Lifecycle) -> Iterator[str]:
    number = {stage: f"s{place}" for place, stage in enumerate(lifecycle.stages)}
    yield "flowchart TD"
    for stage, node in number.items():
        lines = [stage, *([role] if (role := _role(lifecycle, stage)) else [])]
        lines += [f"requires {wanted_by(one)}" for one in lifecycle.required_by(stage)]
        text = "<br/>".join(_escaped(line) for line in lines)
        yield f'    {node}["{text}"]'
    for stage, targets in lifecycle.transitions.items():
        for target in targets:
            yield f"    {number[stage]} --> {number[target]}"


def _escaped(text: str) -> str:
    for sign, code in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;")):
        text = text.replace(sign, code)
    return text
