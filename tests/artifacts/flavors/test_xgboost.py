"""XGBoost's own files: the same answers, and none that ends the process."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost

from palio.artifacts.flavors import Safety, recognise
from palio.artifacts.flavors.xgboost import XgboostFlavor
from palio.errors import InvalidInput, UntrustedArtifact
from palio.registry.signature import Task

from .elsewhere import asked_elsewhere, told_without

FLAVOR = XgboostFlavor()
INPUTS = np.random.default_rng(7).normal(size=(300, 3))
INPUTS[::9, 1] = np.nan
LABELS = (INPUTS[:, 0] * INPUTS[:, 2] > 0).astype(int)
THREE = np.digitize(INPUTS[:, 0], [-0.5, 0.5])
ROWS: list[Any] = np.where(np.isnan(INPUTS), None, INPUTS).tolist()


def classifier(**settings: Any) -> Any:
    return xgboost.XGBClassifier(n_estimators=5, **settings).fit(INPUTS, LABELS)


def booster(**settings: Any) -> Any:
    return xgboost.train(settings, xgboost.DMatrix(INPUTS, LABELS), 5)


def answered(model: Any, folder: Path, target: Any = None) -> Any:
    signature = FLAVOR.infer_signature(model, INPUTS, target)
    FLAVOR.save(model, folder, signature)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return FLAVOR.load(files, signature).predict(signature.table(ROWS))


@pytest.mark.parametrize("labels", [LABELS, THREE])
def test_a_classifier_answers_the_same_bit_for_bit(labels: Any, tmp_path: Path) -> None:
    model = xgboost.XGBClassifier(n_estimators=5).fit(INPUTS, labels)
    found = answered(model, tmp_path)
    # witness: the estimator itself, before it was saved
    assert found.values == model.predict(INPUTS).tolist()
    assert found.probabilities == model.predict_proba(INPUTS).tolist()


def test_an_estimator_stops_at_its_best_round_and_a_booster_does_not(tmp_path: Path) -> None:
    model = xgboost.XGBClassifier(n_estimators=50, early_stopping_rounds=2, learning_rate=1.0)
    model.fit(INPUTS, LABELS, eval_set=[(-INPUTS, LABELS)], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    assert answered(model, tmp_path).probabilities == model.predict_proba(INPUTS).tolist()
    found = answered(model.get_booster(), tmp_path)
    expected = model.get_booster().predict(xgboost.DMatrix(INPUTS)).tolist()
    assert [row[1] for row in found.probabilities] == expected


@pytest.mark.parametrize("objective", ["reg:squarederror", "binary:logitraw", "count:poisson"])
def test_a_booster_for_numbers(objective: str, tmp_path: Path) -> None:
    model = booster(objective=objective)
    found = answered(model, tmp_path)
    assert found.probabilities is None
    assert found.values == model.predict(xgboost.DMatrix(INPUTS)).tolist()


def test_trees_with_weights_of_their_own(tmp_path: Path) -> None:
    model = booster(objective="reg:squarederror", booster="dart", rate_drop=0.5)
    found = answered(model, tmp_path).values
    assert found == model.inplace_predict(INPUTS).tolist()
    # XGBoost's other way to predict adds these trees in another order
    np.testing.assert_allclose(found, model.predict(xgboost.DMatrix(INPUTS)), rtol=1e-6)


@pytest.mark.parametrize(
    "settings", [{"objective": "multi:softmax", "num_class": 2}, {"objective": "binary:hinge"}]
)
def test_a_booster_for_labels_takes_them_from_the_target(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    model, names = booster(**settings), np.array(["bad", "good"])
    found = answered(model, tmp_path, names[LABELS])
    assert found.probabilities is None
    expected = model.predict(xgboost.DMatrix(INPUTS)).astype(int)
    assert found.values == names[expected].tolist()


def test_a_frame_gives_the_names_in_the_order_of_the_model() -> None:
    frame = pd.DataFrame(INPUTS, columns=["age", "debt", "rate"])
    model = xgboost.XGBClassifier(n_estimators=2).fit(frame, LABELS)
    signature = FLAVOR.infer_signature(model, frame[["rate", "debt", "age"]])
    assert [feature.name for feature in signature.features] == ["age", "debt", "rate"]
    assert [feature.nullable for feature in signature.features] == [False, True, False]
    assert (signature.task, signature.classes) == (Task.CLASSIFICATION, (0, 1))


def test_its_own_flavor_comes_before_that_of_its_base_class() -> None:
    assert recognise(classifier()).name == "xgboost"
    assert recognise(booster()).name == "xgboost"
    assert FLAVOR.safety is Safety.SAFE


@pytest.mark.parametrize("name", ["model.json", "model.ubj", "any.bin"])
def test_files_are_recognised_and_answer(name: str, tmp_path: Path) -> None:
    model, path = classifier(), tmp_path / name
    path.write_bytes(model.get_booster().save_raw("json" if "json" in name else "ubj"))
    assert recognise(path).name == "xgboost"
    restored = FLAVOR.restore({name: path.read_bytes()})
    signature = FLAVOR.infer_signature(restored, INPUTS)
    predictor = FLAVOR.load({name: path.read_bytes(), "notes.json": b"{}"}, signature)
    assert predictor.predict(ROWS).probabilities == model.predict_proba(INPUTS).tolist()


@pytest.mark.parametrize("kind", ["XGBClassifier", "XGBRegressor"])
def test_who_has_saved_an_estimator_gets_one_back(kind: str, tmp_path: Path) -> None:
    model = getattr(xgboost, kind)(n_estimators=5).fit(INPUTS, LABELS)
    FLAVOR.save(model, tmp_path, FLAVOR.infer_signature(model, INPUTS))
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    found: Any = FLAVOR.wrapped(FLAVOR.restore(files))
    assert type(found) is type(model)
    assert found.predict(INPUTS).tolist() == model.predict(INPUTS).tolist()  # witness: itself


def test_who_has_saved_a_booster_gets_that(tmp_path: Path) -> None:
    model = booster()
    FLAVOR.save(model, tmp_path, FLAVOR.infer_signature(model, INPUTS))
    restored = FLAVOR.restore({"model.json": (tmp_path / "model.json").read_bytes()})
    assert FLAVOR.wrapped(restored) is restored


def test_another_process_answers_the_same_bit_for_bit(tmp_path: Path) -> None:
    model = classifier()
    found = asked_elsewhere(tmp_path, model, INPUTS, ROWS)
    assert found["flavor"] == "xgboost"
    assert found["probabilities"] == model.predict_proba(INPUTS).tolist()


def test_without_the_library_the_extra_is_named(tmp_path: Path) -> None:
    classifier().save_model(tmp_path / "model.json")
    told = told_without("xgboost", "xgboost", tmp_path / "model.json")
    assert "pip install 'palio[xgboost]'" in told


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: booster(booster="gblinear"), "has no trees"),
        (xgboost.XGBClassifier, "not fitted"),
        (lambda: classifier(missing=-999.0), "missing=-999.0"),
        (lambda: classifier(objective="binary:logitraw"), "binary:logitraw"),
        (lambda: xgboost.XGBRegressor(n_estimators=1).fit(INPUTS, INPUTS[:, [0, 2]]), "several"),
    ],
)
def test_models_that_cannot_be_kept(make: Callable[[], Any], why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        FLAVOR.infer_signature(make(), INPUTS)


def test_categories_are_refused() -> None:
    frame = pd.DataFrame({"town": pd.Categorical(np.array(["a", "b", "c"])[THREE])})
    model = xgboost.XGBClassifier(n_estimators=2, enable_categorical=True).fit(frame, LABELS)
    with pytest.raises(InvalidInput, match="encode them as numbers"):
        FLAVOR.infer_signature(model, frame)


def test_another_width_is_refused(tmp_path: Path) -> None:
    signature = FLAVOR.infer_signature(classifier(), INPUTS)
    narrow = xgboost.XGBClassifier(n_estimators=1).fit(INPUTS[:, :2], LABELS)
    with pytest.raises(InvalidInput, match="takes 2 features, not 3"):
        FLAVOR.save(narrow, tmp_path, signature)
    with pytest.raises(InvalidInput, match="takes 2 features, not 3"):
        FLAVOR.load({"model.ubj": bytes(narrow.get_booster().save_raw())}, signature)
    assert list(tmp_path.iterdir()) == []


def edited(change: Callable[[Any], None], kind: str) -> dict[str, bytes]:
    learner = json.loads(classifier().get_booster().save_raw("json"))
    change(learner["learner"])
    content = json.dumps(learner).encode()
    if kind == "json":
        return {"model.json": content}
    return {"model.ubj": as_ubjson(learner)}


def as_ubjson(value: Any) -> bytes:
    """Write UBJSON (draft 12) without typed arrays, which XGBoost reads as well."""

    def text(string: str) -> bytes:
        return b"L" + len(string.encode()).to_bytes(8, "big") + string.encode()

    if isinstance(value, dict):
        inner = b"".join(text(key) + as_ubjson(item) for key, item in value.items())
        return b"{" + inner + b"}"
    if isinstance(value, list):
        return b"[" + b"".join(map(as_ubjson, value)) + b"]"
    if isinstance(value, str):
        return b"S" + text(value)
    if isinstance(value, int):
        return b"L" + value.to_bytes(8, "big", signed=True)
    return b"D" + np.float64(value).astype(">f8").tobytes()


def tree(learner: Any) -> Any:
    return learner["gradient_booster"]["model"]["trees"][1]


CHANGES: dict[str, Callable[[Any], None]] = {
    "child outside": lambda found: tree(found)["left_children"].__setitem__(0, 10**6),
    "cycle": lambda found: tree(found)["right_children"].__setitem__(1, 0),
    "two parents": lambda found: tree(found)["left_children"].__setitem__(0, 2),
    "parent outside": lambda found: tree(found)["parents"].__setitem__(1, 10**8),
    "feature outside": lambda found: tree(found)["split_indices"].__setitem__(0, 3),
    "half a leaf": lambda found: tree(found)["left_children"].__setitem__(0, -1),
    "output outside": lambda found: found["gradient_booster"]["model"].update(tree_info=[9] * 5),
    "rounds outside": lambda found: found["gradient_booster"]["model"]["iteration_indptr"].append(
        9
    ),
    "best outside": lambda found: found["attributes"].update(best_iteration="99"),
}


@pytest.mark.parametrize("kind", ["json", "ubj"])
@pytest.mark.parametrize("name", CHANGES)
def test_trees_that_point_outside_are_refused(name: str, kind: str) -> None:
    files = edited(copy.copy(CHANGES[name]), kind)
    with pytest.raises(UntrustedArtifact, match="point outside"):
        FLAVOR.restore(files)


GOOD = bytes(classifier().get_booster().save_raw("ubj"))
GOOD_JSON = bytes(classifier().get_booster().save_raw("json"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.json", b'{"learner"'),
        ("model.json", b'{"learner":{}}'),
        ("model.json", b'{"learner":[]}'),
        ("model.json", GOOD_JSON[: len(GOOD_JSON) // 2]),
        ("model.json", GOOD_JSON.replace(b'"name":', b'"name":"gblinear","name":', 1)),
        ("model.json", GOOD_JSON.replace(b"binary:logistic", b"binary:unheard", 1)),
        ("model.ubj", GOOD[: len(GOOD) // 2]),
        ("model.ubj", GOOD + b"!"),
        ("model.ubj", GOOD.replace(b"#L\0\0\0\0\0\0\0", b"#L\x7f\0\0\0\0\0\0", 1)),
        ("model.ubj", GOOD.replace(b"#L\0\0\0\0\0\0\0", b"#L\xff\0\0\0\0\0\0", 1)),
        ("model.ubj", GOOD[:10] + b"learner" + b"[" * 100),
    ],
)
def test_corrupt_files_are_refused(name: str, content: bytes) -> None:
    with pytest.raises(InvalidInput, match=f"{name} is no model that XGBoost"):
        FLAVOR.restore({name: content})


def test_an_empty_file_is_nobodys() -> None:
    # XGBoost itself ends the process at one
    with pytest.raises(InvalidInput, match="no model of flavor xgboost"):
        FLAVOR.restore({"model.json": b""})
