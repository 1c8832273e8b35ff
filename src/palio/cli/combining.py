"""``palio models combine``: versions become an ensemble, a version like any other."""

from __future__ import annotations

from typing import Annotated

import typer

from palio.cli.described import Description, Metrics, Tags, described
from palio.cli.models import Name
from palio.cli.output import AsJson, done
from palio.cli.session import opened
from palio.errors import InvalidInput
from palio.registry.ensembles.members import members_of
from palio.registry.ensembles.spec import Combine, OnMemberError

__all__ = ["app"]

app = typer.Typer()


@app.command("combine")
def combine_versions(
    ctx: typer.Context,
    model: Name,
    version: Annotated[str, typer.Option(help="Name of the version.")],
    members: Annotated[
        str, typer.Option(help="Versions that are asked, as in credit:v1,credit:v2.")
    ],
    combine: Annotated[Combine, typer.Option(help="How their answers become one.")],
    weights: Annotated[
        str | None,
        typer.Option(help="How much each counts, as in 0.7,0.3; the sum is 1."),
    ] = None,
    on_member_error: Annotated[
        OnMemberError, typer.Option(help="What happens when a member fails.")
    ] = OnMemberError.FAIL,
    min_members: Annotated[
        int | None, typer.Option(help="How many must answer, with skip; 1 when not given.")
    ] = None,
    metrics: Metrics = None,
    tag: Tags = None,
    description: Description = "",
    as_json: AsJson = False,
) -> None:
    """Register an ensemble: other versions are asked, and their answers become one.

    It is promoted, compared and served like any version; its members cannot be deleted while it
    is there.

    [dim]palio models combine credit --version e1 --members credit:v1,credit:v2
    --combine soft_vote[/dim]
    """
    known = described({"tag": tag}, {"metrics": metrics}, None)
    made = opened(ctx).combine(
        model,
        [member.strip() for member in members.split(",")],
        version=version,
        combine=combine,
        weights=None if weights is None else [_number(one) for one in weights.split(",")],
        on_member_error=on_member_error,
        min_members=min_members,
        description=description,
        **known,
    )
    asked = ", ".join(members_of(made))
    done(made, f"{made.reference} is registered, an ensemble of {asked}", as_json=as_json)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidInput(
            f"weights: {text!r} is no number; write 0.7,0.3", field="weights", value=text
        ) from None
