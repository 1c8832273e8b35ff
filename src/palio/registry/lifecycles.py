"""Verbs on lifecycles; each is one unit of work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from palio.access.audit import Change
from palio.access.domain import Identity, Role, requires
from palio.errors import AlreadyExists
from palio.ports import Clock, Store
from palio.registry.domain import check_name
from palio.registry.finding import find_lifecycle
from palio.registry.lifecycle import BUILTIN, Lifecycle
from palio.registry.ports import RegistryUnit

__all__ = ["Lifecycles"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycles:
    """The stages that versions pass through, as data."""

    store: Store[RegistryUnit]
    clock: Clock
    actor: Identity

    @requires(Role.VIEWER)
    def list(self) -> Sequence[Lifecycle]:
        """Return the newest revision of all lifecycles: those built in, then the declared ones."""
        with self.store.read() as unit:
            declared = {one.name: one for one in unit.lifecycles.find()}
        return [*BUILTIN.values(), *declared.values()]

    @requires(Role.VIEWER)
    def get(self, name: str, revision: int | None = None) -> Lifecycle:
        """Return one lifecycle, built in or declared, in its newest revision unless told."""
        with self.store.read() as unit:
            return find_lifecycle(unit, name, revision)

    @requires(Role.VIEWER)
    def revisions(self, name: str) -> Sequence[Lifecycle]:
        """Return every revision of a lifecycle, oldest first."""
        with self.store.read() as unit:
            newest = find_lifecycle(unit, name)
            return [newest] if name in BUILTIN else unit.lifecycles.find(name=name)

    @requires(Role.OPERATOR)
    def declare(self, lifecycle: Lifecycle) -> Lifecycle:
        """Keep a lifecycle of your own, for models to be created in.

        Under a name that exists it becomes the next revision; models stay with theirs until they
        adopt it. What says the same as the newest revision is that one, and nothing is kept.

        Raises
        ------
        AlreadyExists
            If the name is that of a built-in one.
        InvalidInput
            If versions could not reach a stage, or could not get away from one.
        """
        check_name("lifecycle", lifecycle.name)
        lifecycle.check_graph()
        if lifecycle.name in BUILTIN:
            raise AlreadyExists(
                f"the lifecycle {lifecycle.name!r} is built in and does not change; "
                "take another name",
                kind="lifecycle",
                name=lifecycle.name,
            )
        try:
            return self._declare(lifecycle)
        except AlreadyExists:  # another first revision came in between
            return self._declare(lifecycle)

    def _declare(self, lifecycle: Lifecycle) -> Lifecycle:
        with self.store.write() as unit:
            first = unit.lifecycles.get(lifecycle.name, 1, lock=True)
            # one that came after that look is not locked: revision 1 is then refused, and again
            last = [] if first is None else unit.lifecycles.find(name=lifecycle.name, last=1)
            if last and lifecycle.says_as(last[0]):
                return last[0]
            declared = replace(lifecycle, revision=last[0].revision + 1 if last else 1)
            unit.lifecycles.add(declared)
            after = {
                "revision": declared.revision,
                "transitions": declared.transitions,
                "requires": declared.requires,
                "aliases": declared.aliases,
            }
            unit.audit.append(
                Change(
                    at=self.clock(),
                    actor=self.actor.name,
                    action="lifecycle.declare",
                    subject=declared.name,
                    after=after,
                )
            )
        return declared
