"""``palio models register``: files become a version, for good."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer

from palio.cli.described import (
    Architecture,
    Backtest,
    Card,
    DatasetVersion,
    Description,
    ExternalRef,
    Framework,
    Kind,
    Metrics,
    Origin,
    Parent,
    Policy,
    Tags,
    Training,
    described,
)
from palio.cli.models import Name
from palio.cli.output import AsJson, done
from palio.cli.session import opened
from palio.errors import InvalidInput
from palio.registry.domain import VersionDraft
from palio.registry.signature import Signature

__all__ = ["app"]

app = typer.Typer()


@app.command()
def register(
    ctx: typer.Context,
    model: Name,
    source: Annotated[str, typer.Argument(help="File or folder with the model.")],
    version: Annotated[str, typer.Option(help="Name of the version.")],
    signature: Annotated[
        Path | None, typer.Option(help="JSON file with features, task and classes.")
    ] = None,
    sample: Annotated[
        Path | None, typer.Option(help="CSV or Parquet file to read the signature off instead.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Column of the sample that the model answers.")
    ] = None,
    flavor: Annotated[
        str | None, typer.Option(help="What makes it a model again; recognised when not given.")
    ] = None,
    unpack: Annotated[
        bool, typer.Option("--unpack", help="It is an archive of the model's files.")
    ] = False,
    preprocessor: Annotated[
        str | None, typer.Option(help="File of a fitted transformer that runs before the model.")
    ] = None,
    on_server: Annotated[
        bool, typer.Option("--on-server", help="It lies where the server runs: nothing is sent.")
    ] = False,
    ask: Annotated[
        bool,
        typer.Option("--ask", help="Load it where the server runs, to be told its signature."),
    ] = False,
    kind: Kind = "",
    framework: Framework = "",
    architecture: Architecture = "",
    dataset_version: DatasetVersion = "",
    training: Training = None,
    metrics: Metrics = None,
    backtest: Backtest = None,
    policy: Policy = None,
    parent: Parent = None,
    origin: Origin = None,
    tag: Tags = None,
    description: Description = "",
    external_ref: ExternalRef = "",
    card: Card = None,
    as_json: AsJson = False,
) -> None:
    """Keep a file, or the files of a folder or an archive, as a version, for good.

    Archives are .zip, .tar, .tar.gz, .tar.bz2 and .tar.xz. With [bold]--on-server[/bold] the path
    must lie below a folder that PALIO_SOURCE_ROOTS names there.

    [dim]palio models register risk model.skops --version v1 --sample a.csv --target paid[/dim]

    [dim]palio models register credit-risk ./model --version v1 --signature signature.json[/dim]
    """
    session = opened(ctx)
    takes = None if signature is None else _read(signature, Signature)
    known = described(
        {"source": origin, "tag": tag},
        {"training": training, "metrics": metrics, "backtest": backtest, "policy": policy},
        card,
    )
    known |= {
        "type": kind,
        "framework": framework,
        "architecture": architecture,
        "dataset_version": dataset_version,
        "parent": parent,
        "description": description,
        "external_ref": external_ref,
    }
    if on_server:
        if sample is not None:
            raise InvalidInput(
                "--sample needs the model here, and --on-server leaves it there; "
                "give --signature FILE.json, or --ask",
                field="sample",
            )
        draft = VersionDraft(version=version, flavor=flavor or "", signature=takes, **known)
        registered = session.verbs.versions.register_from(
            model, draft, source, unpack=unpack, preprocessor=preprocessor, ask=ask
        )
    else:
        if ask:
            raise InvalidInput(
                "--ask is for models that lie where the server runs; give --on-server with it, "
                "or --sample",
                field="ask",
            )
        registered = session.register(
            model,
            Path(source),
            version=version,
            signature=takes,
            sample=sample,
            target=target,
            flavor=flavor,
            unpack=unpack,
            preprocessor=None if preprocessor is None else Path(preprocessor),
            **known,
        )
    done(registered, f"{registered.reference} is registered", as_json=as_json)


T = TypeVar("T")


def _read(file: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failed:
        raise InvalidInput(f"{file}: {failed}", field=kind.__name__.lower()) from failed
