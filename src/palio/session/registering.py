"""A model object becomes files, and the files a version."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palio.errors import InvalidInput
from palio.registry.domain import Version, VersionDraft
from palio.registry.paths import Paths
from palio.registry.signature import Signature
from palio.registry.versions import Versions

if TYPE_CHECKING:
    from palio.artifacts.policy import Trust

__all__ = ["register"]


def register(
    versions: Versions,
    model: str,
    estimator: Any,
    *,
    described: Callable[..., VersionDraft],
    signature: Signature | None,
    sample: Any,
    target: Any,
    flavor: str | None,
    preprocessor: Any,
    framework: str | None,
    files: Mapping[str, bytes],
    unpack: bool,
    trust: Trust,
) -> Version:
    """Save a model object and register it, ``described`` with what is found out of it here.

    Parameters
    ----------
    described
        Makes the draft, given flavor, signature and framework.
    """
    from palio.artifacts.archives import unpacked
    from palio.artifacts.framework import framework_of
    from palio.artifacts.loader import flavor_of, infer_signature, package

    with ExitStack() as held:
        if unpack:
            estimator = held.enter_context(unpacked(Path(estimator)))
        chosen = flavor_of(estimator, flavor, trust)
        if signature is None:
            rows, labels = _sampled(sample, target)
            signature = infer_signature(
                estimator, chosen, rows, labels, preprocessor=preprocessor, trust=trust
            )
        draft = described(
            flavor=chosen.name,
            signature=signature,
            framework=framework_of(estimator) if framework is None else framework,
        )
        own = package(
            estimator,
            _folder(held),
            signature,
            flavor=chosen,
            preprocessor=preprocessor,
            trust=trust,
        )
        return versions.register(model, draft, own | _written(files, own, held))


def _sampled(sample: Any, target: Any) -> tuple[Any, Any]:
    """Return rows and labels, read from a table where a sample is the path of one."""
    if not isinstance(sample, Path):
        return sample, target
    from palio.training.table import read_table

    frame = read_table(sample)
    if not isinstance(target, str):
        return frame, target
    if target not in frame.columns:
        raise InvalidInput(
            f"target: {sample} has no column {target!r}; it has {', '.join(frame.columns)}",
            field="target",
            value=target,
        )
    return frame.drop(target), frame[target]


def _written(
    files: Mapping[str, bytes], own: Mapping[str, Path], held: ExitStack
) -> dict[str, Path]:
    if taken := sorted(own.keys() & files.keys()):
        raise InvalidInput(
            f"files: {', '.join(taken)} is the model's own; give it another name",
            field="files",
            value=taken,
        )
    folder, paths, written = _folder(held), Paths("files"), {}
    for name, content in files.items():
        target = folder / paths.add(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        written[name] = target
    return written


def _folder(held: ExitStack) -> Path:
    return Path(held.enter_context(tempfile.TemporaryDirectory(prefix="palio-package-")))
