"""Contracts of other systems: all there are, and those that are asked for."""

from __future__ import annotations

from pkgutil import resolve_name

from palio.edge.dialects import Dialect
from palio.errors import InvalidInput
from palio.settings import Settings

__all__ = ["dialects_of", "groups"]

# The one line outside of its own folders by which a dialect is here.
_DIALECTS = ("abguide", "abtests", "credtech", "crowetrade", "nightscan")


def dialects_of(settings: Settings) -> list[Dialect]:
    """Return the contracts of other systems that the settings ask for.

    Raises
    ------
    InvalidInput
        If there is none of a name.
    """
    asked = _DIALECTS if settings.dialects == ("all",) else settings.dialects
    if unknown := sorted(set(asked) - set(_DIALECTS)):
        raise InvalidInput(
            f"PALIO_DIALECTS names {', '.join(unknown)}; there are {', '.join(_DIALECTS)}",
            field="PALIO_DIALECTS",
            value=unknown,
        )
    return [resolve_name(f"palio.dialects.{name}:DIALECT") for name in asked]


def groups() -> list[Dialect]:
    """Return all contracts of other systems, for the command line."""
    return [resolve_name(f"palio.dialects.{name}:DIALECT") for name in _DIALECTS]
