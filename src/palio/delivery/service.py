"""Verbs on endpoints; each is one unit of work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from palio.access.audit import Change
from palio.access.domain import Identity, Role, requires
from palio.delivery.domain import Endpoint, Route, Table
from palio.delivery.ports import DeliveryUnit
from palio.errors import AlreadyExists, Conflict, NotFound
from palio.experiments.running import running_on
from palio.experiments.service import pause_within
from palio.ports import Clock, Store
from palio.registry import aliases
from palio.registry.domain import CHAMPION, check_name
from palio.registry.finding import find_model, find_version

__all__ = ["Endpoints", "routing_table"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Stable addresses that clients call."""

    store: Store[DeliveryUnit]
    clock: Clock
    actor: Identity

    @requires(Role.OPERATOR)
    def create(self, name: str, model: str, description: str = "") -> Endpoint:
        """Open an address that serves a model's champion, or the experiment that runs on it."""
        endpoint = Endpoint(
            name=check_name("endpoint", name),
            model=model,
            created_at=self.clock(),
            created_by=self.actor.name,
            description=description,
        )
        with self.store.write() as unit:
            find_model(unit, model, lock=True)
            if unit.endpoints.get(name) is not None:
                raise AlreadyExists(
                    f"the endpoint {name!r} exists; take another name", kind="endpoint", name=name
                )
            unit.endpoints.add(endpoint)
            unit.audit.append(self._change("endpoint.create", name, after={"model": model}))
        return endpoint

    @requires(Role.VIEWER)
    def list(self) -> Sequence[Endpoint]:
        """Return all endpoints, oldest first."""
        with self.store.read() as unit:
            return unit.endpoints.find()

    @requires(Role.VIEWER)
    def get(self, name: str) -> Endpoint:
        """Return one endpoint."""
        with self.store.read() as unit:
            return _find(unit, name)

    @requires(Role.OPERATOR)
    def override(self, name: str, version: str, reason: str = "") -> Endpoint:
        """Send everything to one version at once, and pause the experiments that run here.

        Both happen in one transaction; ``clear`` takes the override back, and resuming the
        experiment is a decision of its own.
        """
        with self.store.write() as unit:
            endpoint = _find(unit, name, lock=True)
            overridden = replace(endpoint, override=version)
            change = self._change(
                "endpoint.override",
                name,
                before={"override": endpoint.override},
                after={"override": version},
                reason=reason,
            )
            unit.endpoints.put_many([overridden])
            why = f"endpoint {name} overridden to {version}"
            paused = [
                pause_within(unit, running.key, replace(change, reason=why))[1]
                for running in running_on(unit, name)
            ]
            find_model(unit, endpoint.model, lock=True)  # after the experiment, as `ship` does
            find_version(unit, f"{endpoint.model}:{version}")
            for one in (change, *paused):
                unit.audit.append(one)
        return overridden

    @requires(Role.OPERATOR)
    def clear(self, name: str, reason: str = "") -> Endpoint:
        """Take the override back; experiments, if they run, and the champion serve again."""
        with self.store.write() as unit:
            endpoint = _find(unit, name, lock=True)
            if endpoint.override is None:
                raise Conflict(f"{name} has no override; nothing to clear", endpoint=name)
            cleared = replace(endpoint, override=None)
            unit.endpoints.put_many([cleared])
            unit.audit.append(
                self._change(
                    "endpoint.clear",
                    name,
                    before={"override": endpoint.override},
                    after={"override": None},
                    reason=reason,
                )
            )
        return cleared

    def _change(self, action: str, subject: str, **fields: Any) -> Change:
        return Change(
            at=self.clock(), actor=self.actor.name, action=action, subject=subject, **fields
        )


def routing_table(unit: DeliveryUnit) -> Table:
    """Return all routes as they stand, with the revision they were read at."""
    routes = [
        Route(
            endpoint=endpoint.name,
            model=endpoint.model,
            champion=aliases.target(unit, endpoint.model, CHAMPION),
            override=endpoint.override,
            experiments=tuple(one.assigner() for one in running_on(unit, endpoint.name)),
        )
        for endpoint in unit.endpoints.find()
    ]
    return Table(unit.revision(), {route.endpoint: route for route in routes})


def _find(unit: DeliveryUnit, name: str, *, lock: bool = False) -> Endpoint:
    endpoint = unit.endpoints.get(name, lock=lock)
    if endpoint is None:
        raise NotFound(
            f"no endpoint is named {name!r}; `palio endpoints list` shows them",
            kind="endpoint",
            name=name,
        )
    return endpoint
