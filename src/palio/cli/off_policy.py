"""``palio off-policy``: what a policy that did not serve would have earned."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from palio.cli.output import AsJson, describe
from palio.cli.tables import numbers, refusing, scan
from palio.cli.verdicts import amount, share
from palio.errors import InvalidInput
from palio.experiments.tables.off_policy import off_policy as evaluate
from palio.stats import Estimate

__all__ = ["off_policy"]


def off_policy(
    table: Annotated[Path, typer.Argument(help="CSV or Parquet file, a row a logged request.")],
    reward: Annotated[str, typer.Option(help="Column of the reward.")],
    propensity: Annotated[
        str, typer.Option(help="Column of the probability of the action that was taken.")
    ],
    new_probability: Annotated[
        str | None, typer.Option(help="Column: how probable the new policy makes that action.")
    ] = None,
    action: Annotated[
        str | None, typer.Option(help="Column of the action taken; with --new-policy.")
    ] = None,
    new_policy: Annotated[
        str | None, typer.Option(help="Column of the action that the new policy would take.")
    ] = None,
    method: Annotated[
        Literal["ips", "snips"], typer.Option(help="Inverse propensities; normalised or not.")
    ] = "snips",
    clip: Annotated[float | None, typer.Option(help="Largest weight that counts.")] = None,
    alpha: Annotated[float, typer.Option(help="Chance that the interval misses.")] = 0.05,
    as_json: AsJson = False,
) -> None:
    """Tell what a new policy would have earned, from logged propensities.

    [dim]palio off-policy log.csv --reward paid --propensity p --action offer --new-policy
    new_offer[/dim]
    """
    if (new_probability is None) == (action is None or new_policy is None):
        raise InvalidInput(
            "give --new-probability, or --action and --new-policy: what the new policy would do",
            field="new_policy",
        )
    given = {"--new-probability": new_probability}
    columns = {reward: "--reward", propensity: "--propensity"}
    columns |= {name: option for option, name in given.items() if name}
    keys = {"--action": action, "--new-policy": new_policy}
    with Console(stderr=True).status(f"reading {table.name}"), refusing({}, table):
        rows = numbers(
            table, scan(table), columns, {name: one for one, name in keys.items() if name}
        )
        found = evaluate(
            rows, reward=reward, propensity=propensity, new_probability=new_probability,
            action=action, new_action=new_policy, method=method, clip=clip, alpha=alpha,
        )  # fmt: skip
    value = found.value
    pairs = (
        ("rows", f"{found.rows:,}"),
        ("logged policy", amount(found.logged)),
        ("new policy", amount(value.estimate.effect)),
        ("  interval, at one look", _interval(value.estimate, "")),
        ("gain", amount(found.gain.effect, "+")),
        ("  interval, at one look", _interval(found.gain, "+")),
        ("effective sample size", f"{value.effective_sample_size:,.0f}"),
        ("largest weight", amount(value.max_weight)),
        ("clipped", share(value.clipped_share) if clip is not None else None),
    )
    describe(found, (pair for pair in pairs if pair[1] is not None), as_json=as_json)


def _interval(found: Estimate, sign: str) -> str:
    return f"{amount(found.lower, sign)} to {amount(found.upper, sign)}"
