"""What deployments need of the outside."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

__all__ = ["NOBODY", "NO_GPUS", "Gpus", "GpusOf", "Probe", "Runtime"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpus:
    """On how many GPUs a version is asked, and why not on more, in words."""

    used: int = 0
    lack: str


NO_GPUS = Gpus(lack="nothing here can tell of GPUs")

GpusOf = Callable[[Collection[str]], Gpus]
"""Tells what this process has for a version of some flavor, or of several that it asks.

May take seconds, for it may load a library: never called within a unit of work.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What came of asking a version: nothing in ``reason`` where it has answered.

    ``loading`` tells that it is not in memory yet, which is no failure, and ``cold`` why it has
    answered nothing to a row that was made up, which is none either. ``process`` names the process
    in whose memory it is, as that calls itself among those that serve.
    """

    latency_ms: float | None = None
    reason: str = ""
    loading: bool = False
    cold: str = ""
    process: str = ""

    @property
    def ok(self) -> bool:
        """Tell whether it has answered."""
        return not (self.reason or self.loading)


class Runtime(Protocol):
    """Where versions answer. Safe to share between threads.

    Obligation: it never raises what the version raises, and gives the time back however long the
    version takes.
    """

    def probe(self, model: str, version: str, *, timeout_s: float, row: object = None) -> Probe:
        """Load a version and ask it about a row.

        Parameters
        ----------
        model, version
            Which one; an endpoint holds it.
        timeout_s
            Seconds that the answer may take; a version that is loading for longer is told as
            such.
        row
            What it is asked about; made up from its signature if not given.
        """
        ...


class _Nobody:
    """No runtime: nothing is ever ready."""

    def probe(
        self,
        model: str,
        version: str,
        *,
        timeout_s: float,  # noqa: ARG002
        row: object = None,  # noqa: ARG002
    ) -> Probe:
        """Tell that somebody else must ask."""
        return Probe(reason=f"nothing here can ask {model}:{version}; a server can", loading=True)


NOBODY: Runtime = _Nobody()
