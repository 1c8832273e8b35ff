"""Palio settles which version of a model should be in production.

`connect` opens it, in process or over HTTP; the object it returns has the nouns with their verbs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from palio.errors import PalioError

if TYPE_CHECKING:
    from palio.delivery.deployments.wanted import (
        Canary,
        DeploymentDraft,
        Guardrail,
        HealthCheck,
        Resources,
        Scaling,
    )
    from palio.experiments.designs.assignment import Namespace
    from palio.experiments.designs.audience import Condition
    from palio.experiments.designs.covariates import Covariate, Segment
    from palio.experiments.designs.design import ExperimentDraft, Metrics, Stopping, Type, Variant
    from palio.experiments.designs.metrics import Metric
    from palio.experiments.designs.policy import Policy, PolicyKind
    from palio.experiments.designs.risk import Criteria, StopLoss
    from palio.experiments.events import OutcomeDraft
    from palio.experiments.tables.frames import analyze
    from palio.experiments.tables.off_policy import off_policy
    from palio.platform import connect
    from palio.registry.lifecycle import Lifecycle
    from palio.registry.signature import Feature, Signature
    from palio.session import Palio

__all__ = [
    "Canary",
    "Condition",
    "Covariate",
    "Criteria",
    "DeploymentDraft",
    "ExperimentDraft",
    "Feature",
    "Guardrail",
    "HealthCheck",
    "Lifecycle",
    "Metric",
    "Metrics",
    "Namespace",
    "OutcomeDraft",
    "Palio",
    "PalioError",
    "Policy",
    "PolicyKind",
    "Resources",
    "Scaling",
    "Segment",
    "Signature",
    "StopLoss",
    "Stopping",
    "Type",
    "Variant",
    "__version__",
    "analyze",
    "connect",
    "off_policy",
]

__version__ = "0.1.0"

_HOMES = {
    "Canary": "palio.delivery.deployments.wanted",
    "Condition": "palio.experiments.designs.audience",
    "Covariate": "palio.experiments.designs.covariates",
    "Criteria": "palio.experiments.designs.risk",
    "DeploymentDraft": "palio.delivery.deployments.wanted",
    "ExperimentDraft": "palio.experiments.designs.design",
    "Feature": "palio.registry.signature",
    "Guardrail": "palio.delivery.deployments.wanted",
    "HealthCheck": "palio.delivery.deployments.wanted",
    "Lifecycle": "palio.registry.lifecycle",
    "Metric": "palio.experiments.designs.metrics",
    "Metrics": "palio.experiments.designs.design",
    "Namespace": "palio.experiments.designs.assignment",
    "OutcomeDraft": "palio.experiments.events",
    "Palio": "palio.session",
    "Policy": "palio.experiments.designs.policy",
    "PolicyKind": "palio.experiments.designs.policy",
    "Resources": "palio.delivery.deployments.wanted",
    "Scaling": "palio.delivery.deployments.wanted",
    "Segment": "palio.experiments.designs.covariates",
    "Signature": "palio.registry.signature",
    "StopLoss": "palio.experiments.designs.risk",
    "Stopping": "palio.experiments.designs.design",
    "Type": "palio.experiments.designs.design",
    "Variant": "palio.experiments.designs.design",
    "analyze": "palio.experiments.tables.frames",
    "connect": "palio.platform",
    "off_policy": "palio.experiments.tables.off_policy",
}


def __getattr__(name: str) -> Any:
    """Load what is asked for when it is asked for, so that ``import palio`` stays light."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'palio' has no attribute {name!r}")
