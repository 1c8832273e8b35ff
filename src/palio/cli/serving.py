"""``palio serve``, ``palio predict`` and ``palio store``."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from palio.cli.output import AsJson, describe, print_json
from palio.cli.session import opened, wiring
from palio.errors import InvalidInput
from palio.experiments.designs.audience import Attributes, value_of

__all__ = ["predict", "serve", "store"]

_INSTEAD = ", the champion, because the version that was chosen failed"

store = typer.Typer(no_args_is_help=True, help="The store's schema.")


def serve(
    ctx: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to bind; PALIO_HOST.")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port, 0 for a free one; PALIO_PORT.", min=0, max=65_535)
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Processes that answer; PALIO_WORKERS.", min=1, max=64),
    ] = None,
) -> None:
    """Serve endpoints and the API until interrupted.

    Without any API key the server answers on this machine only.

    [dim]palio serve --port 8000[/dim]
    """
    shell = wiring(ctx)
    shell.wiring.serve(
        shell.wiring.settings(store=shell.store, host=host, port=port, workers=workers),
        on_ready=lambda address: typer.echo(f"Palio answers at {address}"),
    )


def predict(
    ctx: typer.Context,
    endpoint: Annotated[str, typer.Argument(help="Which endpoint.")],
    rows: Annotated[str, typer.Argument(help="JSON rows, or - for standard input.")],
    unit: Annotated[str | None, typer.Option(help="What is randomised, as a user's id.")] = None,
    request_id: Annotated[str | None, typer.Option(help="Name of the request.")] = None,
    version: Annotated[str | None, typer.Option(help="Ask for one version.")] = None,
    attribute: Annotated[
        list[str] | None, typer.Option(help="name=value, known of the unit. Repeatable.")
    ] = None,
    variant: Annotated[
        str | None, typer.Option(help="Try one variant of what runs here; no evidence.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask an endpoint.

    [dim]palio predict credit '[{"age": 41, "income": 52000}]' --unit u-17[/dim]
    """
    text = typer.get_text_stream("stdin").read() if rows == "-" else rows
    answer = opened(ctx).predict(
        endpoint,
        _rows(text),
        unit=unit,
        request_id=request_id,
        version=version,
        attributes=_attributes(attribute) if attribute else None,
        variant=variant,
    )
    if as_json:
        print_json(answer)
        return
    describe(
        answer,
        [
            ("predictions", answer.predictions),
            ("probabilities", answer.probabilities),
            ("version", f"{answer.model}:{answer.version}{_INSTEAD if answer.fallback else ''}"),
            ("variant", answer.variant),
            ("experiment", answer.experiment),
            ("request id", answer.request_id),
        ],
        as_json=False,
    )


@store.command()
def upgrade(ctx: typer.Context) -> None:
    """Take the store's schema to the one this Palio works with; copy the store first.

    [dim]palio --store palio.db store upgrade[/dim]
    """
    shell = wiring(ctx)
    typer.echo(f"the store has schema {shell.wiring.upgrade(shell.store)}")


def _attributes(said: list[str]) -> Attributes:
    pairs = [one.partition("=") for one in said]
    for (name, sign, _), one in zip(pairs, said, strict=True):
        if not (name and sign):
            raise InvalidInput(
                f"--attribute {one!r} is not of the form name=value, as in country=NL",
                field="attribute",
                value=one,
            )
    return {name: value_of(value) for name, _, value in pairs}


def _rows(text: str) -> list[Any]:
    try:
        rows = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as failed:
        raise InvalidInput(
            f"the rows are no JSON: {failed}; write '[{{\"feature\": value, …}}]'", field="rows"
        ) from failed
    return rows if isinstance(rows, list) else [rows]
