"""Lifecycles as data: the stages of a model's versions and the steps between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from palio.errors import IllegalTransition, InvalidInput

__all__ = ["BUILTIN", "STANDARD", "STRICT", "Lifecycle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """Stages by name and the transitions between them.

    Parameters
    ----------
    name
        How models refer to it.
    initial
        Where a new version stands.
    production
        The one stage that means production; it belongs to the alias ``champion``.
    retired
        Where a former champion goes unless ``promote`` is told otherwise.
    transitions
        For every stage, the stages a version may go to from there.
    """

    name: str
    initial: str
    production: str
    retired: str
    transitions: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        named = {self.initial, self.production, self.retired}.union(*self.transitions.values())
        if unknown := sorted(named - set(self.transitions)):
            raise InvalidInput(
                f"lifecycle {self.name!r} names stages without transitions: "
                f"{', '.join(unknown)}; give each stage a list, empty if it is an end",
                field="transitions",
                value=unknown,
            )

        if self.production in {self.initial, self.retired, *self.transitions[self.production]}:
            raise InvalidInput(
                f"lifecycle {self.name!r} makes production of what is not champion: "
                f"{self.production} must be neither initial nor retired nor follow itself",
                field="production",
                value=self.production,
            )

    @property
    def stages(self) -> tuple[str, ...]:
        """All stages, in the order declared."""
        return tuple(self.transitions)

    def check(self, reference: str, source: str, target: str) -> None:
        """Raise ``IllegalTransition`` unless a version may go from ``source`` to ``target``."""
        allowed = self.transitions[source]
        if target not in allowed:
            raise IllegalTransition(
                f"{reference} cannot go from {source} to {target}; "
                f"allowed from {source}: {', '.join(allowed) or 'nothing, it is an end'}",
                version=reference,
                source=source,
                target=target,
                allowed=list(allowed),
            )


_PATH = ("development", "validation", "testing", "staging", "production")
_ENDS = {"deprecated": ("production", "archived"), "archived": (), "failed": ("archived",)}


def _forward(*, skips: bool) -> dict[str, tuple[str, ...]]:
    steps = {
        stage: (*(_PATH[i + 1 :] if skips else _PATH[i + 1 : i + 2]), "failed")
        for i, stage in enumerate(_PATH[:-1])
    }
    return {**steps, "production": ("deprecated",), **_ENDS}


STANDARD = Lifecycle(
    name="standard",
    initial="development",
    production="production",
    retired="deprecated",
    transitions=_forward(skips=True),
)
STRICT = Lifecycle(
    name="strict",
    initial="development",
    production="production",
    retired="deprecated",
    transitions=_forward(skips=False),
)
BUILTIN: Mapping[str, Lifecycle] = {"standard": STANDARD, "strict": STRICT}
