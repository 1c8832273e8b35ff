"""What a dialect is, and what it is given: parse what others send, call one verb, render."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from palio.access.domain import Identity
from palio.delivery.domain import Answer, PredictRequest
from palio.delivery.observed import Observed
from palio.edge.session import Session
from palio.edge.verbs import Verbs

if TYPE_CHECKING:
    import typer
    from fastapi import APIRouter, Request

__all__ = ["Dialect", "Served", "connect", "opened", "restored"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What routes of a dialect are given.

    Attributes
    ----------
    verbs
        The verbs in the name of a request's caller.
    own
        The verbs in the name of the dialect, with the role of an operator: for what a caller
        of a lesser role may have done for themself alone.
    caller
        Who sent a request.
    predict
        Answer a request; refused to those who may not, as on the native route.
    changed
        To be called from a thread after a verb that changes something, before its answer leaves.
    """

    verbs: Callable[[Request], Verbs]
    own: Callable[[str], Verbs]
    caller: Callable[[Request], Identity]
    predict: Callable[[Request, PredictRequest], Awaitable[Answer]]
    changed: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """A contract of another system. Its parts are loaded when they are asked for.

    Attributes
    ----------
    name
        In settings, in documents, and as the group of its commands.
    routes
        Where the function lies that makes its routes, ``module:name``: ``(Served) -> APIRouter``.
    commands
        Where its commands lie: a ``typer.Typer``. They find the wiring as `palio.cli` does: the
        root context's ``obj`` has ``wiring``, ``store`` and ``key``.
    chores
        Where the function lies that makes what its files on disk need to be kept current:
        ``(Verbs) -> Background``, its step done by servers again and again.
    metrics
        Where the function lies that tells Prometheus what is seen under its own names:
        ``(Observed) -> Iterable[Metric]``; no two faces may use one name.
    """

    name: str
    routes: str | None = None
    commands: str | None = None
    chores: str | None = None
    metrics: str | None = None

    def router(self, served: Served) -> APIRouter | None:
        """Return its routes, if it has any."""
        made: APIRouter | None = _found(self.routes, served)
        return made

    def chore(self, verbs: Verbs) -> Any:
        """Return what keeps its files current, if it has any."""
        return _found(self.chores, verbs)

    def families(self) -> Callable[[Observed], Iterable[Any]] | None:
        """Return what tells Prometheus in its names, if it does."""
        if self.metrics is None:
            return None
        found: Callable[[Observed], Iterable[Any]] = resolve_name(self.metrics)
        return found

    def group(self) -> typer.Typer | None:
        """Return its commands, if it has any."""
        if self.commands is None:
            return None
        found: typer.Typer = resolve_name(self.commands)
        return found


def connect(store: str | Path | None = None, **given: Any) -> Session:
    """Open Palio by its public face, for calls of a dialect that open it by themselves.

    The face is found by its name, as a user's own import would find it: it wires what no dialect
    may know.

    Parameters
    ----------
    store, **given
        As for `palio.connect`.
    """
    opened: Session = resolve_name("palio:connect")(store, **given)
    return opened


def restored(verbs: Verbs, reference: str) -> object:
    """Return the object that a version holds, as it was saved, for files that others expect.

    Raises
    ------
    UntrustedArtifact
        If making it runs code and this process does not allow that.
    CorruptArtifact
        If a file is not the one that was registered.
    """
    found: object = resolve_name("palio.platform:restored")(verbs, reference)
    return found


def opened(ctx: typer.Context) -> Session:
    """Open the store or server that a command line names; closed when the command ends."""
    shell: Any = ctx.find_root().obj
    session: Session = ctx.with_resource(shell.wiring.connect(shell.store, key=shell.key))
    return session


def _found(place: str | None, given: object) -> Any:
    return None if place is None else resolve_name(place)(given)
