"""The commands on deployments: ``palio nightscan deploy``, ``list``, ``status`` and others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from palio.dialects.nightscan.deployments import DeploymentManager, manager_of
from palio.dialects.nightscan.placing import DeploymentConfig, asked_for
from palio.dialects.nightscan.printing import AsJson, shown
from palio.edge.dialects import opened

__all__ = ["app"]

Deployment = Annotated[str, typer.Argument(help="Id of the deployment.")]

app = typer.Typer(no_args_is_help=True)


@app.command("deploy")
def deploy(
    ctx: typer.Context,
    model_id: Annotated[str, typer.Argument(help="The model.")],
    version: Annotated[str, typer.Argument(help="Its version.")],
    deployment_id: Annotated[str, typer.Option(help="What the deployment is called.")],
    environment: Annotated[str, typer.Option(help="Where it belongs.")] = "production",
    traffic: Annotated[float, typer.Option(help="Percentage of the traffic.")] = 100.0,
    canary: Annotated[bool, typer.Option(help="Begin with that, and go on to all.")] = False,
) -> None:
    """Deploy a model version.

    [dim]palio nightscan deploy wildlife_detector v2 --deployment-id detector_v2[/dim]
    """
    manager = _deployments(ctx)
    config = DeploymentConfig(
        model_id,
        version,
        deployment_id,
        environment=environment,
        traffic_percentage=traffic,
        canary_deployment=canary,
    )
    made = manager.verbs.deployments.deploy(asked_for(config))
    manager.follow()
    typer.echo(f"{made.name}: {made.reference} is {made.state} in {made.environment}")


@app.command("list")
def list_deployments(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List deployments, with what their models take of the machine.

    [dim]palio nightscan list[/dim]
    """
    manager = _deployments(ctx)
    found = manager.list_deployments()
    found = [one | {"performance": _performance(manager, one)} for one in found]
    shown(
        found,
        ("DEPLOYMENT", "MODEL", "ENVIRONMENT", "STATUS", "TRAFFIC", "REQ/S", "ERRORS", "MEMORY"),
        (_row(one) for one in found),
        as_json=as_json,
        empty="no deployments; palio nightscan deploy MODEL VERSION makes one",
    )


@app.command("status")
def deployment_status(
    ctx: typer.Context, deployment_id: Deployment, as_json: AsJson = False
) -> None:
    """Tell how a deployment stands.

    [dim]palio nightscan status detector_v2[/dim]
    """
    found = _deployments(ctx).get_deployment_status(deployment_id)
    rows = ((name, json.dumps(value)) for name, value in found.items())
    shown(found if as_json else list(found), ("FIELD", "VALUE"), rows, as_json=as_json)


@app.command("health")
def health(ctx: typer.Context, deployment_id: Deployment) -> None:
    """Ask a deployment's model whether it answers; exit code 1 if not.

    [dim]palio nightscan health detector_v2[/dim]
    """
    found = _deployments(ctx).health_check(deployment_id)
    took = "" if found.latency_ms is None else f", answered in {found.latency_ms:.1f} ms"
    reason = f": {found.reason}" if found.reason else ""
    word = "unhealthy" if found.failures else "healthy"
    typer.echo(f"{deployment_id} is {word}{took}{reason}")
    raise typer.Exit(1 if found.failures else 0)


@app.command("undeploy")
def undeploy(
    ctx: typer.Context,
    deployment_id: Deployment,
    reason: Annotated[str, typer.Option(help="Why, for the audit log.")] = "",
) -> None:
    """Take a deployment back.

    [dim]palio nightscan undeploy detector_v2 --reason "v3 is better"[/dim]
    """
    manager = _deployments(ctx)
    manager.verbs.deployments.undeploy(deployment_id, reason)
    manager.follow()
    typer.echo(f"{deployment_id} is undeployed")


def _performance(manager: DeploymentManager, one: dict[str, Any]) -> dict[str, Any]:
    seen = manager.performance_tracker.get_current_metrics(one["deployment_id"])
    return {} if seen is None else asdict(seen)


def _row(one: dict[str, Any]) -> Sequence[object]:
    seen = one["performance"]
    return (
        one["deployment_id"],
        one["model_version"],
        one["environment"],
        one["status"],
        f"{one['current_traffic_percentage']:g}%",
        f"{seen.get('requests_per_second', 0):.2f}",
        f"{seen.get('error_rate', 0):.2f}%",
        f"{seen.get('memory_usage_mb', 0):.0f} MB",
    )


def _deployments(ctx: typer.Context) -> DeploymentManager:
    return manager_of(opened(ctx))
