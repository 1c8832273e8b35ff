"""A fitted transformer beside the model, ``preprocessor.skops`` or another, that runs first."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from palio.artifacts.flavors import HEAD_BYTES, PREPROCESSOR, Flavor, Safety, named, recognise
from palio.artifacts.flavors.samples import features_of, rows_of
from palio.artifacts.policy import Trust
from palio.errors import InvalidInput
from palio.registry.ports import Predictor
from palio.registry.signature import Cell, Feature, FeatureType, Predictions, Signature, Task

__all__ = [
    "Preprocessed",
    "Preprocessor",
    "holder",
    "inferred",
    "parted",
    "preprocessor_flavor",
    "restored",
    "saved",
    "transformer_of",
]


class Preprocessor:
    """A transformer in memory, and what a model behind it takes.

    Parameters
    ----------
    transformer
        Fitted, with ``transform`` and ``get_feature_names_out`` as scikit-learn's have; copied.
    signature
        What rows are checked against, and what the model behind it answers.

    Raises
    ------
    InvalidInput
        If it is no fitted transformer, or takes another number of features.
    """

    def __init__(self, transformer: Any, signature: Signature) -> None:
        from palio.artifacts.flavors.sklearn.inputs import inputs_for  # noqa: PLC0415  seldom

        names = _names_out(transformer)
        width = getattr(transformer, "n_features_in_", signature.width)
        if width != signature.width:
            raise _unusable(transformer, f"takes {width} features, not {signature.width}")
        own = copy.deepcopy(transformer)  # names are dropped from it
        self._transform = own.transform
        self._inputs = inputs_for(own, signature)
        self.inner = Signature(
            features=tuple(Feature(name, FeatureType.NUMBER, nullable=True) for name in names),
            task=signature.task,
            classes=signature.classes,
        )
        """What the model behind it takes and gives."""

    def array(self, table: list[list[Cell]]) -> Any:
        """Return a checked table as the model takes it: (n_rows, n_features_out) float64."""
        found = self._transform(self._inputs(table))
        dense = found.toarray() if hasattr(found, "toarray") else found
        return np.asarray(dense, dtype=np.float64)


class Preprocessed:
    """A model that is asked for what its preprocessor makes of the rows.

    Parameters
    ----------
    preprocessor
        What runs first.
    predictor
        A predictor of ``preprocessor.inner``.
    """

    def __init__(self, preprocessor: Preprocessor, predictor: Predictor) -> None:
        self._preprocessor = preprocessor
        self._predictor = predictor

    def predict(self, table: list[list[Cell]]) -> Predictions:
        """Answer a table that the version's signature has checked."""
        return self._predictor.predict(self._preprocessor.array(table).tolist())


def parted(files: Mapping[str, bytes]) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the files of a version without the preprocessor's, and that file alone if any.

    Raises
    ------
    InvalidInput
        If there are several.
    """
    first = {path: content for path, content in files.items() if path.startswith(PREPROCESSOR)}
    if len(first) > 1:
        raise InvalidInput(
            f"{' and '.join(sorted(first))} could each run before the model; register a version "
            "with one of them",
            field="preprocessor",
            value=sorted(first),
        )
    return {path: content for path, content in files.items() if path not in first}, first


def preprocessor_flavor(given: object, trust: Trust) -> Flavor:
    """Return how a transformer, or the file at a path, is restored.

    Raises
    ------
    InvalidInput
        If it is of no flavor that holds transformers.
    """
    flavor = recognise(given, trust.trusted_types)
    if flavor.name == "sklearn" or (isinstance(given, Path) and flavor.safety is Safety.CODE):
        return flavor
    raise _unusable(given, "is neither an estimator of scikit-learn nor a file of skops or pickle")


def holder(path: str, content: bytes, trust: Trust) -> Flavor:
    """Return the flavor that restores a preprocessor's file; ``InvalidInput`` if none does."""
    for name in ("sklearn", "callables", "pickled"):
        flavor = named(name, trust.trusted_types)
        if flavor.claims(path, content[:HEAD_BYTES]):
            return flavor
    raise InvalidInput(
        f"{path} is no file of skops or pickle; save the transformer with palio, or give the "
        "file another name",
        field="preprocessor",
        value=path,
    )


def restored(path: str, content: bytes, trust: Trust, *, what: str) -> object:
    """Make the bytes of a preprocessor's file a transformer, where policy allows that.

    Raises
    ------
    UntrustedArtifact
        If loading runs code that this process does not allow, before any is run.
    InvalidInput
        If no flavor can make a transformer of it.
    """
    flavor = holder(path, content, trust)
    trust.check(flavor, f"the preprocessor of {what}, {path},")
    return flavor.restore({path: content})


def transformer_of(given: object, trust: Trust) -> Any:
    """Return a transformer in memory, given or read; ``None`` if none is given or it may not be.

    Parameters
    ----------
    given
        A transformer, the ``Path`` of its file, or ``None``.
    trust
        Whether a file that holds code may be read.
    """
    if not isinstance(given, Path):
        return given
    flavor = preprocessor_flavor(given, trust)
    return flavor.restore({given.name: given.read_bytes()}) if trust.allows(flavor) else None


def inferred(transformer: Any, sample: Any, ask: Callable[[Any], Signature]) -> Signature:
    """Return the signature of both: features of the sample, answers of the model behind.

    Parameters
    ----------
    transformer
        What runs first.
    sample
        Inputs as a frame or an array.
    ask
        From what the transformer makes of the sample to the signature of the model.
    """
    names = [str(name) for name in getattr(transformer, "feature_names_in_", ())]
    features = features_of(sample, names)
    taken = Signature(features=features, task=Task.REGRESSION)
    array = Preprocessor(transformer, taken).array(rows_of(sample, features))
    behind = ask(array)
    return Signature(features=features, task=behind.task, classes=behind.classes)


def saved(given: object, folder: Path, trust: Trust) -> None:
    """Write a transformer, or copy the file at a path, into ``folder``."""
    flavor = preprocessor_flavor(given, trust)
    if isinstance(given, Path):
        suffix = "".join(given.suffixes[-2:]) if flavor.name == "pickled" else given.suffix
        (folder / f"{PREPROCESSOR}{suffix.lstrip('.') or 'pkl'}").write_bytes(given.read_bytes())
        return
    from palio.artifacts.flavors.sklearn import SklearnFlavor  # noqa: PLC0415  seldom

    content = SklearnFlavor(trust.trusted_types).dumped(given)
    (folder / f"{PREPROCESSOR}skops").write_bytes(content)


def _names_out(transformer: Any) -> list[str]:
    if not callable(getattr(transformer, "transform", None)):
        raise _unusable(transformer, "has no transform")
    try:
        return [str(name) for name in transformer.get_feature_names_out()]
    except Exception as error:
        raise _unusable(
            transformer, f"does not say what it gives ({type(error).__name__}: {error})"
        ) from error


def _unusable(transformer: object, why: str) -> InvalidInput:
    kind = type(transformer).__name__
    return InvalidInput(
        f"the preprocessor, a {kind}, {why}; give a fitted transformer of scikit-learn with "
        "get_feature_names_out, or the Path of its file",
        field="preprocessor",
        value=kind,
    )
