"""``palio experiments record``: what an experiment has shown, to read and to keep."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from palio.access.audit import AuditEntry
from palio.cli.cards import show_markdown, write_files
from palio.cli.experiments import Key
from palio.cli.output import AsJson, done, print_json
from palio.cli.session import verbs, wiring
from palio.edge.session import Told
from palio.edge.verbs import Verbs

__all__ = ["app"]

app = typer.Typer()
_PAGE = 1_000
_CHARTS = re.compile(r"(?m)^!\[[^\n]*\n\n")


@app.command()
def record(
    ctx: typer.Context,
    key: Key,
    html: Annotated[Path | None, typer.Option(help="HTML file to write, charts inside.")] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Markdown file to write, charts in plots/ beside it.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--file", help="JSON file to write.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the record of an experiment: the decision, the evidence, the design, who did what.

    Of one that has ended it is what it ended with. Files that exist are not replaced.

    [dim]palio experiments record credit-ab --html record.html[/dim]
    """
    told, tools = _told(verbs(ctx), key), wiring(ctx).wiring
    files: dict[Path, bytes] = {}
    if html is not None:
        files[html] = tools.record_page(told).encode()
    if markdown is not None:
        files[markdown] = tools.record_markdown(told).encode()
        charts = tools.record_charts(told)
        files |= {markdown.parent / path: image for path, image in charts.items()}
    if json_file is not None:
        files[json_file] = msgspec.json.format(msgspec.json.encode(told), indent=2)
    if files:
        write_files(files)
        names = [str(path) for path in files]
        done(names, f"wrote {', '.join(names)}", as_json=as_json)
    elif as_json:
        print_json(told)
    else:
        show_markdown(_CHARTS.sub("", tools.record_markdown(told)))  # which lie in no file here


def _told(verbs: Verbs, key: str) -> Told:
    report = verbs.experiments.analyze(key)
    experiment = verbs.experiments.get(key)
    return Told(
        experiment=experiment,
        report=report,
        looks=verbs.experiments.looks(key),
        audit=[entry for entry in _entries(verbs, experiment.model) if entry.subject == key],
        versions=[
            verbs.versions.get(f"{experiment.model}:{variant.version}", deleted=True)
            for variant in experiment.design.variants
        ],
    )


def _entries(verbs: Verbs, model: str) -> Iterator[AuditEntry]:
    after = 0
    while page := verbs.audit.list(after, _PAGE, model=model, action="experiment"):
        yield from page
        after = page[-1].seq
