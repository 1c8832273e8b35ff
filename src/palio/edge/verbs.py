"""All verbs in one hand, acting as one identity: what every face is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from palio.access.alerts import Alerts
from palio.access.domain import Identity
from palio.access.service import Audit, Keys
from palio.delivery.deployments.service import Deployments
from palio.delivery.service import Endpoints
from palio.experiments.outcomes import Outcomes
from palio.experiments.privacy.units import Units
from palio.experiments.service import Experiments
from palio.registry.artifacts import Artifacts
from palio.registry.lifecycles import Lifecycles
from palio.registry.service import Models
from palio.registry.versions import Versions

__all__ = ["NOUNS", "Verbs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verbs:
    """The nouns with their verbs."""

    models: Models
    versions: Versions
    lifecycles: Lifecycles
    artifacts: Artifacts
    endpoints: Endpoints
    deployments: Deployments
    experiments: Experiments
    outcomes: Outcomes
    units: Units
    alerts: Alerts
    keys: Keys
    audit: Audit

    def acting_as(self, actor: Identity) -> Verbs:
        """Return the same verbs in somebody else's name."""
        return Verbs(
            **{
                field.name: replace(getattr(self, field.name), actor=actor)
                for field in fields(self)
            }
        )


NOUNS: Mapping[str, type[object]] = {
    "models": Models,
    "versions": Versions,
    "lifecycles": Lifecycles,
    "artifacts": Artifacts,
    "endpoints": Endpoints,
    "deployments": Deployments,
    "experiments": Experiments,
    "outcomes": Outcomes,
    "units": Units,
    "alerts": Alerts,
    "keys": Keys,
    "audit": Audit,
}
