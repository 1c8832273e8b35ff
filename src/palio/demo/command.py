"""``palio demo``: the whole way on a built-in example, or on a table of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console

from palio.demo.options import DemoOptions

if TYPE_CHECKING:
    from palio.demo.screen import Screen

__all__ = ["demo"]

_INTERRUPTED = 130
_WIDE = 160


def demo(
    *,
    data: Annotated[
        Path | None, typer.Option(help="CSV or Parquet file; a synthetic loan book if not given.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="Column of --data to predict.")] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="Column of --data to leave out; repeatable.")
    ] = None,
    requests: Annotated[
        int | None, typer.Option(help="Requests to replay at most, 200 to 100,000.")
    ] = None,
    look_every: Annotated[int, typer.Option(help="Requests between two looks.")] = 300,
    seed: Annotated[int, typer.Option(help="Of data, training and delays.")] = 0,
    report: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("palio-demo.html"),
    keep: Annotated[
        Path | None, typer.Option(help="Folder to make and keep the store in; none if not given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Show everything at work: two models, live traffic, late labels, a decision.

    Trains a logistic scorecard (champion) and gradient boosting (challenger) on a part of the
    table, starts the server, replays the rest as HTTP requests, looks at the experiment every
    few hundred of them, and ships the challenger or not, as the statistics say. Nothing but the
    report is left behind.

    [dim]palio demo[/dim]

    [dim]palio demo --data loans.csv --target default --drop customer_id[/dim]
    """
    from palio.demo.closing import close  # noqa: PLC0415 - other commands need not wait for it
    from palio.demo.story import run  # noqa: PLC0415

    options = DemoOptions(
        data=data,
        target=target,
        drop=tuple(drop or ()),
        requests=requests,
        look_every=look_every,
        seed=seed,
        report=report,
        keep=keep,
    )
    try:
        with _screen(as_json=as_json) as screen:
            result = run(options, screen)
    except KeyboardInterrupt:
        typer.echo("interrupted; nothing was left behind", err=True)
        raise typer.Exit(_INTERRUPTED) from None
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(result), indent=2).decode())
    else:
        close(result, _console())


def _console() -> Console:
    """Return standard output, wide where nobody has a window."""
    console = Console()
    return console if console.is_terminal else Console(width=_WIDE)


def _screen(*, as_json: bool) -> Screen:
    from palio.demo.screen import SilentScreen, screen_for  # noqa: PLC0415

    if not as_json:
        return screen_for(_console())
    errors = Console(stderr=True)
    return screen_for(errors) if errors.is_terminal else SilentScreen()
