"""What every command opens: the session that the command line was given."""

from __future__ import annotations

from dataclasses import dataclass

import typer

from palio.edge.session import Session, Wiring
from palio.edge.verbs import Verbs

__all__ = ["Shell", "opened", "verbs", "wiring"]


@dataclass(slots=True)
class Shell:
    """The wiring, the store that was named, and the session once it is open."""

    wiring: Wiring
    store: str | None = None
    key: str | None = None


def opened(ctx: typer.Context) -> Session:
    """Open the store or server; closed when the command ends."""
    shell: Shell = ctx.find_root().obj
    session = shell.wiring.connect(shell.store, key=shell.key)
    entered: Session = ctx.with_resource(session)
    return entered


def verbs(ctx: typer.Context) -> Verbs:
    """Open the store or server and return its verbs."""
    return opened(ctx).verbs


def wiring(ctx: typer.Context) -> Shell:
    """Return what the command line was given, nothing opened."""
    shell: Shell = ctx.find_root().obj
    return shell
