"""Verbs on endpoints; each is one unit of work."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from palio.access.audit import Change
from palio.access.domain import Identity, Role, requires
from palio.delivery.deployments.placing import standing
from palio.delivery.domain import Endpoint, OnError, Route, Table
from palio.delivery.loaded import InMemory
from palio.delivery.ports import DeliveryUnit
from palio.delivery.traffic import EndpointMetrics, TrafficCounts, alive, check_window, summary
from palio.errors import AlreadyExists, Conflict, InvalidInput, NotFound, Refused
from palio.experiments.running import running_on
from palio.experiments.service import pause_within
from palio.ports import Clock, Store
from palio.registry import aliases
from palio.registry.domain import CHAMPION, Version, check_name
from palio.registry.finding import find_model, find_version
from palio.registry.promotion import promote_within
from palio.registry.signing.attestation import NOBODY, Vouching

__all__ = ["Endpoints", "routing_table"]

_LONGEST_S = 3_600


def _serves_nothing(endpoint: str) -> InMemory:
    raise Refused(f"this process serves nothing, {endpoint} neither; ask one that does")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Stable addresses that clients call.

    ``publish`` brings what this process has answered into the store before traffic is read.
    ``in_memory`` tells what the server in this process has in memory for an endpoint.
    """

    store: Store[DeliveryUnit]
    clock: Clock
    actor: Identity
    vouching: Vouching = NOBODY
    in_memory: Callable[[str], InMemory] = _serves_nothing
    publish: Callable[[], object] = field(default_factory=lambda: _nothing, repr=False)

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

    @requires(Role.VIEWER)
    def shares(self, name: str) -> Mapping[str, float]:
        """Return the share of requests that each version gets now, in [0, 1].

        By an operator's override, the experiments that run, the traffic weights and the champion,
        in this order. A version of another model stands there as ``model:version``.
        """
        with self.store.read() as unit:
            return _route(unit, _find(unit, name)).shares

    @requires(Role.VIEWER)
    def metrics(self, name: str, window_s: float = 60.0) -> EndpointMetrics:
        """Return how an endpoint has done of late, by version, over all processes that serve.

        Versions of other models than its own are named with their model.

        Parameters
        ----------
        name
            The endpoint.
        window_s
            Seconds to look back, from 1 to 900.
        """
        check_window(window_s)
        self.publish()
        now = self.clock()
        with self.store.read() as unit:
            own = _find(unit, name).model
            start = int(now.timestamp() - window_s)
            counts = unit.traffic.since(start, endpoint=name)
            uses = unit.process_uses.find()
        by_version: dict[str, list[TrafficCounts]] = defaultdict(list)
        for one in counts:
            version = one.version if one.model == own else f"{one.model}:{one.version}"
            by_version[version].append(one)
        return EndpointMetrics(
            endpoint=name,
            at=now,
            window_s=window_s,
            versions={v: summary(by_version[v], window_s, now) for v in sorted(by_version)},
            processes=tuple(alive(uses, now)),
        )

    @requires(Role.OPERATOR)
    def weigh(
        self,
        name: str,
        weights: Mapping[str, float] | None,
        reason: str = "",
        *,
        promote: bool = False,
    ) -> Endpoint:
        """Share the traffic out that is in no experiment, at once.

        Parameters
        ----------
        name
            The endpoint.
        weights
            Share by version, each in [0, 1], summing to 1; versions that are not named get
            nothing. ``None`` gives everything to the champion again.
        reason
            Why, for the audit log.
        promote
            Whether the version with the largest share becomes champion where the present
            champion gets nothing, in the same transaction.

        Raises
        ------
        InvalidWeights
            If the shares are no distribution.
        NotFound
            If a version does not exist.
        InvalidInput
            If one that would get something holds files that are only kept.
        """
        with self.store.write() as unit:
            endpoint = _find(unit, name, lock=True)
            weighed = replace(endpoint, weights=weights)
            _check_free(unit, name)
            _ = weighed.traffic  # refuses what is no distribution
            find_model(unit, endpoint.model, lock=True)
            for version, share in (weights or {}).items():
                found = find_version(unit, f"{endpoint.model}:{version}")
                if share:
                    _check_serves(found)
            crowned = self._crown(unit, weighed, reason) if promote else None
            if weighed != endpoint:
                self._put(unit, "endpoint.weigh", endpoint, weighed, reason)
            if crowned is not None:
                unit.audit.append(crowned)
        return weighed

    @requires(Role.OPERATOR)
    def load(self, name: str, version: str, reason: str = "") -> Endpoint:
        """Keep a version in memory in every server, ready before anything is routed to it."""
        with self.store.write() as unit:
            endpoint = _find(unit, name, lock=True)
            find_model(unit, endpoint.model, lock=True)
            find_version(unit, f"{endpoint.model}:{version}")
            held = tuple(dict.fromkeys((*endpoint.held, version)))
            loaded = replace(endpoint, held=held)
            if loaded != endpoint:
                self._put(unit, "endpoint.load", endpoint, loaded, reason)
        return loaded

    @requires(Role.OPERATOR)
    def unload(self, name: str, version: str, reason: str = "") -> Endpoint:
        """Keep a version in memory no longer than something is routed to it.

        Raises
        ------
        Conflict
            If it is not kept, or the traffic weights give it something.
        """
        with self.store.write() as unit:
            endpoint = _find(unit, name, lock=True)
            if share := (endpoint.weights or {}).get(version):
                raise Conflict(
                    f"{version} gets {share:.2%} of {name}'s traffic; give "
                    "its share to others first",
                    endpoint=name,
                    version=version,
                )
            if version not in endpoint.held:
                raise Conflict(
                    f"{name} does not hold {version}; it holds "
                    f"{', '.join(endpoint.held) or 'none beyond what it routes to'}",
                    endpoint=name,
                    version=version,
                )
            _check_unplaced(unit, name, version)
            held = tuple(one for one in endpoint.held if one != version)
            unloaded = replace(endpoint, held=held)
            self._put(unit, "endpoint.unload", endpoint, unloaded, reason)
        return unloaded

    @requires(Role.VIEWER)
    def loaded(self, name: str) -> InMemory:
        """Return what the answering process has in memory for an endpoint, and why not the rest.

        A server tells of itself, and has done by then what was to be loaded; in process it is
        what this process loads to predict.
        """
        with self.store.read() as unit:
            _find(unit, name)
        return self.in_memory(name)

    @requires(Role.OPERATOR)
    def configure(
        self,
        name: str,
        *,
        on_error: OnError | None = None,
        timeout_s: float | None = None,
        description: str | None = None,
        reason: str = "",
    ) -> Endpoint:
        """Change how failures of versions are answered; what is not given stays.

        Parameters
        ----------
        name
            The endpoint.
        on_error
            ``fail``, or ``fallback`` to the champion's answer.
        timeout_s
            Seconds in (0, 3600] after which a version that does not answer has failed; 0 for
            never.
        description
            Who calls it.
        reason
            Why, for the audit log.
        """
        given = {"on_error": on_error, "description": description}
        new: dict[str, Any] = {key: one for key, one in given.items() if one is not None}
        if timeout_s is not None:
            if not 0 <= timeout_s <= _LONGEST_S:
                raise InvalidInput(
                    f"timeout_s must be in [0, {_LONGEST_S}], got {timeout_s}",
                    field="timeout_s",
                    value=timeout_s,
                )
            new["timeout_s"] = timeout_s or None
        with self.store.write() as unit:
            endpoint = _find(unit, name, lock=True)
            configured = replace(endpoint, **new)
            if configured != endpoint:
                self._put(unit, "endpoint.configure", endpoint, configured, reason)
        return configured

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

    def _crown(self, unit: DeliveryUnit, weighed: Endpoint, reason: str) -> Change | None:
        """Promote who gets most where the champion gets nothing; return what that changed."""
        champion = aliases.target(unit, weighed.model, CHAMPION)
        shares = weighed.weights or {}
        if not shares or shares.get(champion or ""):
            return None
        leader = f"{weighed.model}:{max(shares, key=lambda version: shares[version])}"
        change = self._change("version.promote", leader, reason=reason)
        version = find_version(unit, leader)
        return promote_within(unit, version, change, vouching=self.vouching, passed=False)[1]

    def _put(  # noqa: PLR0917 -- one entry
        self, unit: DeliveryUnit, action: str, before: Endpoint, after: Endpoint, reason: str
    ) -> None:
        """Keep an endpoint, and what has changed of it in the audit log."""
        names = [one.name for one in fields(after)]
        changed = [name for name in names if getattr(before, name) != getattr(after, name)]
        unit.endpoints.put_many([after])
        unit.audit.append(
            self._change(
                action,
                after.name,
                before={name: getattr(before, name) for name in changed},
                after={name: getattr(after, name) for name in changed},
                reason=reason,
            )
        )

    def _change(self, action: str, subject: str, **fields: Any) -> Change:
        return Change(
            at=self.clock(), actor=self.actor.name, action=action, subject=subject, **fields
        )


def routing_table(unit: DeliveryUnit) -> Table:
    """Return all routes as they stand, with the revision they were read at."""
    routes = [_route(unit, endpoint) for endpoint in unit.endpoints.find()]
    return Table(unit.revision(), {route.endpoint: route for route in routes})


def _route(unit: DeliveryUnit, endpoint: Endpoint) -> Route:
    return Route(
        endpoint=endpoint.name,
        model=endpoint.model,
        champion=aliases.target(unit, endpoint.model, CHAMPION),
        override=endpoint.override,
        experiments=tuple(
            one.assigner() for one in running_on(unit, endpoint.name) if one.design.serves
        ),
        traffic=endpoint.traffic,
        held=endpoint.held,
        on_error=endpoint.on_error,
        timeout_s=endpoint.timeout_s,
    )


def _nothing() -> None:
    """Do nothing: this process answers nobody."""


def _check_free(unit: DeliveryUnit, name: str) -> None:
    """Refuse to set weights beside deployments, which would take them back."""
    names = ", ".join(one.name for one in standing(unit, name))
    if names:
        raise Conflict(
            f"the traffic of {name} is shared out by its deployments: {names}; undeploy them "
            "first, or send everything to one version by `palio endpoints override`",
            endpoint=name,
        )


def _check_serves(version: Version) -> None:
    if version.signature is None:
        raise InvalidInput(
            f"{version.reference} is of flavor {version.flavor} and has no signature: its files "
            "are only kept, and answer no requests; give its share to a version that does",
            field="weights",
            value=version.reference,
        )


def _check_unplaced(unit: DeliveryUnit, name: str, version: str) -> None:
    for one in standing(unit, name):
        if one.version == version:
            raise Conflict(
                f"the deployment {one.name} has {name} hold {version}; undeploy it instead",
                endpoint=name,
                version=version,
            )


def _find(unit: DeliveryUnit, name: str, *, lock: bool = False) -> Endpoint:
    endpoint = unit.endpoints.get(name, lock=lock)
    if endpoint is None:
        raise NotFound(
            f"no endpoint is named {name!r}; `palio endpoints list` shows them",
            kind="endpoint",
            name=name,
        )
    return endpoint
