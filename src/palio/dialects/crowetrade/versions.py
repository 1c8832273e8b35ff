"""Which version of a model is the latest, and what one takes and gives."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from palio.dialects.crowetrade.metadata import ModelMetadata
from palio.dialects.crowetrade.words import ModelStatus
from palio.errors import NotFound
from palio.registry.domain import Version
from palio.registry.signature import Feature, FeatureType, Signature, Task

__all__ = ["latest_of", "signature_of"]

_NUMBERS = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?P<before>-\S+)?")
_ENDS = frozenset({ModelStatus.DEPRECATED, ModelStatus.ARCHIVED})


def latest_of(model_id: str, versions: Sequence[Version]) -> Version:
    """Return the version with the highest number, one that is in use where there is one."""
    if not versions:
        raise NotFound(f"{model_id} has no version", kind="version", name=model_id)
    return max(versions, key=_age)


def _age(version: Version) -> tuple[bool, Sequence[int], bool, int]:
    """Order versions: those in use last, then by number, then as they came."""
    found = _NUMBERS.fullmatch(version.version)
    numbers = [int(one) for one in found.groups()[:3]] if found else [-1]
    final = found is not None and found["before"] is None
    return version.stage not in _ENDS, numbers, final, version.ordinal


def signature_of(model: Any, metadata: ModelMetadata) -> Signature:
    """Return what a model takes and gives, as far as it and its metadata tell."""
    named = metadata.input_features or list(map(str, getattr(model, "feature_names_in_", ())))
    names = named or [f"x{at}" for at in range(getattr(model, "n_features_in_", 0))]
    labels = getattr(model, "classes_", ())
    classes = labels.tolist() if hasattr(labels, "tolist") else labels
    return Signature(
        features=tuple(Feature(name, FeatureType.NUMBER) for name in names),
        task=Task.CLASSIFICATION if len(classes) else Task.REGRESSION,
        classes=tuple(classes),
    )
