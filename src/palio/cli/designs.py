"""``palio experiments draft-from``: a design that people write as YAML or JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from palio.cli.documents import read_document
from palio.cli.output import AsJson, done
from palio.cli.session import verbs
from palio.edge.fields import unknown_field
from palio.errors import InvalidInput
from palio.experiments.designs.assignment import Namespace
from palio.experiments.designs.audience import Condition
from palio.experiments.designs.covariates import Covariate, Segment
from palio.experiments.designs.design import ExperimentDraft
from palio.experiments.designs.policy import Policy, PolicyKind

__all__ = ["app", "read_design"]

app = typer.Typer()


@app.command("draft-from")
def draft_from(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="YAML or JSON: every field of a design.")],
    as_json: AsJson = False,
) -> None:
    """Design an experiment from a file; nothing is routed until it is started.

    [dim]palio experiments draft-from credit-ab.yaml[/dim]
    """
    made = verbs(ctx).experiments.draft(read_design(file))
    done(
        made,
        f"{made.key} is drafted; `palio experiments start {made.key}` runs it",
        as_json=as_json,
    )


def read_design(file: Path) -> ExperimentDraft:
    """Read a design.

    Parameters
    ----------
    file
        YAML or JSON with the fields of `ExperimentDraft`. Conditions, namespaces, segments and
        covariates may be written as text, as on the command line, and a policy by its name alone.

    Raises
    ------
    InvalidInput
        Naming the field that is not one, or whose value does not fit.
    """
    document = read_document(file, "file")
    if not isinstance(document, Mapping):
        raise InvalidInput(f"{file} holds no fields of a design", field="file", value=str(file))
    said = document.get("experiment", document) if len(document) == 1 else document
    given = {name: _read(name, value) for name, value in said.items()}
    if (unknown := unknown_field(ExperimentDraft, msgspec.to_builtins(given))) is not None:
        known = ", ".join(ExperimentDraft.__dataclass_fields__)
        raise InvalidInput(
            f"{file}: a design has no field {unknown!r}; its fields are {known}",
            field=unknown,
            value=str(file),
        )
    try:
        return msgspec.convert(msgspec.to_builtins(given), ExperimentDraft)
    except msgspec.ValidationError as unfit:
        raise InvalidInput(f"{file}: {unfit}", field="file", value=str(file)) from unfit


def _read(name: str, value: Any) -> Any:
    """Return a field's value with the texts in it read."""
    reader = _TEXTS.get(name)
    if reader is None:
        return value
    if isinstance(value, list):
        return [reader(one) if isinstance(one, str) else one for one in value]
    return reader(value) if isinstance(value, str) else value


def _policy(name: str) -> Policy:
    if name not in set(PolicyKind):
        raise InvalidInput(
            f"{name!r} is no policy; there are {', '.join(PolicyKind)}", field="policy", value=name
        )
    return Policy(kind=PolicyKind(name))


_TEXTS: Mapping[str, Callable[[str], Any]] = {
    "audience": Condition.parse,
    "namespace": Namespace.parse,
    "segments": Segment.parse,
    "covariates": lambda name: Covariate(name=name),
    "policy": _policy,
}
