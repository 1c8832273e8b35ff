"""``palio outcomes``: what became known later."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from palio.cli.importing import import_outcomes
from palio.cli.output import AsJson, done, listing, moment
from palio.cli.session import verbs
from palio.errors import InvalidOutcome
from palio.experiments.events import LABEL, OutcomeDraft
from palio.registry.signature import Label

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Outcomes of requests and units.")
app.command("import")(import_outcomes)


@app.command()
def record(
    ctx: typer.Context,
    value: Annotated[str, typer.Argument(help="A number, true, false, or a label.")],
    request_id: Annotated[str | None, typer.Option(help="The request it is about.")] = None,
    unit: Annotated[str | None, typer.Option(help="The unit it is about.")] = None,
    name: Annotated[str, typer.Option(help="What became known.")] = LABEL,
    outcome_id: Annotated[str | None, typer.Option(help="Makes repeats harmless.")] = None,
    experiment: Annotated[
        str | None, typer.Option(help="With --variant: it is about that variant as a whole.")
    ] = None,
    variant: Annotated[str | None, typer.Option(help="A variant of --experiment.")] = None,
    as_json: AsJson = False,
) -> None:
    """Record one outcome.

    [dim]palio outcomes record 1 --request-id req_17[/dim]
    """
    draft = OutcomeDraft(
        value=_value(value),
        name=name,
        request_id=request_id,
        unit=unit,
        outcome_id=outcome_id,
        experiment=experiment,
        variant=variant,
    )
    receipt = verbs(ctx).outcomes.record([draft])
    line = ", ".join(f"{n} {word}" for word, n in msgspec.to_builtins(receipt).items() if n)
    done(receipt, line, as_json=as_json)


@app.command()
def history(
    ctx: typer.Context,
    outcome_id: Annotated[str, typer.Argument(help="Its id; <request_id>/<name> without one.")],
    as_json: AsJson = False,
) -> None:
    """Show all revisions of one outcome; the last counts.

    [dim]palio outcomes history req_17/label[/dim]
    """
    found = verbs(ctx).outcomes.history(outcome_id)
    rows = [(one.revision, one.name, one.value, moment(one.at)) for one in found]
    listing(found, ("revision", "name", "value", "at"), rows, as_json=as_json)


def _value(text: str) -> Label:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text
    if not isinstance(value, bool | int | float | str):
        raise InvalidOutcome(
            f"outcome 0: {text} is no number, truth value or label", field="value", value=text
        )
    return value
