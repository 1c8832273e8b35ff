"""What is known of a version, in the document's fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from numbers import Real
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from palio.dialects.crowetrade.asking import checked
from palio.dialects.crowetrade.words import ModelStatus, ModelType, worded
from palio.errors import InvalidInput
from palio.registry.domain import CHAMPION, Version
from palio.registry.service import Models

__all__ = ["ModelMetadata", "create_model_metadata", "metadata_of"]

_BACKTEST = "backtest_"
_KEPT = ("input_features", "output_schema", "resource_requirements", "latency_requirements")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelMetadata:
    """A version in the document's fields; all but the last are filled in by the registry.

    Attributes
    ----------
    backtest
        Figures of a replay of the past, without ``backtest_`` before their names.
    metrics
        Other figures, as ``validation_score``.
    latency_requirements
        Milliseconds that an answer may take, or several limits by name.
    model_checksum
        SHA-256 over the list of the version's files, each with its own.
    """

    model_id: str
    name: str
    version: str
    model_type: ModelType | str
    created_by: Annotated[str, Field(min_length=1)]
    description: str = ""
    input_features: list[str] = field(default_factory=list)
    output_schema: Mapping[str, str] = field(default_factory=dict)
    framework: str | None = None
    backtest: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    resource_requirements: Mapping[str, Any] | None = None
    latency_requirements: float | Mapping[str, Any] | None = None
    status: ModelStatus | str = ModelStatus.DEVELOPMENT
    created_at: datetime | None = None
    approval_status: str = "pending"
    approved_by: str | None = None
    approved_at: datetime | None = None
    model_checksum: str | None = None
    policy_checksum: str | None = None
    policy_config: Mapping[str, Any] | None = None

    @property
    def registry_id(self) -> str:
        """``model_id:version``."""
        return f"{self.model_id}:{self.version}"

    @property
    def backtest_sharpe(self) -> float | None:
        """Sharpe ratio of the backtest."""
        return self.backtest.get("sharpe")

    @property
    def backtest_returns(self) -> float | None:
        """Return of the backtest."""
        return self.backtest.get("returns")

    @property
    def backtest_max_dd(self) -> float | None:
        """Largest drawdown of the backtest."""
        return self.backtest.get("max_dd")

    @property
    def validation_score(self) -> float | None:
        """Score on data held out."""
        return self.metrics.get("validation_score")

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, the figures beside the other fields."""
        plain = {one.name: getattr(self, one.name) for one in fields(self)}
        figures = {f"{_BACKTEST}{name}": value for name, value in plain.pop("backtest").items()}
        figures |= plain.pop("metrics")
        plain["output_schema"] = dict(self.output_schema)
        for name in ("created_at", "approved_at"):
            plain[name] = None if plain[name] is None else plain[name].astimezone(UTC).isoformat()
        return {**plain, "model_type": str(self.model_type), "status": str(self.status), **figures}

    def kept(self) -> dict[str, Any]:
        """Return what Palio keeps of it, as fields of a registration."""
        training = {name: getattr(self, name) for name in _KEPT}
        return {
            "version": self.version,
            "type": str(self.model_type),
            "framework": self.framework,
            "description": self.description,
            "backtest": dict(self.backtest),
            "metrics": dict(self.metrics),
            "tags": {"name": self.name},
            "training": {name: value for name, value in training.items() if value},
        }


_OWN = {one.name for one in fields(ModelMetadata)}
_METADATA = TypeAdapter(ModelMetadata)


def create_model_metadata(
    *,
    model_id: str,
    name: str,
    version: str,
    model_type: ModelType | str,
    created_by: str,
    **more: Any,
) -> ModelMetadata:
    """Say what is known of a version before it is registered.

    Parameters
    ----------
    model_id, name, version, model_type, created_by
        Of what; ``created_by`` is who registers it, in the audit log.
    **more
        The other fields of `ModelMetadata`; numbers named ``backtest_…`` are figures of the
        backtest, other numbers are metrics.

    Raises
    ------
    InvalidInput
        If one of ``more`` is neither a field nor a number, or a field is of another type.
    """
    figures = {key: more.pop(key) for key in list(more) if key not in _OWN}
    for key, value in figures.items():
        if isinstance(value, bool) or not isinstance(value, Real | None):
            raise InvalidInput(
                f"{key}: metadata has no such field, and {value!r} is no figure; fields are "
                f"{', '.join(sorted(_OWN))}; a figure is a number, as backtest_sharpe",
                field=key,
            )
    known = {key: value for key, value in figures.items() if value is not None}
    tested = {key for key in known if key.startswith(_BACKTEST)}
    given = {
        "model_id": model_id,
        "name": name,
        "version": version,
        "model_type": worded(ModelType, str(model_type)),
        "created_by": created_by,
        "backtest": {key.removeprefix(_BACKTEST): known[key] for key in tested},
        "metrics": {key: known[key] for key in known if key not in tested},
    }
    return checked(_METADATA, given | more)


def metadata_of(version: Version, models: Models) -> ModelMetadata:
    """Return a registered version in the document's fields, whoever registered it."""
    known = {name: version.training[name] for name in _KEPT if name in version.training}
    if "input_features" not in known and version.signature is not None:
        known["input_features"] = [one.name for one in version.signature.features]
    digests = {file.path: file.sha256 for file in version.manifest.files}
    return ModelMetadata(
        model_id=version.model,
        name=version.tags.get("name", version.model),
        version=version.version,
        model_type=worded(ModelType, version.type),
        created_by=version.created_by,
        description=version.description,
        framework=version.framework,
        backtest=version.backtest,
        metrics=version.metrics,
        status=worded(ModelStatus, version.stage),
        created_at=version.created_at,
        approval_status="pending" if version.approved_by is None else "approved",
        approved_by=version.approved_by,
        approved_at=_approved_at(version, models),
        model_checksum=version.manifest.digest,
        policy_checksum=digests.get("policy.yaml"),
        policy_config=version.policy,
        **known,
    )


def _approved_at(version: Version, models: Models) -> datetime | None:
    if version.approved_by is None:
        return None
    moves = models.history(version.model, CHAMPION)
    return next((one.at for one in reversed(moves) if one.version == version.version), None)
