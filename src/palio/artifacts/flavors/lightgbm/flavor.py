"""Saving and loading LightGBM's trees in its own text, which holds data only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from palio.artifacts.flavors import Safety, model_file, needed
from palio.artifacts.flavors.answers import check_fits, is_any, labels_of, numbers, scored
from palio.artifacts.flavors.lightgbm.text import trees_of
from palio.artifacts.flavors.samples import features_of
from palio.artifacts.flavors.threads import FewThreads
from palio.errors import InvalidInput
from palio.registry.signature import Cell, Label, Predictions, Signature, Task

__all__ = ["LightgbmFlavor", "LightgbmPredictor"]

_MODEL_FILE = "model.txt"
_ESTIMATOR = "lightgbm.sklearn.LGBMModel"
_CLASSIFIER = "lightgbm.sklearn.LGBMClassifier"
_BOOSTER = "lightgbm.basic.Booster"
_CLASSIFYING = frozenset({"binary", "multiclass", "multiclassova"})
_UNNAMED = "Column_0"


class LightgbmFlavor:
    """Boosters and estimators of LightGBM as ``model.txt``, up to their best round.

    Features are numbers; categories that were taken from a pandas frame are refused.
    """

    name = "lightgbm"
    safety = Safety.SAFE

    def __init__(self, _: Sequence[str] = ()) -> None:
        """Take the trusted types that every flavor is given; data needs none."""

    def recognises(self, model: object) -> bool:
        """Tell whether the model is a booster or one of LightGBM's estimators."""
        return is_any(model, {_BOOSTER, _ESTIMATOR})

    def claims(self, name: str, head: bytes) -> bool:  # noqa: ARG002  any name will do
        """Tell whether a file begins as LightGBM's text does."""
        return head.startswith(b"tree\nversion=v")

    def infer_signature(self, model: object, sample: Any, target: Any = None) -> Signature:
        """Read the features off a sample, and task and classes off the model.

        Raises
        ------
        InvalidInput
            If the sample does not fit, or the model is of a kind that cannot be kept.
        """
        booster = _booster(model)
        features = features_of(sample, _columns(booster, sample))
        count = _classes(booster)
        if count is None:
            return Signature(features=features, task=Task.REGRESSION)
        labels: tuple[Label, ...]
        if is_any(model, {_CLASSIFIER}):
            labels = tuple(np.asarray(cast("Any", model).classes_).tolist())
        else:
            labels = labels_of(count, target)
        return Signature(features=features, task=Task.CLASSIFICATION, classes=labels)

    def save(self, model: object, folder: Path, signature: Signature) -> None:
        """Write the trees into ``folder``.

        Raises
        ------
        InvalidInput
            If the model does not fit the signature, or is of a kind that cannot be kept.
        """
        booster = _booster(model)
        _check(booster, signature)
        content = booster.model_to_string()
        _trees(content, _MODEL_FILE)
        (folder / _MODEL_FILE).write_text(content, encoding="utf-8", newline="")

    def restore(self, files: Mapping[str, bytes]) -> object:
        """Make a booster of bytes whose digests have been compared.

        Raises
        ------
        InvalidInput
            If they are not what LightGBM writes, or it cannot read them.
        """
        name, content = model_file(self, files)
        lightgbm = needed("lightgbm", extra="lightgbm")
        try:
            text = content.decode()
            if _categories(text) not in {"", "null", "[]"}:
                raise _from_pandas()
            return cast("object", lightgbm.Booster(model_str=_trees(text, name)))
        except (lightgbm.basic.LightGBMError, UnicodeDecodeError) as error:
            raise _unreadable(name, error) from error

    def load(self, files: Mapping[str, bytes], signature: Signature) -> LightgbmPredictor:
        """Make a predictor of bytes whose digests have been compared; raises as ``restore``."""
        booster = cast("Any", self.restore(files))
        _check(booster, signature)
        return LightgbmPredictor(booster, signature)


class LightgbmPredictor:
    """A booster in memory. May be called from several threads.

    Parameters
    ----------
    booster
        Trees that nobody else uses.
    signature
        What they take and give.
    """

    def __init__(self, booster: Any, signature: Signature) -> None:
        self._booster, self._signature = booster, signature
        self._threads = FewThreads()

    def predict(self, table: list[list[Cell]]) -> Predictions:
        """Answer a table that the signature has checked; raises what LightGBM raises."""
        with self._threads.over(len(table)):
            return scored(self._booster.predict(numbers(table)), self._signature)


def _booster(model: object) -> Any:
    """Return the trees of an estimator that answers as they do."""
    booster = cast("Any", model)
    if not is_any(model, {_BOOSTER}):
        if not booster.__sklearn_is_fitted__():
            raise _unkept("it is not fitted; fit it first")
        booster = booster.booster_
    if booster.pandas_categorical:
        raise _from_pandas()
    if is_any(model, {_CLASSIFIER}) and _classes(booster) is None:
        raise _unkept("its objective gives a classifier no probabilities; take LightGBM's own")
    return booster


def _categories(text: str) -> str:
    return text.rpartition("\npandas_categorical:")[2].strip() if "\npandas_" in text else ""


def _check(booster: Any, signature: Signature) -> None:
    names = booster.feature_name()
    given = [feature.name.replace(" ", "_") for feature in signature.columns]
    in_order = [feature.name for feature in signature.columns]
    check_fits(
        signature,
        width=booster.num_feature(),
        classes=_classes(booster),
        names=in_order if given == names else names,
    )


def _columns(booster: Any, sample: Any) -> list[str]:
    """Return the sample's names of the model's columns, in which it writes _ for a space."""
    names: list[str] = booster.feature_name()
    if names[0] == _UNNAMED:
        return []
    written = {str(name).replace(" ", "_"): str(name) for name in getattr(sample, "columns", ())}
    return [written.get(name, name) for name in names]


def _classes(booster: Any) -> int | None:
    header = booster.model_to_string(num_iteration=1).partition("\n\n")[0]
    objective = header.partition("\nobjective=")[2].partition("\n")[0].split(" ")
    if objective[0] not in _CLASSIFYING:
        return None
    return max(2, int(booster.num_model_per_iteration()))


def _trees(text: str, name: str) -> str:
    try:
        return trees_of(text)
    except ValueError as error:
        raise _unreadable(name, error) from error


def _unreadable(name: str, error: Exception) -> InvalidInput:
    return InvalidInput(
        f"{name} is no model that LightGBM reads: {error}; save it again with save_model",
        field="model",
        value=name,
    )


def _from_pandas() -> InvalidInput:
    return _unkept(
        "it took categories from a pandas frame; give their codes as numbers in training, with "
        "categorical_feature"
    )


def _unkept(why: str) -> InvalidInput:
    return InvalidInput(f"this model of LightGBM cannot be kept: {why}", field="model", value=why)
