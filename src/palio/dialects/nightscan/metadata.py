"""``ModelMetadata``: what is known of a model version, to and from the registry's records."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from palio.delivery.deployments.wanted import PRODUCTION
from palio.dialects.nightscan.words import ModelStatus, status_of
from palio.edge.verbs import Verbs
from palio.registry.domain import Version
from palio.registry.lifecycle import Lifecycle

__all__ = ["ModelMetadata", "described", "in_production", "metadata_of"]

_NAME, _MADE, _MARK = "name", "created_at", "true"


@dataclass(slots=True)
class ModelMetadata:
    """What is known of a model version; size and checksum are filled in at registration."""

    model_id: str
    version: str
    name: str
    description: str
    created_at: datetime
    status: ModelStatus
    framework: str = "pytorch"
    architecture: str = ""
    dataset_version: str = ""
    training_config: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    file_size_bytes: int = 0
    checksum: str = ""
    tags: list[str] = field(default_factory=list)

    @property
    def reference(self) -> str:
        """``model_id:version``."""
        return f"{self.model_id}:{self.version}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can say it."""
        return {**asdict(self), "created_at": self.created_at.isoformat()}


def described(metadata: ModelMetadata) -> dict[str, Any]:
    """Return what ``Session.register`` is told of a version, beside the model."""
    return {
        "version": metadata.version,
        "description": metadata.description,
        "framework": metadata.framework,
        "architecture": metadata.architecture,
        "dataset_version": metadata.dataset_version,
        "training": metadata.training_config,
        "metrics": metadata.metrics,
        "source": {_NAME: metadata.name, _MADE: metadata.created_at.isoformat()},
        "tags": dict.fromkeys(metadata.tags, _MARK),
    }


def in_production(verbs: Verbs) -> frozenset[str]:
    """Return the versions that are deployed in production, whatever stage they stand in."""
    return frozenset(one.reference for one in verbs.deployments.list(environment=PRODUCTION))


def metadata_of(
    version: Version, lifecycle: Lifecycle, deployed: Collection[str] = ()
) -> ModelMetadata:
    """Return what is known of a version, whoever has registered it.

    Parameters
    ----------
    version, lifecycle
        The version, and the lifecycle of its model.
    deployed
        The versions that are deployed in production.
    """
    made = version.source.get(_MADE)
    stands = status_of(version.stage, lifecycle)
    return ModelMetadata(
        model_id=version.model,
        version=version.version,
        name=version.source.get(_NAME, version.reference),
        description=version.description,
        created_at=datetime.fromisoformat(made) if made else version.created_at,
        status=ModelStatus.DEPLOYED if version.reference in deployed else stands,
        framework=version.framework,
        architecture=version.architecture,
        dataset_version=version.dataset_version,
        training_config=version.training,
        metrics=version.metrics,
        file_size_bytes=sum(file.size_bytes for file in version.manifest.files),
        checksum=version.manifest.digest,
        tags=[key if value == _MARK else f"{key}={value}" for key, value in version.tags.items()],
    )
