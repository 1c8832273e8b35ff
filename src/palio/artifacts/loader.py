"""From a registered version to a predictor in memory, and from a model to a folder of files."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from palio.artifacts.flavors import Flavor, Safety, named, recognise
from palio.artifacts.policy import NOTHING_TRUSTED, Trust
from palio.artifacts.preprocessing import (
    Preprocessed,
    Preprocessor,
    holder,
    inferred,
    parted,
    preprocessor_flavor,
    restored,
    saved,
    transformer_of,
)
from palio.errors import InvalidInput
from palio.registry.domain import Version
from palio.registry.ports import ArtifactStore, Predictor
from palio.registry.signature import Signature

__all__ = ["ArtifactLoader", "flavor_of", "infer_signature", "package"]


class ArtifactLoader:
    """Reads a version's files, compares them with the manifest, and hands them to the flavor.

    Parameters
    ----------
    store
        Where the bytes lie.
    trust
        What may be made an object in this process.
    """

    def __init__(self, store: ArtifactStore, trust: Trust = NOTHING_TRUSTED) -> None:
        self._store = store
        self._trust = trust

    def load(self, version: Version) -> Predictor:
        """Make a registered version a predictor.

        Raises
        ------
        UntrustedArtifact
            Before any file is read, if loading it runs code and policy does not allow that; or
            if the files hold types that policy does not allow.
        CorruptArtifact
            Before any byte is interpreted, if a file differs from the manifest.
        InvalidInput
            If the version is kept only, has no signature, or its model does not fit it.
        """
        flavor = named(version.flavor, self._trust.trusted_types)
        self._trust.check(flavor, version.reference)
        if version.signature is None:
            raise InvalidInput(
                f"{version.reference} has no signature, so rows for it cannot be checked; "
                "register the model again under a new version with a sample of its inputs",
                field="signature",
                value=None,
            )
        files = self._store.read(version.model, version.version, version.manifest)
        return _predictor(files, version.signature, flavor, self._trust, what=version.reference)


def flavor_of(model: object, name: str | None, trust: Trust = NOTHING_TRUSTED) -> Flavor:
    """Return the flavor of that name, or the one that recognises the model or its path."""
    if name is None:
        return recognise(model, trust.trusted_types)
    return named(name, trust.trusted_types)


def infer_signature(
    model: object,
    flavor: Flavor,
    sample: Any,
    target: Any = None,
    *,
    preprocessor: object = None,
    trust: Trust,
) -> Signature | None:
    """Return the signature of a model in memory, or of the files at a path.

    Parameters
    ----------
    model
        A fitted model, or the ``Path`` of its file or folder.
    flavor
        As ``flavor_of`` found it.
    sample
        Rows like those the model was fitted on, or ``None``.
    target
        Labels of the sample, where the model does not keep its classes.
    preprocessor
        A transformer that runs before the model, or the ``Path`` of its file.
    trust
        Whether files that hold code may be asked; without that the answer is read off the
        target alone.

    Returns
    -------
    Signature or None
        ``None`` for files that are kept only.

    Raises
    ------
    InvalidInput
        If there is no sample, or no target where the files may not be asked.
    """
    if flavor.safety is Safety.KEPT:
        return None
    if sample is None:
        raise InvalidInput(
            "sample is missing; give some of the rows the model was fitted on, or a signature",
            field="sample",
        )
    first = transformer_of(preprocessor, trust)
    may_ask = trust.allows(flavor) or not isinstance(model, Path)
    if not may_ask or (preprocessor is not None and first is None):
        return _unasked(sample, target)
    asked = flavor.restore(parted(_contents(model))[0]) if isinstance(model, Path) else model
    if first is None:
        return flavor.infer_signature(asked, sample, target)
    return inferred(first, sample, lambda inner: flavor.infer_signature(asked, inner, target))


def package(
    model: object,
    folder: Path,
    signature: Signature | None,
    *,
    flavor: Flavor | None = None,
    preprocessor: object = None,
    trust: Trust = NOTHING_TRUSTED,
) -> str:
    """Save a model into ``folder`` and return the name of its flavor.

    Parameters
    ----------
    model
        A fitted model of a known flavor, or the ``Path`` of a file or folder to copy; files that
        hold code are only loaded to be checked where policy allows that.
    folder
        An existing folder; the model's files are written there.
    signature
        What the model takes and gives; compared with the model.
    flavor
        As ``flavor_of`` found it; looked for when not given.
    preprocessor
        A transformer that runs before the model, or the ``Path`` of its file.
    trust
        What may be made an object in this process.

    Raises
    ------
    InvalidInput
        If no flavor recognises the model, or it does not fit the signature.
    UntrustedArtifact
        If the model holds types that could not be loaded again.
    """
    chosen = flavor or flavor_of(model, None, trust)
    if preprocessor is not None:
        saved(preprocessor, folder, trust)
    if not isinstance(model, Path):
        given = _given(signature, chosen)
        chosen.save(model, folder, _behind(preprocessor, given, trust))
        return chosen.name
    if chosen.safety is not Safety.KEPT:
        _given(signature, chosen)
    _copy(model, folder)
    if signature is not None and trust.allows(chosen):
        _check(folder, signature, chosen, trust)
    return chosen.name


def _predictor(
    files: Mapping[str, bytes], signature: Signature, flavor: Flavor, trust: Trust, *, what: str
) -> Predictor:
    own, first = parted(files)
    if not first:
        return flavor.load(own, signature)
    ((path, content),) = first.items()
    preprocessor = Preprocessor(restored(path, content, trust, what=what), signature)
    return Preprocessed(preprocessor, flavor.load(own, preprocessor.inner))


def _behind(preprocessor: object, signature: Signature, trust: Trust) -> Signature:
    if preprocessor is None:
        return signature
    first = transformer_of(preprocessor, trust)
    if first is None:
        trust.check(preprocessor_flavor(preprocessor, trust), "the preprocessor")
    return Preprocessor(first, signature).inner


def _check(folder: Path, signature: Signature, flavor: Flavor, trust: Trust) -> None:
    files = _contents(folder)
    first = parted(files)[1].items()
    if all(trust.allows(holder(path, content, trust)) for path, content in first):
        _predictor(files, signature, flavor, trust, what="the version")


def _given(signature: Signature | None, flavor: Flavor) -> Signature:
    if signature is None:
        raise InvalidInput(
            f"signature is missing; a model of flavor {flavor.name} needs one, or a sample to "
            "infer it from",
            field="signature",
        )
    return signature


def _unasked(sample: Any, target: Any) -> Signature:
    if target is None:
        raise InvalidInput(
            "the file holds code that this process does not run, so what it answers is not "
            "known; give target (labels of the sample) or a signature, or, if you trust the "
            "file, set PALIO_ALLOW_PICKLE=true",
            field="target",
        )
    from palio.artifacts.flavors.samples import answers_of, features_of  # noqa: PLC0415  seldom

    task, classes = answers_of(target)
    return Signature(features=features_of(sample), task=task, classes=classes)


def _copy(source: Path, folder: Path) -> None:
    try:
        if source.is_dir():
            # links stay links, which the store refuses: none leads out of the folder
            shutil.copytree(source, folder, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copyfile(source, folder / source.name)
    except OSError as error:
        raise InvalidInput(
            f"{source} cannot be copied: {error}; give the path of a file or folder that can be "
            "read",
            field="model",
            value=str(source),
        ) from error


def _contents(path: Path) -> dict[str, bytes]:
    if not path.is_dir():
        return {path.name: path.read_bytes()}
    return {
        file.relative_to(path).as_posix(): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file() and not file.is_symlink()
    }
