"""``palio endpoints``: the addresses that clients call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from palio.cli.output import AsJson, describe, done, listing, moment, number, print_json
from palio.cli.session import verbs
from palio.delivery.domain import OnError
from palio.delivery.loaded import VersionInMemory
from palio.delivery.traffic import TrafficMetrics
from palio.errors import InvalidInput

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Stable addresses that clients call.")

Name = Annotated[str, typer.Argument(help="Name of the endpoint.")]
Held = Annotated[str, typer.Argument(help="The version.")]
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
    shares = found.endpoints.shares(name)
    describe(
        endpoint,
        [
            ("endpoint", endpoint.name),
            ("model", endpoint.model),
            ("champion", found.models.aliases(endpoint.model).get("champion", "none")),
            ("experiment", ", ".join(running) or "none"),
            ("override", endpoint.override or "none"),
            ("weights", _weights(endpoint.weights)),
            ("shares", ", ".join(f"{one} {share:.2%}" for one, share in shares.items()) or "none"),
            ("held", ", ".join(endpoint.held) or "none"),
            ("on error", endpoint.on_error),
            ("times out", "never" if endpoint.timeout_s is None else f"{endpoint.timeout_s:g} s"),
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
        (version, one.requests, number(one.requests_per_s), *map(number, _figures(one)))
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
def weigh(
    ctx: typer.Context,
    name: Name,
    shares: Annotated[
        list[str] | None, typer.Argument(help="VERSION=SHARE, all of them; none to take back.")
    ] = None,
    promote: Annotated[
        bool,
        typer.Option("--promote", help="Who gets most becomes champion if that one gets none."),
    ] = False,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Share traffic out among versions by hand; without shares the champion gets all again.

    [dim]palio endpoints weigh credit v1=0.9 v2=0.1[/dim]
    """
    weights = dict(_share(one) for one in shares or ())
    made = verbs(ctx).endpoints.weigh(name, weights or None, reason, promote=promote)
    done(made, f"{made.name}: {_weights(made.weights)}", as_json=as_json)


def _weights(weights: Mapping[str, float] | None) -> str:
    told = ", ".join(f"{version} {share:.2%}" for version, share in (weights or {}).items())
    return told or "everything to the champion"


def _share(text: str) -> tuple[str, float]:
    version, _, share = text.rpartition("=")
    try:
        return version, float(share)
    except ValueError:
        raise InvalidInput(
            f"{text!r} is no share; write VERSION=SHARE, as in v1=0.9", field="shares", value=text
        ) from None


@app.command()
def load(
    ctx: typer.Context, name: Name, version: Held, reason: Reason = "", as_json: AsJson = False
) -> None:
    """Keep a version in memory, ready before anything is routed to it.

    [dim]palio endpoints load credit v2[/dim]
    """
    made = verbs(ctx).endpoints.load(name, version, reason)
    line = f"{made.name} holds {', '.join(made.held)}; `palio endpoints loaded {made.name}` looks"
    done(made, line, as_json=as_json)


@app.command()
def loaded(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Show what the answering process has in memory, and why the rest is not.

    Over HTTP that is the server; on a store this command loads the versions to see.

    [dim]palio endpoints loaded credit[/dim]
    """
    found = verbs(ctx).endpoints.loaded(name)
    rows = [
        (f"{one.model}:{one.version}", _state(one), "held" if one.held else "", _why(one))
        for one in found.versions
    ]
    if as_json:
        print_json(found)
        return
    listing(
        found.versions,
        ("version", "state", "held", "why"),
        rows,
        as_json=False,
        empty=f"{name} needs no version yet: its model has no champion",
    )


def _state(one: VersionInMemory) -> str:
    if one.hanging:
        return "hanging"
    return "ready" if one.ready else "failed"


def _why(one: VersionInMemory) -> str | None:
    return one.error or (one.cold and f"not warmed: {one.cold}")


@app.command()
def unload(
    ctx: typer.Context, name: Name, version: Held, reason: Reason = "", as_json: AsJson = False
) -> None:
    """Keep a version in memory no longer than something is routed to it.

    [dim]palio endpoints unload credit v2[/dim]
    """
    made = verbs(ctx).endpoints.unload(name, version, reason)
    done(made, f"{made.name} holds {', '.join(made.held) or 'nothing more'}", as_json=as_json)


@app.command()
def configure(
    ctx: typer.Context,
    name: Name,
    on_error: Annotated[
        OnError | None, typer.Option(help="What a request gets whose version failed.")
    ] = None,
    timeout_s: Annotated[
        float | None,
        typer.Option(help="Seconds after which a version has failed; 0 for never."),
    ] = None,
    description: Annotated[str | None, typer.Option(help="Who calls it.")] = None,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Change what becomes of requests whose version fails.

    [dim]palio endpoints configure credit --on-error fallback --timeout-s 2[/dim]
    """
    made = verbs(ctx).endpoints.configure(
        name, on_error=on_error, timeout_s=timeout_s, description=description, reason=reason
    )
    limit = "never" if made.timeout_s is None else f"after {made.timeout_s:g} s"
    done(made, f"{made.name}: on_error {made.on_error}, times out {limit}", as_json=as_json)


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
