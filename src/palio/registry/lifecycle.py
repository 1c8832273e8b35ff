"""Lifecycles as data: the stages of a model's versions and the steps between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import msgspec

from palio.access.domain import Role
from palio.errors import IllegalTransition, InvalidInput
from palio.registry.domain import CHAMPION, check_name
from palio.registry.requirements import (
    FOUR_EYES,
    PASSED_EXPERIMENT,
    Requirement,
    Requirements,
    check_requirement,
    nearest,
)

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
        For every stage, the stages a version may go to from there; none if it is an end.
    requires
        For some stages, what a version must meet to enter them; ``registry/requirements.py``
        lists the kinds.
    aliases
        For some aliases, the least role that may set them; ``operator`` for all others.
    revision
        Which declaration under this name it is, as the store numbers them; models follow the
        one they were given until they adopt another.
    """

    name: str
    initial: str
    production: str
    retired: str
    transitions: Mapping[str, tuple[str, ...]]
    requires: Requirements = field(default_factory=dict)
    aliases: Mapping[str, Role] = field(default_factory=dict)
    revision: int = 1

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
        self._check_requires()
        self._check_aliases()

    @classmethod
    def declared(cls, content: Any) -> Lifecycle:
        """Read a lifecycle as a person wrote it: plain mappings, lists, texts and numbers.

        Raises
        ------
        InvalidInput
            If a field is unknown, with the nearest known one; if one is missing or of another
            type; or if the lifecycle would not hold, as ``check_graph`` says.
        """
        known = [one.name for one in fields(cls)]
        for name in content if isinstance(content, Mapping) else ():
            if name not in known:
                raise InvalidInput(
                    f"{name}: a lifecycle has no such field{nearest(str(name), known)} "
                    f"It has {', '.join(known)}",
                    field=str(name),
                )
            _check_entries(str(name), content[name])
        try:
            made = msgspec.convert(content, type=cls)
        except msgspec.ValidationError as unfit:
            raise InvalidInput(
                f"the lifecycle does not read: {unfit}; "
                "it needs name, initial, production, retired and transitions",
                field="lifecycle",
            ) from unfit
        made.check_graph()
        return made

    @property
    def stages(self) -> tuple[str, ...]:
        """All stages, in the order declared."""
        return tuple(self.transitions)

    @property
    def four_eyes(self) -> bool:
        """Tell whether production needs someone other than the creator."""
        return FOUR_EYES in self.required_by(self.production)

    def required_by(self, stage: str) -> tuple[Requirement, ...]:
        """Return what a version must meet to enter a stage."""
        return self.requires.get(stage, ())

    def may_stand(self, stage: str, *, champion: bool) -> bool:
        """Tell whether a version may be found in a stage: in production the champion alone."""
        return stage in self.transitions and (stage == self.production) is champion

    def says_as(self, other: Lifecycle) -> bool:
        """Tell whether another lifecycle has the same content in the same order."""
        alike = replace(self, revision=other.revision) == other
        return alike and self.stages == other.stages

    def role_for(self, alias: str) -> Role:
        """Return the least role that may set an alias."""
        return self.aliases.get(alias, Role.OPERATOR)

    def check_graph(self) -> None:
        """Raise ``InvalidInput`` that names every stage where a version could not go well.

        Old lifecycles are not asked: only what is declared from now on.
        """
        found = list(filter(None, (self._unreachable(), self._dead_ends(), self._no_retreat())))
        if found:
            raise InvalidInput(
                f"lifecycle {self.name!r}: {'; '.join(found)}", field="transitions", value=found
            )

    def _unreachable(self) -> str:
        reached = _reached({self.initial}, self.transitions)
        lost = [stage for stage in self.stages if stage not in reached]
        return f"no steps lead from {self.initial} to {', '.join(lost)}" if lost else ""

    def _dead_ends(self) -> str:
        goals = {self.production, *(stage for stage, to in self.transitions.items() if not to)}
        backwards = {
            stage: tuple(source for source, to in self.transitions.items() if stage in to)
            for stage in self.stages
        }
        saved = _reached(goals, backwards)
        stuck = [stage for stage in self.stages if stage not in saved]
        return (
            f"{', '.join(stuck)} can reach neither {self.production} nor an end "
            "(a stage with an empty list)"
            if stuck
            else ""
        )

    def _no_retreat(self) -> str:
        leads = self.retired in self.transitions[self.production]
        return (
            ""
            if leads
            else f"{self.production} must lead to {self.retired}, where former champions go"
        )

    def _check_requires(self) -> None:
        for stage, requirements in self.requires.items():
            if stage not in self.transitions:
                raise InvalidInput(
                    f"requires.{stage}: lifecycle {self.name!r} has no such stage"
                    f"{nearest(stage, self.stages)} It has {', '.join(self.stages)}",
                    field=f"requires.{stage}",
                    value=stage,
                )
            if stage in (self.initial, self.retired):
                raise InvalidInput(
                    f"requires.{stage}: versions come to {stage} by being registered or replaced, "
                    "which nothing may hinder; require it of another stage",
                    field=f"requires.{stage}",
                    value=stage,
                )
            for number, requirement in enumerate(requirements):
                self._check_requirement(stage, f"requires.{stage}.{number}", requirement)

    def _check_requirement(self, stage: str, place: str, requirement: Requirement) -> None:
        check_requirement(place, requirement)
        if requirement == PASSED_EXPERIMENT and stage != self.production:
            raise InvalidInput(
                f"{place}.experiment: an experiment ends by shipping its winner to production; "
                f"require it of {self.production}",
                field=f"{place}.experiment",
                value=stage,
            )

    def _check_aliases(self) -> None:
        for alias, role in self.aliases.items():
            check_name(f"aliases.{alias}", alias)
            if alias == CHAMPION or role is Role.VIEWER:
                raise InvalidInput(
                    f"aliases.{alias} cannot be {role}; operator and admin may be given an alias, "
                    f"and @{CHAMPION} moves with {self.production}: guard it by requirements",
                    field=f"aliases.{alias}",
                    value=role,
                )

    def refusal(self, reference: str, source: str, target: str) -> str:
        """Return why a version may not go from ``source`` to ``target``; empty if it may."""
        allowed = self.transitions[source]
        if target in allowed:
            return ""
        return (
            f"{reference} cannot go from {source} to {target}; "
            f"allowed from {source}: {', '.join(allowed) or 'nothing, it is an end'}"
        )

    def check(self, reference: str, source: str, target: str) -> None:
        """Raise ``IllegalTransition`` unless a version may go from ``source`` to ``target``."""
        if refused := self.refusal(reference, source, target):
            raise IllegalTransition(
                refused,
                version=reference,
                source=source,
                target=target,
                allowed=list(self.transitions[source]),
            )


def _reached(starts: set[str], steps: Mapping[str, tuple[str, ...]]) -> set[str]:
    found, waiting = set(starts), list(starts)
    while waiting:
        new = set(steps[waiting.pop()]) - found
        found |= new
        waiting.extend(new)
    return found


_ENTRIES: Mapping[str, tuple[Any, str]] = {
    "transitions": (tuple[str, ...], "give a list of stages, empty if it is an end"),
    "requires": (tuple[Requirement, ...], "give a list, as in [{metric: auc, at_least: 0.75}]"),
    "aliases": (Role, f"give a role: {Role.OPERATOR} or {Role.ADMIN}"),
}


def _check_entries(name: str, content: Any) -> None:
    """Name the entry of a mapping that is of another kind, which a decoder would not."""
    if name not in _ENTRIES or not isinstance(content, Mapping):
        return
    kind, remedy = _ENTRIES[name]
    for key, value in content.items():
        try:
            msgspec.convert(value, type=kind)
        except msgspec.ValidationError as unfit:
            raise InvalidInput(
                f"{name}.{key} is {value!r}; {remedy}", field=f"{name}.{key}", value=str(value)
            ) from unfit


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
