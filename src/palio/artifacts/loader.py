"""From a registered version to a predictor in memory, and from a model to its files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from palio.artifacts.flavors import (
    Flavor,
    Movable,
    Safety,
    SelfDescribing,
    named,
    recognise,
)
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
from palio.artifacts.staging import files_of
from palio.errors import InvalidInput
from palio.registry.domain import RESERVED_FILES, Version
from palio.registry.ports import ArtifactReader, Predictor
from palio.registry.signature import Signature

__all__ = ["ArtifactLoader", "flavor_of", "infer_signature", "package", "predictor"]


class ArtifactLoader:
    """Reads a version's files, compares them with the manifest, and hands them to the flavor.

    Parameters
    ----------
    store
        Where the bytes lie.
    trust
        What may be made an object in this process.
    attested
        Raises ``UntrustedArtifact`` for a version that lacks a signature which this process
        demands; called when the digests hold and before any byte is interpreted.
    device
        Where models compute whose flavor can move them: ``auto``, ``cpu``, ``cuda``, ``cuda:N``.
    """

    def __init__(
        self,
        store: ArtifactReader,
        trust: Trust = NOTHING_TRUSTED,
        attested: Callable[[Version], None] = lambda _: None,
        *,
        device: str = "cpu",
    ) -> None:
        self._store = store
        self._trust = trust
        self._attested = attested
        self._device = device

    def load(self, version: Version) -> Predictor:
        """Make a registered version a predictor.

        Raises
        ------
        UntrustedArtifact
            Before any file is read, if loading it runs code and policy does not allow that; or
            if the files hold types that policy does not allow, or nobody trusted signed them.
        CorruptArtifact
            Before any byte is interpreted, if a file differs from the manifest.
        InvalidInput
            If the version is kept only, has no signature, or its model does not fit it; or if
            the device is not there.
        """
        flavor = self._allowed(version)
        if version.signature is None:
            raise InvalidInput(
                f"{version.reference} has no signature, so rows for it cannot be checked; "
                "register the model again under a new version with a sample of its inputs",
                field="signature",
                value=None,
            )
        files = self._files(version)
        if isinstance(flavor, Movable):
            flavor = flavor.on(self._device)
        return predictor(files, version.signature, flavor, self._trust, what=version.reference)

    def restore(self, version: Version) -> object:
        """Make a registered version the object again that was saved.

        A preprocessor stands before it in a ``Pipeline``. Raises as ``load``, but needs no
        signature, and no device: it is made on the CPU.
        """
        flavor = self._allowed(version)
        own, first = parted(self._files(version))
        model = flavor.restore(own)
        steps = [
            ("preprocessor", restored(path, content, self._trust, what=version.reference))
            for path, content in first.items()
        ]
        if not steps:
            return model
        from sklearn.pipeline import Pipeline  # type: ignore[import-untyped]  # noqa: PLC0415

        return Pipeline([*steps, ("model", model)])

    def _allowed(self, version: Version) -> Flavor:
        flavor = named(version.flavor, self._trust.trusted_types)
        self._trust.check(flavor, version.reference)
        return flavor

    def _files(self, version: Version) -> dict[str, bytes]:
        files = self._store.read(version.model, version.version, version.manifest)
        self._attested(version)
        return {path: content for path, content in files.items() if path not in RESERVED_FILES}


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
        if isinstance(flavor, SelfDescribing) and isinstance(model, Path) and not preprocessor:
            return flavor.declared(_contents(model), target)
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
) -> dict[str, Path]:
    """Return the files of a model by path: saved now, or where they lie already.

    Parameters
    ----------
    model
        A fitted model of a known flavor, or the ``Path`` of a file or folder, whose files stay
        where they are; those that hold code are only loaded to be checked where policy allows
        that.
    folder
        An existing folder; what has to be saved is written there.
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
        If no flavor recognises the model, or it does not fit the signature; if its folder holds
        links, or files that Palio writes itself.
    UntrustedArtifact
        If the model holds types that could not be loaded again.
    """
    chosen = flavor or flavor_of(model, None, trust)
    if preprocessor is not None:
        saved(preprocessor, folder, trust)
    if not isinstance(model, Path):
        given = _given(signature, chosen)
        chosen.save(model, folder, _behind(preprocessor, given, trust))
        return files_of(folder, ())
    if chosen.safety is not Safety.KEPT:
        _given(signature, chosen)
    files = _joined(_lying(model), {} if preprocessor is None else files_of(folder, ()))
    if signature is not None and trust.allows(chosen):
        _check(files, signature, chosen, trust)
    return files


def predictor(
    files: Mapping[str, bytes], signature: Signature, flavor: Flavor, trust: Trust, *, what: str
) -> Predictor:
    """Make bytes a predictor, behind its preprocessor if there is one.

    Parameters
    ----------
    files
        Bytes by path, without those that Palio has written.
    signature
        What rows are checked against.
    flavor
        How they become a model, which policy allows.
    trust
        Whether a preprocessor may be made an object.
    what
        How messages call it.
    """
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


def _check(lying: Mapping[str, Path], signature: Signature, flavor: Flavor, trust: Trust) -> None:
    files = {name: path.read_bytes() for name, path in lying.items()}
    first = parted(files)[1].items()
    if all(trust.allows(holder(path, content, trust)) for path, content in first):
        predictor(files, signature, flavor, trust, what="the version")


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


def _lying(source: Path) -> dict[str, Path]:
    """Return the files at a path; a link to a file is followed, one in a folder is refused."""
    return files_of(source if source.is_dir() else {source.name: source.resolve()}, ())


def _joined(files: dict[str, Path], more: dict[str, Path]) -> dict[str, Path]:
    if taken := sorted(files.keys() & more.keys()):
        raise InvalidInput(
            f"{', '.join(taken)} lies in the folder and is given too; give one of them",
            field="preprocessor",
            value=taken,
        )
    return files | more


def _contents(path: Path) -> dict[str, bytes]:
    if not path.is_dir():
        return {path.name: path.read_bytes()}
    return {
        name: file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file() and not file.is_symlink()
        if (name := file.relative_to(path).as_posix()) not in RESERVED_FILES
    }
