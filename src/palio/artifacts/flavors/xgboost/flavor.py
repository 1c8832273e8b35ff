"""Saving and loading XGBoost's trees in its own formats, which hold data only."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from palio.artifacts.flavors import Safety, model_file, needed
from palio.artifacts.flavors.answers import check_fits, chosen, is_any, labels_of, numbers, scored
from palio.artifacts.flavors.samples import features_of
from palio.artifacts.flavors.threads import FewThreads
from palio.artifacts.flavors.xgboost.trees import check_trees
from palio.artifacts.flavors.xgboost.ubjson import read
from palio.errors import InvalidInput
from palio.registry.signature import Cell, Predictions, Signature, Task

__all__ = ["XgboostFlavor", "XgboostPredictor"]

_MODEL_FILE = "model.json"
_UBJSON = b"{L" + (7).to_bytes(8, "big") + b"learner"
_ESTIMATOR = "xgboost.sklearn.XGBModel"
_CLASSIFIER = "xgboost.sklearn.XGBClassifier"
_BOOSTER = "xgboost.core.Booster"
_SAVED_BY = "scikit_learn"  # its attribute that only estimators write
_ESTIMATORS = {"classifier": "XGBClassifier", "regressor": "XGBRegressor", "ranker": "XGBRanker"}
_LABELS = frozenset({"binary:hinge", "multi:softmax"})  # they answer the index of a class
_PROBABILITIES = frozenset({"binary:logistic", "multi:softprob"})


_MALFORMED = (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError)


class XgboostFlavor:
    """Boosters and estimators of XGBoost as ``model.json``; its ``.ubj`` files are read too.

    Trees on numbers with one answer a row. Linear boosters, categorical splits and several
    targets are refused.
    """

    name = "xgboost"
    safety = Safety.SAFE

    def __init__(self, _: Sequence[str] = ()) -> None:
        """Take the trusted types that every flavor is given; data needs none."""

    def recognises(self, model: object) -> bool:
        """Tell whether the model is a booster or one of XGBoost's estimators."""
        return is_any(model, {_BOOSTER, _ESTIMATOR})

    def claims(self, name: str, head: bytes) -> bool:
        """Tell whether a file is XGBoost's JSON, or its UBJSON under any name."""
        return head.startswith(_UBJSON) or (name.endswith(".json") and b'"learner"' in head)

    def infer_signature(self, model: object, sample: Any, target: Any = None) -> Signature:
        """Read the features off a sample, and task and classes off the objective.

        Raises
        ------
        InvalidInput
            If the sample does not fit, or the model is of a kind that cannot be kept.
        """
        booster = _booster(model)
        features = features_of(sample, booster.feature_names or ())
        classes = _classes(booster)
        if classes is None:
            return Signature(features=features, task=Task.REGRESSION)
        if is_any(model, {_CLASSIFIER}):
            target = None  # this estimator insists on 0, 1, 2 …
        labels = labels_of(classes, target)
        return Signature(features=features, task=Task.CLASSIFICATION, classes=labels)

    def save(self, model: object, folder: Path, signature: Signature) -> None:
        """Write the trees into ``folder``.

        Raises
        ------
        InvalidInput
            If the model does not fit the signature, or is of a kind that cannot be kept.
        """
        _check(_booster(model), signature)
        cast("Any", model).save_model(folder / _MODEL_FILE)

    def restore(self, files: Mapping[str, bytes]) -> object:
        """Make a booster of bytes whose digests have been compared.

        Raises
        ------
        InvalidInput
            If XGBoost cannot read them.
        UntrustedArtifact
            If the trees point outside of their arrays.
        """
        name, content = model_file(self, files)
        xgboost = needed("xgboost", extra="xgboost")
        try:
            _check_file(content)
            booster = xgboost.Booster(model_file=bytearray(content))
        except (xgboost.core.XGBoostError, *_MALFORMED) as error:
            reason = str(error).split("Stack trace")[0].strip()
            raise InvalidInput(
                f"{name} is no model that XGBoost {xgboost.__version__} reads: {reason}; save it "
                "with save_model of the version that is installed where it is served",
                field="model",
                value=name,
            ) from error
        return cast("object", booster)

    def wrapped(self, restored: object) -> object:
        """Return the estimator that a booster was saved by, or the booster, where by none."""
        booster = cast("Any", restored)
        kind = json.loads(booster.attr(_SAVED_BY) or "{}").get("_estimator_type")
        if kind not in _ESTIMATORS:
            return booster
        estimator = getattr(needed("xgboost", extra="xgboost"), _ESTIMATORS[kind])()
        estimator.load_model(booster.save_raw("ubj"))
        return cast("object", estimator)

    def load(self, files: Mapping[str, bytes], signature: Signature) -> XgboostPredictor:
        """Make a predictor of bytes whose digests have been compared; raises as ``restore``."""
        booster = cast("Any", self.restore(files))
        _check(booster, signature)
        return XgboostPredictor(booster, signature)


class XgboostPredictor:
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
        self._answers = chosen if _objective(booster) in _LABELS else scored
        self._rounds = (0, _rounds(booster))
        self._threads = FewThreads()

    def predict(self, table: list[list[Cell]]) -> Predictions:
        """Answer a table that the signature has checked; raises what XGBoost raises."""
        with self._threads.over(len(table)):
            scores = self._booster.inplace_predict(numbers(table), iteration_range=self._rounds)
        return self._answers(scores, self._signature)


def _booster(model: object) -> Any:
    """Return the trees of an estimator that answers as they do."""
    if is_any(model, {_BOOSTER}):
        booster = cast("Any", model)
    else:
        booster = _of_estimator(cast("Any", model))
    _keepable(json.loads(booster.save_raw("json"))["learner"])
    if is_any(model, {_CLASSIFIER}) and _classes(booster) is None:
        raise _unkept(f"its objective {_objective(booster)} gives a classifier no probabilities")
    return booster


def _of_estimator(model: Any) -> Any:
    if not model.__sklearn_is_fitted__():
        raise _unkept("it is not fitted; fit it first")
    if model.missing is not None and not math.isnan(model.missing):
        raise _unkept(f"missing={model.missing} is not in its files; mark missing values as NaN")
    return model.get_booster()


def _check_file(content: bytes) -> None:
    if content.startswith(_UBJSON):
        learner = read(content)["learner"]
    else:
        learner = json.loads(content, object_pairs_hook=_once)["learner"]
    _keepable(learner)
    check_trees(learner)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"a name is there twice among {', '.join(sorted(found))}")
    return found


def _keepable(learner: Any) -> None:
    kind = learner["gradient_booster"]["name"]
    if kind not in {"gbtree", "dart"}:
        raise _unkept(f"a {kind} booster has no trees; use a linear model of scikit-learn")
    if int(learner["learner_model_param"]["num_target"]) > 1:
        raise _unkept("it answers several targets; train a model for each")
    if _has_categories(learner):
        raise _unkept("it splits by categories; encode them as numbers before training")


def _has_categories(learner: Any) -> bool:
    booster = learner["gradient_booster"]
    trees = booster.get("gbtree", booster)["model"]["trees"]
    return "c" in learner["feature_types"] or any(len(tree["categories"]) for tree in trees)


def _check(booster: Any, signature: Signature) -> None:
    check_fits(
        signature,
        width=booster.num_features(),
        classes=_classes(booster),
        names=booster.feature_names or (),
    )


def _classes(booster: Any) -> int | None:
    if _objective(booster) not in _LABELS | _PROBABILITIES:
        return None
    return max(2, int(_learner(booster)["learner_model_param"]["num_class"]))


def _rounds(booster: Any) -> int:
    # estimators stop at their best round when they predict, boosters use all: 0
    best = booster.attr("best_iteration")
    return int(best) + 1 if best is not None and booster.attr(_SAVED_BY) else 0


def _objective(booster: Any) -> str:
    return str(_learner(booster)["objective"]["name"])


def _learner(booster: Any) -> Any:
    return json.loads(booster.save_config())["learner"]


def _unkept(why: str) -> InvalidInput:
    return InvalidInput(f"this model of XGBoost cannot be kept: {why}", field="model", value=why)
