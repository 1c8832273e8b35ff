"""Palio settles which version of a model should be in production.

`connect` opens it, in process or over HTTP; the object it returns has the nouns with their verbs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from palio.errors import PalioError

if TYPE_CHECKING:
    from palio.experiments.assignment import Namespace
    from palio.experiments.audience import Condition
    from palio.experiments.covariates import Covariate, Segment
    from palio.experiments.design import ExperimentDraft, Metrics, Stopping, Type, Variant
    from palio.experiments.events import OutcomeDraft
    from palio.experiments.frames import analyze
    from palio.experiments.metrics import Metric
    from palio.experiments.off_policy import off_policy
    from palio.experiments.policy import Policy, PolicyKind
    from palio.experiments.risk import Criteria, StopLoss
    from palio.platform import connect
    from palio.registry.lifecycle import Lifecycle
    from palio.registry.signature import Feature, Signature
    from palio.session import Palio

__all__ = [
    "Condition",
    "Covariate",
    "Criteria",
    "ExperimentDraft",
    "Feature",
    "Lifecycle",
    "Metric",
    "Metrics",
    "Namespace",
    "OutcomeDraft",
    "Palio",
    "PalioError",
    "Policy",
    "PolicyKind",
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
    "Condition": "palio.experiments.audience",
    "Covariate": "palio.experiments.covariates",
    "Criteria": "palio.experiments.risk",
    "ExperimentDraft": "palio.experiments.design",
    "Feature": "palio.registry.signature",
    "Lifecycle": "palio.registry.lifecycle",
    "Metric": "palio.experiments.metrics",
    "Metrics": "palio.experiments.design",
    "Namespace": "palio.experiments.assignment",
    "OutcomeDraft": "palio.experiments.events",
    "Palio": "palio.session",
    "Policy": "palio.experiments.policy",
    "PolicyKind": "palio.experiments.policy",
    "Segment": "palio.experiments.covariates",
    "Signature": "palio.registry.signature",
    "StopLoss": "palio.experiments.risk",
    "Stopping": "palio.experiments.design",
    "Type": "palio.experiments.design",
    "Variant": "palio.experiments.design",
    "analyze": "palio.experiments.frames",
    "connect": "palio.platform",
    "off_policy": "palio.experiments.off_policy",
}


def __getattr__(name: str) -> Any:
    """Load what is asked for when it is asked for, so that ``import palio`` stays light."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'palio' has no attribute {name!r}")
