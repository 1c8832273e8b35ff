"""A platform in Python with deployments, canaries and experiments."""

from __future__ import annotations

from palio.dialects.nightscan.configs import ExperimentConfig
from palio.dialects.nightscan.deployments import get_deployment_manager
from palio.dialects.nightscan.experiments import get_ab_test_manager
from palio.dialects.nightscan.metadata import ModelMetadata
from palio.dialects.nightscan.models import get_model_registry
from palio.dialects.nightscan.placing import DeploymentConfig
from palio.dialects.nightscan.words import ModelStatus
from palio.edge.dialects import Dialect

__all__ = [
    "DIALECT",
    "DeploymentConfig",
    "ExperimentConfig",
    "ModelMetadata",
    "ModelStatus",
    "get_ab_test_manager",
    "get_deployment_manager",
    "get_model_registry",
]

DIALECT = Dialect(
    name="nightscan",
    routes="palio.dialects.nightscan.routes:router",
    commands="palio.dialects.nightscan.commands:app",
    chores="palio.dialects.nightscan.tree:chore",
    metrics="palio.dialects.nightscan.metrics:families",
)
