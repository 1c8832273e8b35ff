"""``palio experiments weights``, ``reweight`` and ``refresh``: by what units are split."""

from __future__ import annotations

from typing import Annotated

import typer

from palio.cli.experiments import Key
from palio.cli.output import AsJson, done, listing, moment, number
from palio.cli.session import verbs
from palio.errors import InvalidInput
from palio.experiments.weights.published import Published

__all__ = ["app"]

app = typer.Typer()


@app.command()
def weights(
    ctx: typer.Context,
    key: Key,
    limit: Annotated[int, typer.Option(help="Versions to show at most, the last ones.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show the versions of the weights: when, by whom or which policy, and how much.

    [dim]palio experiments weights credit-bandit[/dim]
    """
    found = verbs(ctx).experiments.weights(key, limit)
    rows = [
        (one.policy_version, one.epoch, moment(one.at), one.by, one.rewards, _told(one))
        for one in found
    ]
    columns = ("version", "epoch", "when", "by", "rewards", "weights")
    empty = f"{key} has not been started"
    listing(found, columns, rows, as_json=as_json, empty=empty)


@app.command()
def reweight(
    ctx: typer.Context,
    key: Key,
    weight: Annotated[list[str], typer.Option(help="key=weight, of every variant. Repeatable.")],
    reason: Annotated[str, typer.Option(help="Why, for the audit log.")],
    as_json: AsJson = False,
) -> None:
    """Change the weights by hand, where units do not move with them.

    [dim]palio experiments reweight credit-ab --weight control=0.8 --weight challenger=0.2
    --reason "the new version is slow"[/dim]
    """
    made = verbs(ctx).experiments.reweight(key, dict(map(_weight, weight)), reason)
    told = ", ".join(f"{name} {number(share)}" for name, share in made.weights.items())
    done(made, f"{key} splits by {told} from epoch {made.epoch} on", as_json=as_json)


@app.command()
def refresh(ctx: typer.Context, key: Key, as_json: AsJson = False) -> None:
    """Publish a bandit's next weights, if enough has become known.

    [dim]palio experiments refresh credit-bandit[/dim]
    """
    made = verbs(ctx).experiments.refresh(key)
    line = f"version {made.policy_version} at {made.rewards} rewards: {_told(made)}"
    done(made, line, as_json=as_json)


def _told(published: Published) -> str:
    shares = (f"{name} {number(share)}" for name, share in published.weights.items())
    retired = f" (retired: {', '.join(published.retired)})" if published.retired else ""
    return ", ".join(shares) + retired


def _weight(text: str) -> tuple[str, float]:
    name, _, share = text.partition("=")
    try:
        return name, float(share)
    except ValueError:
        raise InvalidInput(
            f"weight {text!r} is not of the form key=weight, as in challenger=0.2",
            field="weight",
            value=text,
        ) from None
