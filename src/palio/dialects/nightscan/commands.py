"""The commands of ``palio nightscan``: those on models and experiments, and all together."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from palio.dialects.nightscan import deploying
from palio.dialects.nightscan.experiments import ABTestManager
from palio.dialects.nightscan.models import ModelRegistry
from palio.dialects.nightscan.printing import AsJson, shown
from palio.dialects.nightscan.words import ModelStatus, NightscanSettings
from palio.edge.configuring import configured
from palio.edge.dialects import opened
from palio.errors import InvalidInput

__all__ = ["app"]

Experiment = Annotated[str, typer.Argument(help="Id of the experiment.")]

app = typer.Typer(no_args_is_help=True, help="Registry, experiments and deployments of models.")
registry = typer.Typer(no_args_is_help=True, help="Model versions.")
experiment = typer.Typer(no_args_is_help=True, help="A/B tests.")
app.add_typer(registry, name="registry")
app.add_typer(experiment, name="experiment")
app.add_typer(deploying.app)


@registry.command("list")
def list_models(
    ctx: typer.Context,
    model_id: Annotated[str | None, typer.Option(help="Only of this model.")] = None,
    status: Annotated[ModelStatus | None, typer.Option(help="Only in this status.")] = None,
    as_json: AsJson = False,
) -> None:
    """List model versions.

    [dim]palio nightscan registry list --model-id wildlife_detector --status deployed[/dim]
    """
    models = _registry(ctx)
    found = models.list_models(model_id, status)
    models.follow()
    shown(
        [one.to_dict() for one in found],
        ("MODEL", "STATUS", "FRAMEWORK", "ARCHITECTURE", "BYTES", "METRICS"),
        (
            (
                one.reference,
                one.status,
                one.framework,
                one.architecture,
                one.file_size_bytes,
                ", ".join(f"{name} {value:.4g}" for name, value in one.metrics.items()),
            )
            for one in found
        ),
        as_json=as_json,
        empty="no versions; get_model_registry().register_model(model, metadata) makes one",
    )


@registry.command("compare")
def compare_models(
    ctx: typer.Context,
    first: Annotated[str, typer.Argument(help="model_id:version")],
    second: Annotated[str, typer.Argument(help="model_id:version, compared with the first.")],
    as_json: AsJson = False,
) -> None:
    """Compare the metrics of two model versions.

    [dim]palio nightscan registry compare wildlife_detector:v1 wildlife_detector:v2[/dim]
    """
    found = _registry(ctx).compare_models(_reference(first), _reference(second))
    differences = found["metric_differences"]
    shown(
        found if as_json else list(differences),
        ("METRIC", first, second, "IMPROVEMENT"),
        (
            (name, _figure(one["model1"]), _figure(one["model2"]), _percent(one))
            for name, one in differences.items()
        ),
        as_json=as_json,
    )


@experiment.command("list")
def list_experiments(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List experiments.

    [dim]palio nightscan experiment list[/dim]
    """
    found = _experiments(ctx).list_experiments()
    shown(
        found,
        ("EXPERIMENT", "STATUS", "TRAFFIC", "NAME"),
        ((one["experiment_id"], one["status"], _traffic(one), one["name"]) for one in found),
        as_json=as_json,
        empty="no experiments; get_ab_test_manager().create_experiment(config) makes one",
    )


@experiment.command("status")
def experiment_status(
    ctx: typer.Context, experiment_id: Experiment, as_json: AsJson = False
) -> None:
    """Tell how an experiment stands.

    [dim]palio nightscan experiment status accuracy_test[/dim]
    """
    found = _analysis(ctx, experiment_id)
    known = {**found["experiment_metadata"], "duration_hours": found["duration_hours"]}
    samples = {key: one["sample_size"] for key, one in found["variant_statistics"].items()}
    known |= {"samples": samples, "total_samples": found["total_samples"]}
    shown(
        known if as_json else list(known),
        ("FIELD", "VALUE"),
        ((name, json.dumps(value)) for name, value in known.items()),
        as_json=as_json,
    )


@experiment.command("start")
def start(ctx: typer.Context, experiment_id: Experiment) -> None:
    """Start an experiment.

    [dim]palio nightscan experiment start accuracy_test[/dim]
    """
    _experiments(ctx).start_experiment(experiment_id)
    typer.echo(f"{experiment_id} is running")


@experiment.command("stop")
def stop(
    ctx: typer.Context,
    experiment_id: Experiment,
    reason: Annotated[str, typer.Option(help="Why, for the audit log.")] = "stopped by hand",
) -> None:
    """Stop an experiment.

    [dim]palio nightscan experiment stop accuracy_test --reason "Sufficient data"[/dim]
    """
    _experiments(ctx).verbs.experiments.stop(experiment_id, reason)
    typer.echo(f"{experiment_id} is stopped: {reason}")


@experiment.command("analyze")
def analyze(ctx: typer.Context, experiment_id: Experiment, as_json: AsJson = False) -> None:
    """Analyze the results of an experiment.

    [dim]palio nightscan experiment analyze accuracy_test[/dim]
    """
    found = _analysis(ctx, experiment_id)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    known = found["experiment_metadata"]
    typer.echo(f"{experiment_id} is {known['status']} since {found['duration_hours']:.1f} hours")
    typer.echo(f"traffic: {_traffic(known)}; {found['total_samples']} requests")
    for pair, comparison in found["comparisons"].items():
        for metric, row in comparison["metric_comparisons"].items():
            said = f"{row['winner']}, {row['improvement_percent']:+.2f}%"
            typer.echo(f"{pair} {metric}: {said}, p = {row['p_value']:.3g}")
    typer.echo(f"{found['recommendation']}: {'; '.join(found['reasons'])}")


def _registry(ctx: typer.Context) -> ModelRegistry:
    return ModelRegistry(opened(ctx), configured(NightscanSettings))


def _experiments(ctx: typer.Context) -> ABTestManager:
    return ABTestManager(opened(ctx).verbs, configured(NightscanSettings))


def _analysis(ctx: typer.Context, experiment_id: str) -> dict[str, Any]:
    manager = _experiments(ctx)
    manager.verbs.experiments.get(experiment_id)  # one that is unknown is an error here
    return manager.analyze_experiment(experiment_id) or {}


def _reference(text: str) -> tuple[str, str]:
    model, mark, version = text.partition(":")
    if not mark:
        raise InvalidInput(f"{text!r} is no model_id:version", field="model", value=text)
    return model, version


def _traffic(known: dict[str, Any]) -> str:
    return ", ".join(f"{key} {share:g}%" for key, share in known["traffic_allocation"].items())


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _percent(one: dict[str, Any]) -> str:
    share = one["percentage_improvement"]
    return "" if share is None else f"{share:+.2f}%"
