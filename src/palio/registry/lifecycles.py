"""Verbs on lifecycles; each is one unit of work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
        """Return all lifecycles: those built in, then the declared ones, oldest first."""
        with self.store.read() as unit:
            return [*BUILTIN.values(), *unit.lifecycles.find()]

    @requires(Role.VIEWER)
    def get(self, name: str) -> Lifecycle:
        """Return one lifecycle, built in or declared."""
        with self.store.read() as unit:
            return find_lifecycle(unit, name)

    @requires(Role.OPERATOR)
    def declare(self, lifecycle: Lifecycle) -> Lifecycle:
        """Keep a lifecycle of your own, for models to be created in.

        Raises
        ------
        InvalidInput
            If versions could not reach a stage, or could not get away from one.
        """
        check_name("lifecycle", lifecycle.name)
        lifecycle.check_graph()
        with self.store.write() as unit:
            if lifecycle.name in BUILTIN or unit.lifecycles.get(lifecycle.name, 1) is not None:
                raise AlreadyExists(
                    f"the lifecycle {lifecycle.name!r} exists and does not change; "
                    "take another name",
                    kind="lifecycle",
                    name=lifecycle.name,
                )
            unit.lifecycles.add(lifecycle)
            after = {
                "transitions": lifecycle.transitions,
                "requires": lifecycle.requires,
                "aliases": lifecycle.aliases,
            }
            unit.audit.append(
                Change(
                    at=self.clock(),
                    actor=self.actor.name,
                    action="lifecycle.declare",
                    subject=lifecycle.name,
                    after=after,
                )
            )
        return lifecycle
