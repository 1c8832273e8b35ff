"""What a metric's name says it is made of: a mean, a ratio, a quantile, or of returns."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from functools import lru_cache

from palio.errors import InvalidInput

__all__ = ["Form", "Kind", "form_of"]

_CALL = re.compile(r"(p\d+(?:\.\d+)?|sharpe|win_rate)\(([^()/]+)\)")
_RATIO = re.compile(r"([^()/]+)/([^()/]+)")


class Kind(enum.StrEnum):
    """How a number for an arm is made of the values of its units."""

    MEAN = "mean"
    RATIO = "ratio"  # sum of one over the sum of another
    QUANTILE = "quantile"  # over units
    SHARPE = "sharpe"  # mean over standard deviation
    WIN_RATE = "win_rate"  # share of units above 0


@dataclass(frozen=True, slots=True)
class Form:
    """A kind, and the names of the values it is made of.

    Attributes
    ----------
    kind
        How they are put together.
    of
        One name; of a ratio numerator and denominator.
    q
        Of a quantile, in (0, 1).
    """

    kind: Kind
    of: tuple[str, ...]
    q: float | None = None


@lru_cache(maxsize=1_024)
def form_of(name: str) -> Form:
    """Read what a metric of a name is made of.

    Parameters
    ----------
    name
        ``revenue``, ``revenue/visits``, ``p95(latency_ms)``, ``sharpe(return)`` or
        ``win_rate(return)``.

    Raises
    ------
    InvalidInput
        If it is a quantile outside of p1 to p99.9.

    Examples
    --------
    >>> form_of("p95(latency_ms)").of, form_of("p95(latency_ms)").q
    (('latency_ms',), 0.95)
    >>> str(form_of("revenue/visits").kind)
    'ratio'
    """
    if found := _RATIO.fullmatch(name):
        return Form(Kind.RATIO, (found[1], found[2]))
    if not (found := _CALL.fullmatch(name)):
        return Form(Kind.MEAN, (name,))
    call, of = found[1], found[2]
    if call in {Kind.SHARPE, Kind.WIN_RATE}:
        return Form(Kind(call), (of,))
    q = round(float(call[1:]) / 100, 12)
    if not 0.01 <= q <= 0.999:  # noqa: PLR2004
        raise InvalidInput(f"{name} must be between p1 and p99.9", field="metric", value=name)
    return Form(Kind.QUANTILE, (of,), q)
