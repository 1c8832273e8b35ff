"""The nouns of Palio, each under its name."""

from __future__ import annotations

from dataclasses import dataclass

from palio.access.alerts import Alerts
from palio.access.service import Audit, Keys
from palio.delivery.deployments.service import Deployments
from palio.delivery.service import Endpoints
from palio.edge.verbs import Verbs
from palio.experiments.outcomes import Outcomes
from palio.experiments.privacy.units import Units
from palio.experiments.service import Experiments
from palio.registry.artifacts import Artifacts
from palio.registry.lifecycles import Lifecycles
from palio.registry.service import Models
from palio.registry.versions import Versions

__all__ = ["Nouns"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Nouns:
    """The nouns with their verbs, in process or over HTTP."""

    verbs: Verbs

    @property
    def models(self) -> Models:
        """Models and their aliases."""
        return self.verbs.models

    @property
    def versions(self) -> Versions:
        """Versions, from their registration to the last of their files."""
        return self.verbs.versions

    @property
    def lifecycles(self) -> Lifecycles:
        """The stages that versions pass through, as data."""
        return self.verbs.lifecycles

    @property
    def artifacts(self) -> Artifacts:
        """The files of versions: compared, and tidied."""
        return self.verbs.artifacts

    @property
    def endpoints(self) -> Endpoints:
        """Stable addresses that clients call."""
        return self.verbs.endpoints

    @property
    def deployments(self) -> Deployments:
        """Versions placed behind endpoints, watched, and taken back where they fail."""
        return self.verbs.deployments

    @property
    def experiments(self) -> Experiments:
        """Experiments, from the draft to the decision."""
        return self.verbs.experiments

    @property
    def outcomes(self) -> Outcomes:
        """What became known later."""
        return self.verbs.outcomes

    @property
    def units(self) -> Units:
        """What is kept of units, and its end."""
        return self.verbs.units

    @property
    def alerts(self) -> Alerts:
        """What people were told."""
        return self.verbs.alerts

    @property
    def keys(self) -> Keys:
        """API keys."""
        return self.verbs.keys

    @property
    def audit(self) -> Audit:
        """The audit log."""
        return self.verbs.audit
