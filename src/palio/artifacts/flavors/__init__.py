"""How models of one library are saved, recognised and loaded: one file a library.

A flavor's library is imported when the flavor is first asked for, so that this table costs
nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from palio.errors import InvalidInput
from palio.registry.ports import Predictor
from palio.registry.signature import Signature

__all__ = ["FLAVORS", "Flavor", "named", "recognise"]


class Flavor(Protocol):
    """One library's way from a model in memory to files and back. Safe to share."""

    @property
    def name(self) -> str:
        """How versions refer to the flavor."""
        ...

    def recognises(self, model: object) -> bool:
        """Tell whether the model is of this library."""
        ...

    def infer_signature(self, model: object, sample: Any, target: Any = None) -> Signature:
        """Read feature names and types off a sample of inputs."""
        ...

    def save(self, model: object, folder: Path, signature: Signature) -> None:
        """Write the model as files into ``folder``."""
        ...

    def load(self, files: Mapping[str, bytes], signature: Signature) -> Predictor:
        """Make verified bytes a model again; raise ``UntrustedArtifact`` for types not allowed."""
        ...


FLAVORS: Mapping[str, tuple[str, str]] = {
    "sklearn": ("palio.artifacts.flavors.sklearn", "SklearnFlavor"),
}
"""Where each flavor is defined: module and class."""


def named(name: str, trusted_types: Sequence[str] = ()) -> Flavor:
    """Return the flavor of that name; raise ``InvalidInput`` when there is none."""
    if name not in FLAVORS:
        raise InvalidInput(
            f"{name!r} is no flavor known here; known: {', '.join(FLAVORS)}",
            field="flavor",
            value=name,
        )
    module, class_name = FLAVORS[name]
    make = cast(
        "Callable[[Sequence[str]], Flavor]", getattr(importlib.import_module(module), class_name)
    )
    return make(trusted_types)


def recognise(model: object, trusted_types: Sequence[str] = ()) -> Flavor:
    """Return the flavor that can save the model.

    Raises
    ------
    InvalidInput
        Listing the known flavors, if none recognises it.
    """
    for name in FLAVORS:
        flavor = named(name, trusted_types)
        if flavor.recognises(model):
            return flavor
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    raise InvalidInput(
        f"a {kind} is no model of a known flavor; known: {', '.join(FLAVORS)}; give a fitted "
        "estimator of one of these",
        field="model",
        value=kind,
    )
