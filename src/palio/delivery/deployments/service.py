"""Verbs on deployments; each is one unit of work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from palio.access.audit import Change
from palio.access.domain import Identity, Role, requires
from palio.delivery.deployments.alerting import tell
from palio.delivery.deployments.control import Action, Kind
from palio.delivery.deployments.domain import OPEN, Deployment, Health, State
from palio.delivery.deployments.looking import Looking, end
from palio.delivery.deployments.placing import others_of, place, standing
from palio.delivery.deployments.ports import NO_GPUS, NOBODY, GpusOf, Runtime
from palio.delivery.deployments.reports import (
    DeploymentMetrics,
    DeploymentStatus,
    metrics_within,
    status_within,
)
from palio.delivery.deployments.wanted import PRODUCTION, DeploymentDraft, not_honoured
from palio.delivery.domain import Endpoint
from palio.delivery.ports import DeliveryUnit
from palio.delivery.traffic import check_window
from palio.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from palio.ports import Clock, Store
from palio.registry.domain import Version, check_name
from palio.registry.ensembles.members import members_of
from palio.registry.finding import find_model, find_version

__all__ = ["Deployments"]

_FIELDS = tuple(one.name for one in fields(DeploymentDraft))


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployments:
    """Versions placed behind endpoints, watched, and taken back where they fail.

    ``runtime`` is where versions are asked whether they answer; ``gpus`` tells whether that is on
    GPUs; ``publish`` brings what this process has answered into the store before it is read.
    """

    store: Store[DeliveryUnit]
    clock: Clock
    actor: Identity
    runtime: Runtime = field(default=NOBODY, repr=False)
    gpus: GpusOf = field(default=lambda _: NO_GPUS, repr=False)
    publish: Callable[[], object] = field(default=lambda: None, repr=False)

    @requires(Role.OPERATOR)
    def deploy(self, deployment: DeploymentDraft) -> Deployment:
        """Place a version behind an endpoint: held at once, given traffic when it is ready.

        It is ready when it has answered a check and every process that serves has it in memory.
        Where that is so by now it gets its traffic, or the start share of its canary, before this
        returns; otherwise the answer is ``pending``, and the controller goes on.

        Parameters
        ----------
        deployment
            What is asked for.

        Raises
        ------
        NotFound
            If the model, the version or the endpoint that is named does not exist.
        AlreadyExists
            If a deployment of the name has not ended.
        Conflict
            If the version is deployed on the endpoint already, or another model answers there.
        InvalidInput
            If the version's files are larger than it may take, or nothing could answer the rest.
        """
        told = self._not_honoured(deployment)
        with self.store.write() as unit:
            endpoint = self._endpoint(unit, deployment)
            find_model(unit, deployment.model, lock=True)
            version = find_version(unit, f"{deployment.model}:{deployment.version}")
            _check_size(deployment, version)
            _check_row(deployment, version)
            made = self._made(unit, deployment, endpoint, not_honoured=told)
            _check_rest(unit, made, endpoint)
            self._keep(unit, made)
            held = tuple(dict.fromkeys((*endpoint.held, made.version)))
            unit.endpoints.put_many([replace(endpoint, held=held)])
            unit.audit.append(_deployed(self._change("deploy", made), made))
        self._looking.look(made.name)
        return self.get(made.name)

    @requires(Role.OPERATOR)
    def undeploy(self, name: str, reason: str = "") -> Deployment:
        """Take a deployment back that is not wanted any more: its traffic goes where it was."""
        return self._end(name, State.UNDEPLOYED, "undeploy", reason)

    @requires(Role.OPERATOR)
    def rollback(self, name: str, reason: str = "") -> Deployment:
        """Take a deployment back that fails, at once: its traffic goes where it was.

        Raises
        ------
        Conflict
            If nothing else could answer.
        """
        return self._end(name, State.ROLLED_BACK, "rollback", reason)

    @requires(Role.VIEWER)
    def list(
        self,
        endpoint: str | None = None,
        environment: str | None = None,
        *,
        ended: bool = False,
    ) -> Sequence[Deployment]:
        """Return deployments, oldest first: those that have not ended, or all."""
        asked = {"endpoint": endpoint, "environment": environment}
        given: dict[str, Any] = {name: of for name, of in asked.items() if of is not None}
        with self.store.read() as unit:
            found = unit.deployments.find(**given)
        kept = [one for one in found if ended or one.state in OPEN]
        return sorted(kept, key=lambda one: one.created_at)

    @requires(Role.VIEWER)
    def get(self, name: str) -> Deployment:
        """Return one deployment."""
        with self.store.read() as unit:
            return _find(unit, name)

    @requires(Role.VIEWER)
    def status(self, name: str) -> DeploymentStatus:
        """Return how a deployment stands, and what keeps traffic from it."""
        with self.store.read() as unit:
            return status_within(unit, _find(unit, name))

    @requires(Role.VIEWER)
    def health(self, name: str) -> Health:
        """Ask a deployment's version now, and return what was found; nothing is kept of it.

        Raises
        ------
        Conflict
            If the deployment has ended.
        """
        found = self.get(name)
        if found.state not in OPEN:
            raise Conflict(
                f"{name} is {found.state} since {found.since.isoformat()}, so nothing is asked; "
                "deploy again",
                deployment=name,
                state=found.state,
            )
        return self._looking.health(found)

    @requires(Role.VIEWER)
    def metrics(self, name: str, window_s: float = 60.0) -> DeploymentMetrics:
        """Return how a deployment has done of late, over all processes that serve.

        Parameters
        ----------
        name
            The deployment.
        window_s
            Seconds to look back, from 1 to 900.
        """
        check_window(window_s)
        self.publish()
        now = self.clock()
        with self.store.read() as unit:
            return metrics_within(unit, _find(unit, name), window_s, now)

    @property
    def _looking(self) -> Looking:
        return Looking(
            store=self.store,
            clock=self.clock,
            runtime=self.runtime,
            actor=self.actor.name,
        )

    def _not_honoured(self, asked: DeploymentDraft) -> tuple[str, ...]:
        if not asked.resources.gpu:
            return not_honoured(asked.resources, asked.scaling)
        with self.store.read() as unit:
            version = find_version(unit, f"{asked.model}:{asked.version}")
            members = [find_version(unit, member) for member in members_of(version)]
        flavors = {one.flavor for one in members or [version]}
        return not_honoured(asked.resources, asked.scaling, self.gpus(flavors))

    def _endpoint(self, unit: DeliveryUnit, asked: DeploymentDraft) -> Endpoint:
        """Return the endpoint that is named, or that of the environment, opened where missing."""
        of_environment = (
            asked.model
            if asked.environment == PRODUCTION
            else f"{asked.model}-{asked.environment}"
        )
        name = asked.endpoint or of_environment
        found = unit.endpoints.get(name, lock=True)
        if found is None and asked.endpoint:
            raise NotFound(
                f"no endpoint is named {name!r}; `palio endpoints create {name} --model "
                f"{asked.model}` opens it, and without a name the environment's is taken",
                kind="endpoint",
                name=name,
            )
        if found is None:
            return self._opened(unit, name, asked)
        if found.model != asked.model:
            raise Conflict(
                f"{name} serves versions of {found.model}, not of {asked.model}; name another "
                "endpoint",
                endpoint=name,
                model=found.model,
            )
        return found

    def _opened(self, unit: DeliveryUnit, name: str, asked: DeploymentDraft) -> Endpoint:
        find_model(unit, asked.model, lock=True)
        made = Endpoint(
            name=check_name("environment", name),
            model=asked.model,
            created_at=self.clock(),
            created_by=self.actor.name,
            description=asked.environment,
        )
        unit.endpoints.add(made)
        unit.audit.append(
            Change(
                at=made.created_at,
                actor=self.actor.name,
                action="endpoint.create",
                subject=name,
                after={"model": asked.model},
                reason=f"for the deployment {asked.name}",
            )
        )
        return made

    def _made(
        self,
        unit: DeliveryUnit,
        asked: DeploymentDraft,
        endpoint: Endpoint,
        *,
        not_honoured: tuple[str, ...],
    ) -> Deployment:
        now, before = self.clock(), unit.deployments.get(asked.name, lock=True)
        if before is not None and before.state in OPEN:
            raise AlreadyExists(
                f"{asked.name} is {before.state} with {before.reference}; "
                f"`palio deployments undeploy {asked.name}` ends it, or take another name",
                kind="deployment",
                name=asked.name,
            )
        there = standing(unit, endpoint.name)
        for one in there:
            if one.version == asked.version:
                raise Conflict(
                    f"{one.name} has {one.reference} on {endpoint.name} already; undeploy it "
                    "first",
                    deployment=one.name,
                    endpoint=endpoint.name,
                )
        given = {name: getattr(asked, name) for name in _FIELDS}
        return Deployment(
            **{**given, "endpoint": endpoint.name},
            state=State.PENDING,
            since=now,
            created_at=now,
            created_by=self.actor.name,
            revision=1 if before is None else before.revision + 1,
            weights_before=there[0].weights_before if there else endpoint.weights,
            holds=asked.version not in endpoint.held,
            not_honoured=not_honoured,
        )

    def _keep(self, unit: DeliveryUnit, made: Deployment) -> None:
        """Add a deployment, or have it take the place of one of its name that has ended."""
        if made.revision == 1:
            unit.deployments.add(made)  # of two who take a free name at once one is refused
        else:
            unit.deployments.put_many([made])

    def _end(self, name: str, state: State, verb: str, reason: str) -> Deployment:
        with self.store.write() as unit:
            endpoint = unit.endpoints.get(_find(unit, name).endpoint, lock=True)
            found = _find(unit, name, lock=True)
            found.check(state)
            if endpoint is None:
                raise NotFound(
                    f"the endpoint {found.endpoint} is gone", kind="endpoint", name=found.endpoint
                )
            if state is State.ROLLED_BACK:
                _check_way_back(unit, found, endpoint)
            ended = end(found, state, self.clock(), reason)
            unit.deployments.put_many([ended])
            placed = place(unit, endpoint, ended=ended)
            change = self._change(verb, found, reason=reason)
            before = {"state": found.state, "weights": endpoint.weights}
            after = {"state": state, "weights": placed.weights}
            unit.audit.append(replace(change, before=before, after=after))
            if state is State.ROLLED_BACK:
                action = Action(kind=Kind.ROLL_BACK, reason=reason)
                tell(unit, ended, action, by=self.actor.name, at=ended.since)
        return ended

    def _change(self, verb: str, deployment: Deployment, reason: str = "") -> Change:
        return Change(
            at=self.clock(),
            actor=self.actor.name,
            action=f"deployment.{verb}",
            subject=deployment.name,
            reason=reason or deployment.reason,
        )


def _deployed(change: Change, made: Deployment) -> Change:
    after: dict[str, Any] = {
        "state": made.state,
        "version": made.reference,
        "endpoint": made.endpoint,
        "environment": made.environment,
        "traffic_share": made.traffic_share,
    }
    if made.not_honoured:
        after["not_honoured"] = made.not_honoured
    return replace(change, after=after)


def _check_size(asked: DeploymentDraft, version: Version) -> None:
    most = asked.resources.memory_bytes
    size = sum(one.size_bytes for one in version.manifest.files)
    if most is not None and size > most:
        raise InvalidInput(
            f"resources.memory_bytes is {most:,}, and the files of {asked.model}:{asked.version} "
            f"alone have {size:,}; allow more",
            field="resources.memory_bytes",
            value=most,
        )


def _check_row(asked: DeploymentDraft, version: Version) -> None:
    """Refuse a row that the version would never be asked about."""
    row = asked.health_check.row
    if row is not None and version.signature is not None:
        version.signature.table([row])


def _check_rest(unit: DeliveryUnit, made: Deployment, endpoint: Endpoint) -> None:
    """Refuse to give less than everything where nothing could answer the rest."""
    least = made.canary.start_share if made.canary is not None else made.traffic_share
    there = [*standing(unit, endpoint.name), made]
    if least < 1 and not others_of(unit, endpoint, there, made.name):
        raise InvalidInput(
            f"{made.name} would get {least:.2%} of {endpoint.name}, and nothing else answers "
            f"there; give it everything without a canary, or promote another version of "
            f"{made.model} first",
            field="canary.start_share" if made.canary is not None else "traffic_share",
            value=least,
        )


def _check_way_back(unit: DeliveryUnit, found: Deployment, endpoint: Endpoint) -> None:
    if not others_of(unit, endpoint, standing(unit, endpoint.name), found.name):
        raise Conflict(
            f"nothing but {found.reference} could answer {endpoint.name}, so there is nothing to "
            f"go back to; promote another version of {found.model}, or undeploy {found.name}",
            deployment=found.name,
            endpoint=endpoint.name,
        )


def _find(unit: DeliveryUnit, name: str, *, lock: bool = False) -> Deployment:
    found = unit.deployments.get(name, lock=lock)
    if found is None:
        raise NotFound(
            f"no deployment is named {name!r}; `palio deployments list --ended` shows them all",
            kind="deployment",
            name=name,
        )
    return found
