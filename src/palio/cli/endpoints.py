"""``palio endpoints``: the addresses that clients call."""

from __future__ import annotations

from typing import Annotated

import typer

from palio.cli.output import AsJson, describe, done, listing, moment, print_json
from palio.cli.session import verbs
from palio.delivery.traffic import TrafficMetrics

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Stable addresses that clients call.")

Name = Annotated[str, typer.Argument(help="Name of the endpoint.")]
Reason = Annotated[str, typer.Option(help="Why, for the audit log.")]


@app.command()
def create(
    ctx: typer.Context,
    name: Name,
    model: Annotated[str, typer.Option(help="The model whose versions answer.")],
    description: Annotated[str, typer.Option(help="Who calls it.")] = "",
    as_json: AsJson = False,
) -> None:
    """Open an address.

    [dim]palio endpoints create credit --model credit-risk[/dim]
    """
    made = verbs(ctx).endpoints.create(name, model, description)
    done(made, f"POST /v1/predict/{made.name} serves {made.model}@champion", as_json=as_json)


@app.command("list")
def list_endpoints(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List all addresses.

    [dim]palio endpoints list[/dim]
    """
    found = verbs(ctx).endpoints.list()
    rows = [(e.name, e.model, e.override, moment(e.created_at), e.description) for e in found]
    listing(
        found,
        ("endpoint", "model", "override", "created", "description"),
        rows,
        as_json=as_json,
        empty="no endpoints yet; `palio endpoints create NAME --model MODEL` makes one",
    )


@app.command()
def show(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Show an address and what answers there.

    [dim]palio endpoints show credit[/dim]
    """
    found = verbs(ctx)
    endpoint = found.endpoints.get(name)
    running = [e.key for e in found.experiments.list(name) if e.state == "running"]
    describe(
        endpoint,
        [
            ("endpoint", endpoint.name),
            ("model", endpoint.model),
            ("champion", found.models.aliases(endpoint.model).get("champion", "none")),
            ("experiment", ", ".join(running) or "none"),
            ("override", endpoint.override or "none"),
            ("description", endpoint.description),
        ],
        as_json=as_json,
    )


@app.command()
def metrics(
    ctx: typer.Context,
    name: Name,
    window_s: Annotated[float, typer.Option(help="Seconds to look back, 1 to 900.")] = 60.0,
    as_json: AsJson = False,
) -> None:
    """Show how an address has done of late, by version, over all processes.

    [dim]palio endpoints metrics credit --window-s 300[/dim]
    """
    found = verbs(ctx).endpoints.metrics(name, window_s)
    if as_json:
        print_json(found)
        return
    rows = [
        (version, one.requests, f"{one.requests_per_s:.3g}", *map(_shown, _figures(one)))
        for version, one in found.versions.items()
    ]
    listing(
        rows,
        ("version", "requests", "per second", "error rate", "mean ms", "p95 ms", "p99 ms"),
        rows,
        as_json=False,
        empty=f"{name} has answered nothing in the last {window_s:g} s",
    )


@app.command()
def override(
    ctx: typer.Context,
    name: Name,
    version: Annotated[str, typer.Argument(help="The version that should answer everything.")],
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Send everything to one version at once, and pause the experiment that runs here.

    [dim]palio endpoints override credit v1 --reason "v2 misprices"[/dim]
    """
    made = verbs(ctx).endpoints.override(name, version, reason)
    line = f"{made.name} answers with {made.model}:{version} only; `clear` takes it back"
    done(made, line, as_json=as_json)


@app.command()
def clear(ctx: typer.Context, name: Name, reason: Reason = "", as_json: AsJson = False) -> None:
    """Take an override back.

    [dim]palio endpoints clear credit[/dim]
    """
    made = verbs(ctx).endpoints.clear(name, reason)
    done(made, f"{made.name} serves as before; resume its experiment if you like", as_json=as_json)


def _figures(one: TrafficMetrics) -> tuple[float | None, ...]:
    return one.error_rate, one.mean_ms, one.p95_ms, one.p99_ms


def _shown(figure: float | None) -> str:
    return "" if figure is None else f"{figure:.3g}"
