"""The application: its nouns, and how errors end it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec
import typer
from pydantic import ValidationError

from palio.cli import (
    access,
    alerts,
    analyzing,
    artifacts,
    batch_scoring,
    cards,
    combining,
    comparing,
    deletion,
    deployments,
    designs,
    downloading,
    endpoints,
    evaluating,
    experiments,
    lifecycles,
    models,
    off_policy,
    outcomes,
    planning,
    records,
    registering,
    scoring,
    searching,
    serving,
    signing,
    simulating,
    training,
    units,
    weights,
)
from palio.cli.session import Shell
from palio.edge.dialects import Dialect
from palio.edge.problems import exit_code_of, problem_of
from palio.edge.session import Wiring
from palio.errors import InvalidInput, PalioError

__all__ = ["build", "run"]

_INTERRUPTED = 130
_DEFECT = 70


def build(
    wiring: Wiring,
    commands: Sequence[Callable[..., Any]] = (),
    groups: Sequence[Dialect] = (),
) -> typer.Typer:
    """Return the application.

    Parameters
    ----------
    wiring
        How to open Palio.
    commands
        Further commands from above this face.
    groups
        Contracts of other systems whose commands stand under their name.
    """
    app = typer.Typer(
        invoke_without_command=True,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def palio(
        ctx: typer.Context,
        store: Annotated[
            str | None,
            typer.Option(
                help="SQLite file, postgresql://… or the http(s)://… address of a server; "
                "PALIO_STORE or palio.db when not given."
            ),
        ] = None,
        key: Annotated[
            str | None, typer.Option(help="API key for a server; PALIO_KEY when not given.")
        ] = None,
        version: Annotated[
            bool, typer.Option("--version", help="Print the version.", is_eager=True)
        ] = False,
    ) -> None:
        """Settle which version of a model should be in production."""
        if version:
            typer.echo(f"palio {wiring.version()}")
            raise typer.Exit
        ctx.obj = Shell(wiring, store, key)

    app.add_typer(_models(), name="models")
    app.add_typer(lifecycles.app, name="lifecycles")
    app.add_typer(artifacts.app, name="artifacts")
    app.add_typer(endpoints.app, name="endpoints")
    app.add_typer(deployments.app, name="deployments")
    app.add_typer(_experiments(), name="experiments")
    app.add_typer(outcomes.app, name="outcomes")
    app.add_typer(units.app, name="units")
    app.add_typer(alerts.app, name="alerts")
    app.add_typer(access.keys, name="keys")
    app.add_typer(access.audit, name="audit")
    app.add_typer(serving.store, name="store")
    own: tuple[Callable[..., Any], ...] = (
        analyzing.analyze,
        comparing.compare,
        evaluating.evaluate,
        off_policy.off_policy,
        planning.plan,
        batch_scoring.score,
        scoring.compare_scores,
        training.train,
        serving.serve,
        serving.predict,
    )
    for command in (*own, *commands):
        app.command()(command)
    for dialect in groups:
        if (group := dialect.group()) is not None:
            app.add_typer(group, name=dialect.name)
    return app


def _experiments() -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, help="Experiments, from the draft to the decision.")
    for part in (experiments, designs, records, simulating, weights):
        app.add_typer(part.app)
    return app


def _models() -> typer.Typer:
    """Return one group of commands, written in files of their own."""
    app = typer.Typer(
        no_args_is_help=True, help="Models, their versions, stages, aliases and signatures."
    )
    for part in (models, registering, combining, searching, cards, signing, downloading, deletion):
        app.add_typer(part.app)
    return app


def run(
    wiring: Wiring,
    arguments: Sequence[str] | None = None,
    commands: Sequence[Callable[..., Any]] = (),
    groups: Sequence[Dialect] = (),
) -> int:
    """Run the command line and return its exit code; errors are one line, never a traceback."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    command = typer.main.get_command(build(wiring, commands, groups))
    try:
        code = command.main(args=given, prog_name="palio", standalone_mode=False)
    except PalioError as error:
        return _failed(error, as_json="--json" in given)
    except ValidationError as error:
        return _failed(_unreadable(error), as_json="--json" in given)
    except typer.TyperException as misused:
        return _misused(misused)
    except (typer.Abort, KeyboardInterrupt):
        typer.echo("interrupted", err=True)
        return _INTERRUPTED
    except Exception as defect:  # noqa: BLE001 - no traceback reaches a user
        return _defective(defect)
    return code if isinstance(code, int) else 0


def _misused(error: typer.TyperException) -> int:
    show = getattr(error, "show", None)  # usage errors know how to explain themselves
    if show is None:
        typer.echo(f"error: {error}", err=True)
    else:
        show()
    return 2


def _failed(error: PalioError, *, as_json: bool) -> int:
    if as_json:
        typer.echo(msgspec.json.encode(problem_of(error)).decode(), err=True)
    else:
        typer.echo(f"error: {error.message}", err=True)
    return exit_code_of(error)


def _unreadable(error: ValidationError) -> InvalidInput:
    first = error.errors()[0]
    name = "PALIO_" + "_".join(str(part) for part in first["loc"]).upper()
    return InvalidInput(f"setting {name}: {first['msg']}, got {first['input']!r}", field=name)


def _defective(defect: Exception) -> int:
    if isinstance(defect, BrokenPipeError):  # whoever read the output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if isinstance(defect, OSError) and defect.filename is not None:
        typer.echo(f"error: {defect.filename}: {defect.strerror}", err=True)
        return 2
    if os.environ.get("PALIO_DEBUG"):
        raise defect
    typer.echo(
        f"error: a defect of Palio: {type(defect).__name__}: {defect}; "
        "set PALIO_DEBUG=1 to see where, and report it",
        err=True,
    )
    return _DEFECT
