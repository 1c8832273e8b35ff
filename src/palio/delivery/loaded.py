"""What one serving process has in memory for an endpoint, and what it has not."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["InMemory", "VersionInMemory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionInMemory:
    """A version that a process serves, or would.

    Parameters
    ----------
    model, version
        Which one.
    ready
        Whether it can answer now.
    held
        Whether it stays in memory even when nothing is routed to it.
    error
        Why it is not in memory.
    cold
        Why it answered nothing to the made-up row that it was warmed with; it serves all the
        same.
    hanging
        Whether it is still at work on what it should have answered.
    """

    model: str
    version: str
    ready: bool
    held: bool
    error: str | None = None
    cold: str | None = None
    hanging: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InMemory:
    """What the process that answers has in memory for an endpoint; others have their own.

    ``process`` is host and process id, ``revision`` that of the state it serves by.
    """

    endpoint: str
    process: str
    revision: int
    versions: tuple[VersionInMemory, ...]

    @property
    def active(self) -> int:
        """How many versions can answer."""
        return sum(one.ready for one in self.versions)
