"""What an ensemble is: which versions it asks, how their answers become one, who may fail."""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from palio.errors import InvalidInput
from palio.registry.domain import Reference
from palio.registry.signature import Task

__all__ = ["ENSEMBLE", "SPEC_FILE", "Combine", "Ensemble", "OnMemberError", "read_spec"]

ENSEMBLE = "ensemble"
"""The flavor of versions that are ensembles."""

SPEC_FILE = "ensemble.json"
"""Their one file; what it says is what is served."""

_FEWEST, _MOST = 2, 32
_TOLERANCE = 1e-9

T = TypeVar("T", bound=enum.StrEnum)


class Combine(enum.StrEnum):
    """How the answers to a row become one; ``combining.py`` says exactly what each gives."""

    MEAN = "mean"
    WEIGHTED_MEAN = "weighted_mean"
    MEDIAN = "median"
    SOFT_VOTE = "soft_vote"
    HARD_VOTE = "hard_vote"

    @property
    def is_vote(self) -> bool:
        """Tell whether it is for classes only."""
        return self in {Combine.SOFT_VOTE, Combine.HARD_VOTE}

    @property
    def takes_weights(self) -> bool:
        """Tell whether members may count differently."""
        return self is Combine.WEIGHTED_MEAN or self.is_vote


class OnMemberError(enum.StrEnum):
    """What becomes of an ensemble when a member fails."""

    FAIL = "fail"  # it fails as well
    SKIP = "skip"  # the others answer, while there are enough of them


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Versions that are asked together.

    Parameters
    ----------
    members
        2 to 32 versions as ``name:version``, of any models, each once; an alias is refused, for
        it moves and a version does not.
    combine
        How their answers become one.
    weights
        How much each member counts, in the order of ``members``: positive and finite, their sum
        1 within 1e-9. Needed for ``weighted_mean``, allowed for votes; members count equally
        without.
    on_member_error
        ``fail``, or ``skip`` to go on without members that failed, whose weight goes to the
        others in proportion.
    min_members
        How many must have answered a row, with ``skip``: 1 to the number of members, 1 when not
        given. With ``fail`` it is the number of members.

    Raises
    ------
    InvalidInput
        Naming the field, what it holds and what to do.
    """

    members: tuple[str, ...]
    combine: Combine
    weights: tuple[float, ...] | None = None
    on_member_error: OnMemberError = OnMemberError.FAIL
    min_members: int | None = None

    def __post_init__(self) -> None:
        made = {
            "members": _members(self.members),
            "combine": _word(Combine, "combine", self.combine),
            "on_member_error": _word(OnMemberError, "on_member_error", self.on_member_error),
        }
        for name, value in made.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "weights", self._checked_weights())
        object.__setattr__(self, "min_members", self._checked_least())

    @property
    def least(self) -> int:
        """How many members must have answered a row."""
        return self.min_members or len(self.members)

    @property
    def shares(self) -> tuple[float, ...]:
        """How much each member counts; equal where nothing else was said."""
        return self.weights or (1 / len(self.members),) * len(self.members)

    @property
    def skips(self) -> bool:
        """Tell whether it goes on without members that failed."""
        return self.on_member_error is OnMemberError.SKIP

    def check_task(self, task: Task) -> None:
        """Raise ``InvalidInput`` if its members' answers cannot be combined this way."""
        if self.combine.is_vote and task is Task.REGRESSION:
            raise _refused(
                "combine",
                self.combine,
                "is for classes, and the members answer numbers; take mean, weighted_mean or "
                "median",
            )

    def document(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        made: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return made

    def written(self) -> bytes:
        """Return it as its file holds it."""
        return f"{json.dumps(self.document(), sort_keys=True, indent=2)}\n".encode()

    def _checked_weights(self) -> tuple[float, ...] | None:
        if self.weights is None:
            if self.combine is Combine.WEIGHTED_MEAN:
                raise _refused("weights", None, "is missing; weighted_mean needs one a member")
            return None
        if not self.combine.takes_weights:
            raise _refused(
                "weights",
                [*self.weights],
                f"{self.combine} takes none; leave them out, or take weighted_mean or a vote",
            )
        return _weights(self.weights, len(self.members))

    def _checked_least(self) -> int:
        count = len(self.members)
        least = self.min_members
        if least is None:
            return 1 if self.skips else count
        if isinstance(least, bool) or not isinstance(least, int) or not 1 <= least <= count:
            raise _refused("min_members", least, f"must be a whole number from 1 to {count}")
        if not self.skips and least != count:
            raise _refused(
                "min_members",
                least,
                f"says that some may fail, and on_member_error says fail; leave it out (it is "
                f"{count}), or take on_member_error skip",
            )
        return least


def read_spec(content: bytes) -> Ensemble:
    """Read the file of an ensemble.

    Raises
    ------
    InvalidInput
        If it is none.
    """
    try:
        return msgspec.json.decode(content, type=Ensemble)
    except (msgspec.DecodeError, UnicodeDecodeError) as unreadable:
        raise _refused(SPEC_FILE, None, f"cannot be read: {unreadable}") from unreadable


def _members(given: object) -> tuple[str, ...]:
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise _refused("members", given, "is no list of versions; write name:version for each")
    if not _FEWEST <= len(given) <= _MOST:
        raise _refused(
            "members", [*given], f"has {len(given)}; an ensemble has {_FEWEST} to {_MOST}"
        )
    named = tuple(map(_member, given))
    twice = sorted({one for one in named if named.count(one) > 1})
    if twice:
        raise _refused("members", twice, "stands there twice; give it more weight instead")
    return named


def _member(given: object) -> str:
    named = Reference.parse(given if isinstance(given, str) else repr(given))
    if named.version is None:
        raise _refused(
            "members",
            given,
            "is an alias, which moves; name the version that it points at as name:version",
        )
    return f"{named.model}:{named.version}"


def _weights(given: Sequence[float], count: int) -> tuple[float, ...]:
    if len(given) != count:
        raise _refused(
            "weights", [*given], f"has {len(given)}, for {count} members; give each one"
        )
    weights = tuple(_weight(one) for one in given)
    if abs(math.fsum(weights) - 1) > _TOLERANCE:
        raise _refused(
            "weights", [*given], f"sums to {math.fsum(weights):.12g}; it must be 1 within 1e-9"
        )
    return weights


def _weight(given: object) -> float:
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    if not is_number or not 0 < float(given) < math.inf:  # type: ignore[arg-type]
        raise _refused("weights", given, "is no positive finite number")
    return float(given)  # type: ignore[arg-type]


def _word(kind: Callable[[Any], T], field: str, given: object) -> T:
    try:
        return kind(given)
    except ValueError:
        known = ", ".join(kind)  # type: ignore[arg-type]
        raise _refused(field, given, f"is not known; take one of {known}") from None


def _refused(field: str, value: object, why: str) -> InvalidInput:
    shown = "" if value is None else f"{value!r} " if not isinstance(value, str) else f"{value} "
    return InvalidInput(f"{field}: {shown}{why}", field=field, value=value)
