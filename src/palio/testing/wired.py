"""All verbs wired on one store and on fakes, in somebody's name."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from palio.access.alerts import Alerts
from palio.access.domain import Identity, Role
from palio.access.service import Audit, Keys
from palio.artifacts.sources import FileSources
from palio.delivery.deployments.service import Deployments
from palio.delivery.ports import DeliveryUnit
from palio.delivery.service import Endpoints
from palio.experiments.designs.design import ExperimentDraft
from palio.experiments.domain import Experiment
from palio.experiments.outcomes import Outcomes
from palio.experiments.privacy.pseudonyms import AS_SENT, Pseudonyms
from palio.experiments.privacy.units import Units
from palio.experiments.service import Experiments
from palio.ports import Store
from palio.registry.artifacts import Artifacts
from palio.registry.domain import Version, VersionDraft
from palio.registry.lifecycles import Lifecycles
from palio.registry.service import Models
from palio.registry.signature import Feature, FeatureType, Signature, Task
from palio.registry.signing.attestation import NOBODY, Vouching
from palio.registry.versions import Versions
from palio.testing.fakes import FakeArtifacts, FakeClock, FakeIds, FakeRuntime

__all__ = ["Wired"]

_BINARY = Signature((Feature("age", FeatureType.NUMBER),), Task.CLASSIFICATION, (0, 1))


@dataclass(frozen=True)
class Wired:
    """The verbs of every noun; clock, ids and files are fakes that a test can move."""

    store: Store[DeliveryUnit]
    actor: Identity = Identity("ann", Role.ADMIN)  # noqa: RUF009 - frozen
    clock: FakeClock = field(default_factory=FakeClock)
    ids: FakeIds = field(default_factory=FakeIds)
    files: FakeArtifacts = field(default_factory=FakeArtifacts)
    vouching: Vouching = NOBODY
    runtime: FakeRuntime = field(default_factory=FakeRuntime)
    pseudonyms: Pseudonyms = AS_SENT
    retention_days: int | None = None

    def acting(self, name: str, role: Role) -> Wired:
        """Return the same verbs in another name."""
        return replace(self, actor=Identity(name, role))

    @property
    def models(self) -> Models:
        """Verbs on models."""
        return Models(store=self.store, clock=self.clock, actor=self.actor, vouching=self.vouching)

    @property
    def versions(self) -> Versions:
        """Verbs on versions."""
        return Versions(
            store=self.store,
            artifacts=self.files,
            sources=FileSources(),
            clock=self.clock,
            actor=self.actor,
            vouching=self.vouching,
        )

    @property
    def lifecycles(self) -> Lifecycles:
        """Verbs on lifecycles."""
        return Lifecycles(store=self.store, clock=self.clock, actor=self.actor)

    @property
    def artifacts(self) -> Artifacts:
        """Verbs on the files of versions."""
        return Artifacts(
            store=self.store, artifacts=self.files, clock=self.clock, actor=self.actor
        )

    @property
    def endpoints(self) -> Endpoints:
        """Verbs on endpoints."""
        return Endpoints(
            store=self.store, clock=self.clock, actor=self.actor, vouching=self.vouching
        )

    @property
    def deployments(self) -> Deployments:
        """Verbs on deployments."""
        return Deployments(
            store=self.store, clock=self.clock, actor=self.actor, runtime=self.runtime
        )

    @property
    def experiments(self) -> Experiments:
        """Verbs on experiments."""
        return Experiments(
            store=self.store,
            clock=self.clock,
            ids=self.ids,
            actor=self.actor,
            vouching=self.vouching,
            pseudonyms=self.pseudonyms,
        )

    @property
    def outcomes(self) -> Outcomes:
        """The verb on outcomes."""
        return Outcomes(
            store=self.store,
            clock=self.clock,
            ids=self.ids,
            actor=self.actor,
            pseudonyms=self.pseudonyms,
        )

    @property
    def units(self) -> Units:
        """Verbs on units."""
        return Units(
            store=self.store,
            clock=self.clock,
            actor=self.actor,
            pseudonyms=self.pseudonyms,
            retention_days=self.retention_days,
        )

    @property
    def alerts(self) -> Alerts:
        """The verb on alerts."""
        return Alerts(store=self.store, actor=self.actor)

    @property
    def keys(self) -> Keys:
        """Verbs on keys."""
        return Keys(store=self.store, clock=self.clock, ids=self.ids, actor=self.actor)

    @property
    def audit(self) -> Audit:
        """Verbs on the audit log."""
        return Audit(store=self.store, actor=self.actor)

    def register(self, *references: str, signature: Signature | None = _BINARY) -> list[Version]:
        """Register versions ``model:version`` without files."""
        made = []
        for reference in references:
            model, _, version = reference.partition(":")
            draft = VersionDraft(version=version, flavor="sklearn", signature=signature)
            made.append(self.versions.register(model, draft, Path("/nonexistent")))
        return made

    def serve(self, *versions: str) -> None:
        """Register versions of the model ``credit``, and serve the first on ``credit``."""
        self.register(*(f"credit:{version}" for version in versions))
        self.versions.promote(f"credit:{versions[0]}")
        self.endpoints.create("credit", "credit")

    def run(self, design: ExperimentDraft) -> Experiment:
        """Draft and start an experiment."""
        self.experiments.draft(design)
        return self.experiments.start(design.key)
