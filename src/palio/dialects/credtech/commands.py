"""``palio credtech …``: what ``python scripts/model_manager_cli.py …`` did."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import typer

from palio.dialects.credtech.designs import Asked
from palio.dialects.credtech.line import Line
from palio.dialects.credtech.log import LOG, log_to
from palio.dialects.credtech.printing import show, show_experiment, show_one
from palio.dialects.credtech.records import training_record
from palio.dialects.credtech.settings import CredtechSettings
from palio.dialects.credtech.training import Training, trained
from palio.dialects.credtech.tree import Tree
from palio.edge.configuring import configured
from palio.edge.dialects import opened
from palio.edge.session import Session
from palio.errors import PalioError, StoreUnavailable

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True, help="Model versions and A/B tests as CredTech XScore has them."
)

ModelId = Annotated[str, typer.Argument(help="ID of the model.")]
ExperimentId = Annotated[str, typer.Argument(help="ID of the experiment.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@dataclass(frozen=True, slots=True)
class _Open:
    session: Session
    line: Line


@contextmanager
def _opened(ctx: typer.Context) -> Iterator[_Open]:
    """Open the store; afterwards bring the registry's files up to date, or log what failed."""
    chosen = configured(CredtechSettings)
    log_to(chosen.log_file)
    session = opened(ctx)
    line = Line(verbs=session.verbs, settings=chosen)
    try:
        yield _Open(session, line)
        _export(Tree(line, chosen.folder))
    except PalioError as error:
        LOG.error("%s: %s", ctx.info_name, error.message)
        raise


def _export(tree: Tree) -> None:
    try:
        tree.step()
    except (OSError, StoreUnavailable) as failed:
        LOG.warning("the registry's files were not written: %s", failed)
        typer.echo(f"note: the registry's files were not written: {failed}", err=True)
    if tree.is_foreign:
        typer.echo(
            f"note: {tree.folder} was made by another program or from another store, and stays as "
            "it is; move it away, or name another folder in PALIO_CREDTECH_REGISTRY",
            err=True,
        )


@app.command()
def train(
    ctx: typer.Context,
    *,
    version: Annotated[
        str | None, typer.Option(help="Version identifier; made from the time when not given.")
    ] = None,
    register: Annotated[
        bool, typer.Option("--register", help="Register the model in the registry.")
    ] = False,
    promote: Annotated[
        bool, typer.Option("--promote", help="Register it and promote it to production.")
    ] = False,
    description: Annotated[str, typer.Option(help="Description of the model.")] = "",
    as_json: AsJson = False,
) -> None:
    """Train a new version on the data of PALIO_CREDTECH_DATA.

    [dim]palio credtech train --version v1.2.0 --register --promote[/dim]
    """
    asked = Training(version=version, description=description, keep=register or promote)
    with _opened(ctx) as here:
        record = trained(here.session, here.line, asked)
        if promote:
            record |= here.line.record(here.line.promote(record["model_id"]))
        LOG.info("trained %s, status %s", record["model_id"], record["status"])
        show_one(record, as_json=as_json)


@app.command()
def list_models(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """List all models.

    [dim]palio credtech list-models --json[/dim]
    """
    with _opened(ctx) as here:
        shown = ("model_id", "version", "status", "is_production", "created_at", "description")
        found = here.line.records(here.line.versions())
        show(found, shown, as_json=as_json, empty="no models yet: palio credtech train --register")


@app.command()
def get_model(ctx: typer.Context, model_id: ModelId, *, as_json: AsJson = False) -> None:
    """Tell all that is known of a model.

    [dim]palio credtech get-model v1.2.0[/dim]
    """
    with _opened(ctx) as here:
        version = here.line.version(model_id)
        record = here.line.record(version) | {"training": training_record(version.training)}
        show_one(record, as_json=as_json)


@app.command()
def promote(ctx: typer.Context, model_id: ModelId, *, as_json: AsJson = False) -> None:
    """Promote a model to production.

    [dim]palio credtech promote v1.2.0[/dim]
    """
    with _opened(ctx) as here:
        record = here.line.record(here.line.promote(model_id))
        LOG.info("promoted %s to production", model_id)
        show_one(record, as_json=as_json, line=f"{model_id} is the production model")


@app.command()
def create_experiment(
    ctx: typer.Context,
    *,
    name: Annotated[str, typer.Argument(help="Name of the experiment.")],
    model_ids: Annotated[
        str, typer.Option(help="Model IDs with commas between; the first is the baseline.")
    ],
    description: Annotated[str, typer.Option(help="Description of the experiment.")] = "",
    traffic_split: Annotated[
        str | None,
        typer.Option(help="A percentage for each model; must sum to 100. Equal when not given."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create an A/B test; it begins at once.

    [dim]palio credtech create-experiment "New Features Test" --model-ids v1,v2
    --traffic-split 80,20[/dim]
    """
    with _opened(ctx) as here:
        made = here.line.create(Asked(name, description, model_ids, traffic_split))
        LOG.info("created the experiment %s", made.key)
        line = f"the experiment {made.key} is {made.state}"
        show_one(here.line.told(made), as_json=as_json, line=line)


@app.command()
def list_experiments(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """List all experiments.

    [dim]palio credtech list-experiments[/dim]
    """
    with _opened(ctx) as here:
        shown = ("experiment_id", "name", "status", "models", "started_at", "ended_at")
        found = [here.line.told(one) for one in here.line.experiments()]
        show(found, shown, as_json=as_json, empty="no experiments yet")


@app.command()
def get_experiment(
    ctx: typer.Context, experiment_id: ExperimentId, *, as_json: AsJson = False
) -> None:
    """Tell how an experiment is set up and what it has shown so far.

    [dim]palio credtech get-experiment new-features-test-1f3a5c7e[/dim]
    """
    with _opened(ctx) as here:
        found = here.line.experiment(experiment_id)
        shown = {"results": here.line.results(found)}
        show_experiment(here.line.told(found) | shown, as_json=as_json)


@app.command()
def stop_experiment(
    ctx: typer.Context, experiment_id: ExperimentId, *, as_json: AsJson = False
) -> None:
    """Stop an experiment; its requests go to the production model again.

    [dim]palio credtech stop-experiment new-features-test-1f3a5c7e[/dim]
    """
    with _opened(ctx) as here:
        ended = here.line.stop(experiment_id)
        LOG.info("stopped the experiment %s", ended.key)
        line = f"the experiment {ended.key} is {ended.state}"
        show_one(here.line.told(ended), as_json=as_json, line=line)
