"""``palio deployments``: versions placed behind endpoints, watched, and taken back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import msgspec
import typer

from palio.cli.output import AsJson, describe, done, listing, moment, number, print_json
from palio.cli.session import verbs
from palio.delivery.deployments.domain import Deployment, Health
from palio.delivery.deployments.reports import DeploymentMetrics, DeploymentStatus
from palio.delivery.deployments.wanted import (
    PRODUCTION,
    Canary,
    DeploymentDraft,
    Guardrail,
    HealthCheck,
    Resources,
    Scaling,
)
from palio.errors import InvalidInput

__all__ = ["app"]

app = typer.Typer()

Name = Annotated[str, typer.Argument(help="Name of the deployment.")]
Reason = Annotated[str, typer.Option(help="Why, for the audit log.")]
_CANARY, _CHECK = Canary(), HealthCheck()


@app.command()
def deploy(
    ctx: typer.Context,
    name: Name,
    reference: Annotated[str, typer.Argument(help="The version, as in credit-risk:v2.")],
    endpoint: Annotated[str, typer.Option(help="Where; the environment's if not given.")] = "",
    environment: Annotated[
        str, typer.Option(help="In production the endpoint has the model's name.")
    ] = PRODUCTION,
    share: Annotated[float, typer.Option(help="Share of the traffic, in (0, 1].")] = 1.0,
    canary: Annotated[
        float | None, typer.Option(help="Share to begin with; without it there is no canary.")
    ] = None,
    success_threshold: Annotated[
        float, typer.Option(help="Share of a canary's requests that must succeed.")
    ] = _CANARY.success_threshold,
    duration_s: Annotated[
        float, typer.Option(help="Seconds that a canary lasts.")
    ] = _CANARY.duration_s,
    min_sample: Annotated[
        int, typer.Option(help="Requests without which a canary is not let on.")
    ] = _CANARY.min_sample,
    guardrail: Annotated[
        list[str] | None,
        typer.Option(
            help="What must not be shown, as in 'error_rate <= 0.02', 'latency_p95_ms <= 200' or "
            "'error_rate <= baseline * 1.2 : warn'; 'error_rate <= 0.05' if none is given."
        ),
    ] = None,
    rollback_on_error: Annotated[
        bool, typer.Option(help="Take it back by itself, or only tell.")
    ] = True,
    interval_s: Annotated[
        float,
        typer.Option(help="Seconds between two health checks, no fewer than between two looks."),
    ] = _CHECK.interval_s,
    timeout_s: Annotated[
        float | None,
        typer.Option(help="Seconds after which a check has failed; 5, or the interval if less."),
    ] = None,
    failure_threshold: Annotated[
        int, typer.Option(help="Failed checks in a row that make it unhealthy.")
    ] = _CHECK.failure_threshold,
    row: Annotated[
        str | None,
        typer.Option(help="What checks ask about, as JSON; a made-up row if not given."),
    ] = None,
    cpu: Annotated[float | None, typer.Option(help="Cores.")] = None,
    memory_bytes: Annotated[
        int | None, typer.Option(help="Most that a process which serves it may take.")
    ] = None,
    gpu: Annotated[int, typer.Option(help="Graphics processors.")] = 0,
    min_replicas: Annotated[int, typer.Option(help="Processes at least.")] = 1,
    max_replicas: Annotated[int | None, typer.Option(help="Processes at most.")] = None,
    target_cpu: Annotated[
        float | None, typer.Option(help="Share of a core at which another is wanted.")
    ] = None,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Place a version behind an endpoint; it gets traffic when it is ready.

    [dim]palio deployments deploy credit-v2 credit-risk:v2 --canary 0.1 --duration-s 600[/dim]
    """
    found = verbs(ctx)
    version = found.versions.get(reference)
    draft = DeploymentDraft(
        name=name,
        model=version.model,
        version=version.version,
        endpoint=endpoint,
        environment=environment,
        resources=Resources(cpu=cpu, memory_bytes=memory_bytes, gpu=gpu),
        scaling=Scaling(
            min_replicas=min_replicas,
            max_replicas=max(1, min_replicas) if max_replicas is None else max_replicas,
            target_cpu=target_cpu,
        ),
        health_check=HealthCheck(
            interval_s=interval_s,
            timeout_s=timeout_s,
            failure_threshold=failure_threshold,
            row=None if row is None else _row(row),
        ),
        traffic_share=share,
        rollback_on_error=rollback_on_error,
        canary=None
        if canary is None
        else Canary(
            start_share=canary,
            success_threshold=success_threshold,
            duration_s=duration_s,
            min_sample=min_sample,
        ),
        reason=reason,
        **({"guardrails": tuple(map(Guardrail.parse, guardrail))} if guardrail else {}),
    )
    made = found.deployments.deploy(draft)
    done(made, _made(made), as_json=as_json)


def _row(text: str) -> dict[str, Any] | list[Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any] | list[Any])
    except msgspec.MsgspecError:
        raise InvalidInput(
            f"{text!r} is no row; write a JSON object by feature name, or an array",
            field="row",
            value=text,
        ) from None


def _made(made: Deployment) -> str:
    line = f"{made.name} is {made.state} on {made.endpoint} with {made.reference}"
    waits = f": {made.health.reason}" if made.health and made.health.reason else ""
    more = [f"not honoured: {said}" for said in made.not_honoured]
    return "\n".join([line + waits, *more])


@app.command("list")
def list_deployments(
    ctx: typer.Context,
    endpoint: Annotated[str | None, typer.Option(help="On one endpoint only.")] = None,
    environment: Annotated[str | None, typer.Option(help="In one environment only.")] = None,
    ended: Annotated[bool, typer.Option("--ended", help="Also those that have ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """List deployments that have not ended.

    [dim]palio deployments list --environment production[/dim]
    """
    found = verbs(ctx).deployments.list(endpoint, environment, ended=ended)
    rows = [
        (
            one.name,
            one.reference,
            one.endpoint,
            one.environment,
            one.state,
            f"{one.share:.2%}",
            one.verdict,
            moment(one.since),
        )
        for one in found
    ]
    columns = (
        *("deployment", "version", "endpoint", "environment", "state", "asks for", "verdict"),
        "since",
    )
    listing(
        found,
        columns,
        rows,
        as_json=as_json,
        empty="no deployments; `palio deployments deploy NAME MODEL:VERSION` makes one",
    )


@app.command()
def status(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Show how a deployment stands, and what keeps traffic from it.

    [dim]palio deployments status credit-v2[/dim]
    """
    found = verbs(ctx).deployments.status(name)
    describe(found, _standing(found), as_json=as_json)


def _standing(found: DeploymentStatus) -> Iterable[tuple[str, object]]:
    one = found.deployment
    yield "deployment", one.name
    yield "version", one.reference
    yield "endpoint", f"{one.endpoint} ({one.environment})"
    yield "state", f"{one.state} since {moment(one.since)}"
    yield "share", f"{found.share:.2%} of {one.traffic_share:.2%}"
    yield "verdict", one.verdict
    yield "reason", one.reason
    if one.canary is not None:
        yield "canary", _canary(one.canary)
    for rail in one.guardrails:
        yield "guardrail", f"{rail.words}: {rail.action}"
    yield "on error", "rolled back" if one.rollback_on_error else "told"
    if one.health is not None:
        yield "health", _health(one.health)
    yield from (("note", note) for note in found.notes)
    yield from (("not honoured", said) for said in found.not_honoured)


def _canary(canary: Canary) -> str:
    return (
        f"{canary.start_share:.2%} for {canary.duration_s:g} s; then {canary.success_threshold:g} "
        f"of at least {canary.min_sample} requests must have succeeded"
    )


def _health(health: Health) -> str:
    if health.failures:
        return health.words
    return health.reason or f"it has answered at {moment(health.at)}"


@app.command()
def health(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Ask a deployment's version now; ends with 1 where it does not answer.

    [dim]palio deployments health credit-v2[/dim]
    """
    found = verbs(ctx).deployments.health(name)
    describe(
        found,
        [
            ("healthy", "yes" if found.healthy and not found.failures else "no"),
            ("failures", found.failures),
            ("reason", found.reason),
            ("answer in ms", number(found.latency_ms)),
            ("memory in bytes", found.rss_bytes),
        ],
        as_json=as_json,
    )
    if found.failures:
        raise typer.Exit(1)


@app.command()
def metrics(
    ctx: typer.Context,
    name: Name,
    window_s: Annotated[float, typer.Option(help="Seconds to look back, 1 to 900.")] = 60.0,
    as_json: AsJson = False,
) -> None:
    """Show how a deployment has done of late, beside the endpoint's other versions.

    [dim]palio deployments metrics credit-v2 --window-s 300[/dim]
    """
    found = verbs(ctx).deployments.metrics(name, window_s)
    if as_json:
        print_json(found)
        return
    columns = (
        "",
        "requests",
        "per second",
        "error rate",
        "mean ms",
        "p95 ms",
        "p99 ms",
    )
    rows = _figures(found)
    listing(rows, columns, rows, as_json=False)
    serving = "1 process serves" if found.processes == 1 else f"{found.processes} processes serve"
    typer.echo(
        f"{serving} it, with {found.rss_bytes:,} bytes and "
        f"{found.cpu_share:.2f} of a core together"
    )


def _figures(found: DeploymentMetrics) -> Sequence[Sequence[object]]:
    named = ((found.deployment, found.traffic), ("others", found.others))
    return [
        (
            name,
            one.requests,
            number(one.requests_per_s),
            *map(number, (one.error_rate, one.mean_ms, one.p95_ms, one.p99_ms)),
        )
        for name, one in named
    ]


@app.command()
def rollback(ctx: typer.Context, name: Name, reason: Reason = "", as_json: AsJson = False) -> None:
    """Take a deployment back that fails; its traffic goes where it was, at once.

    [dim]palio deployments rollback credit-v2 --reason "v2 misprices"[/dim]
    """
    made = verbs(ctx).deployments.rollback(name, reason)
    done(made, f"{made.name} is rolled back; its traffic is where it was", as_json=as_json)


@app.command()
def undeploy(ctx: typer.Context, name: Name, reason: Reason = "", as_json: AsJson = False) -> None:
    """Take a deployment back that is not wanted any more; its traffic goes where it was.

    [dim]palio deployments undeploy credit-v2[/dim]
    """
    made = verbs(ctx).deployments.undeploy(name, reason)
    done(made, f"{made.name} is undeployed; its traffic is where it was", as_json=as_json)
