"""LightGBM's own text: the same answers, and none that ends the process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest

from palio.artifacts.flavors import Safety, recognise
from palio.artifacts.flavors.lightgbm import LightgbmFlavor
from palio.errors import InvalidInput
from palio.registry.signature import Task

from .elsewhere import asked_elsewhere, told_without

FLAVOR = LightgbmFlavor()
INPUTS = np.random.default_rng(7).normal(size=(300, 3))
INPUTS[:, 2] = np.random.default_rng(8).integers(0, 60, 300)
INPUTS[::9, 1] = np.nan
LABELS = (INPUTS[:, 0] * (INPUTS[:, 2] % 3 - 1) > 0).astype(int)
THREE = np.digitize(INPUTS[:, 0], [-0.5, 0.5])
ROWS: list[Any] = np.where(np.isnan(INPUTS), None, INPUTS).tolist()
SMALL = {"num_leaves": 5, "verbose": -1, "min_data_per_group": 2, "cat_smooth": 1.0}


def classifier(labels: Any = LABELS, **settings: Any) -> Any:
    model = lightgbm.LGBMClassifier(n_estimators=5, **SMALL, **settings)
    return model.fit(INPUTS, labels, categorical_feature=[2])


def booster(labels: Any = LABELS, **settings: Any) -> Any:
    return lightgbm.train({**SMALL, **settings}, lightgbm.Dataset(INPUTS, labels), 5)


def answered(model: Any, folder: Path, target: Any = None) -> Any:
    signature = FLAVOR.infer_signature(model, INPUTS, target)
    FLAVOR.save(model, folder, signature)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return FLAVOR.load(files, signature).predict(signature.table(ROWS))


@pytest.mark.parametrize("labels", [LABELS, THREE, np.array(["bad", "good"])[LABELS]])
def test_a_classifier_answers_the_same_bit_for_bit(labels: Any, tmp_path: Path) -> None:
    model = classifier(labels)
    found = answered(model, tmp_path)
    # witness: the estimator itself, before it was saved
    assert found.values == model.predict(INPUTS).tolist()
    assert found.probabilities == model.predict_proba(INPUTS).tolist()


@pytest.mark.parametrize(
    "settings",
    [
        {"objective": "regression"},
        {"objective": "poisson"},
        {"objective": "regression", "linear_tree": True},
        {"objective": "regression", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
        {"objective": "cross_entropy"},
    ],
)
def test_a_booster_for_numbers(settings: dict[str, Any], tmp_path: Path) -> None:
    model = booster(**settings)
    found = answered(model, tmp_path)
    assert found.probabilities is None
    assert found.values == model.predict(INPUTS).tolist()


@pytest.mark.parametrize(
    ("labels", "settings"),
    [
        (LABELS, {"objective": "binary"}),
        (THREE, {"objective": "multiclass", "num_class": 3}),
        (THREE, {"objective": "multiclassova", "num_class": 3}),
    ],
)
def test_a_booster_for_classes_takes_their_names_from_the_target(
    labels: Any, settings: dict[str, Any], tmp_path: Path
) -> None:
    model, names = booster(labels, **settings), np.array(["a", "b", "c"])
    found = answered(model, tmp_path, names[labels])
    expected = model.predict(INPUTS)
    if expected.ndim == 1:
        expected = np.column_stack([1 - expected, expected])
    assert found.probabilities == expected.tolist()
    assert found.values == names[expected.argmax(axis=1)].tolist()


def test_an_estimator_that_stopped_early(tmp_path: Path) -> None:
    model = lightgbm.LGBMClassifier(n_estimators=60, learning_rate=1.0, **SMALL)
    stop = lightgbm.early_stopping(2, verbose=False)
    model.fit(INPUTS, LABELS, eval_X=(INPUTS,), eval_y=(1 - LABELS,), callbacks=[stop])
    assert model.best_iteration_ < 60
    assert answered(model, tmp_path).probabilities == model.predict_proba(INPUTS).tolist()


def test_names_with_spaces_are_those_of_the_frame(tmp_path: Path) -> None:
    frame = pd.DataFrame(INPUTS, columns=["age", "total debt", "rate"])
    model = lightgbm.LGBMClassifier(n_estimators=2, **SMALL).fit(frame, LABELS)
    signature = FLAVOR.infer_signature(model, frame[["rate", "total debt", "age"]])
    assert [feature.name for feature in signature.features] == ["age", "total debt", "rate"]
    assert (signature.task, signature.classes) == (Task.CLASSIFICATION, (0, 1))
    FLAVOR.save(model, tmp_path, signature)


def test_its_own_flavor_comes_before_that_of_its_base_class(tmp_path: Path) -> None:
    assert recognise(classifier()).name == "lightgbm"
    assert recognise(booster()).name == "lightgbm"
    booster().save_model(tmp_path / "any.name")
    assert recognise(tmp_path / "any.name").name == "lightgbm"
    assert FLAVOR.safety is Safety.SAFE


def test_a_file_of_its_own_is_restored(tmp_path: Path) -> None:
    model, path = booster(objective="binary"), tmp_path / "loans.lgb"
    model.save_model(path)
    files = {path.name: path.read_bytes()}
    signature = FLAVOR.infer_signature(FLAVOR.restore(files), INPUTS)
    found = FLAVOR.load(files, signature).predict(ROWS)
    assert found.probabilities is not None
    assert [row[1] for row in found.probabilities] == model.predict(INPUTS).tolist()


def test_another_process_answers_the_same_bit_for_bit(tmp_path: Path) -> None:
    model = classifier(np.array(["bad", "good"])[LABELS])
    found = asked_elsewhere(tmp_path, model, INPUTS, ROWS)
    assert found["flavor"] == "lightgbm"
    assert found["values"] == model.predict(INPUTS).tolist()
    assert found["probabilities"] == model.predict_proba(INPUTS).tolist()


def test_without_the_library_the_extra_is_named(tmp_path: Path) -> None:
    booster().save_model(tmp_path / "model.txt")
    told = told_without("lightgbm", "lightgbm", tmp_path / "model.txt")
    assert "pip install 'palio[lightgbm]'" in told


def own_objective(_: Any, scores: Any) -> Any:
    return scores, np.ones_like(scores)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lightgbm.LGBMClassifier, "not fitted"),
        (lambda: classifier(objective=own_objective), "no probabilities"),
    ],
)
def test_models_that_cannot_be_kept(make: Callable[[], Any], why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        FLAVOR.infer_signature(make(), INPUTS)


def test_categories_of_a_frame_are_refused() -> None:
    frame = pd.DataFrame({"town": pd.Categorical(np.array(["a", "b", "c"])[THREE])})
    model = lightgbm.LGBMClassifier(n_estimators=1, **SMALL).fit(frame, LABELS)
    with pytest.raises(InvalidInput, match="codes as numbers"):
        FLAVOR.infer_signature(model, frame)
    with pytest.raises(InvalidInput, match="codes as numbers"):
        FLAVOR.restore({"model.txt": model.booster_.model_to_string().encode()})


def test_another_width_is_refused(tmp_path: Path) -> None:
    signature = FLAVOR.infer_signature(classifier(), INPUTS)
    narrow = lightgbm.LGBMClassifier(n_estimators=1, **SMALL).fit(INPUTS[:, :2], LABELS)
    with pytest.raises(InvalidInput, match="takes 2 features, not 3"):
        FLAVOR.save(narrow, tmp_path, signature)
    with pytest.raises(InvalidInput, match="takes 2 features, not 3"):
        FLAVOR.load({"model.txt": narrow.booster_.model_to_string().encode()}, signature)
    assert list(tmp_path.iterdir()) == []


TEXT = classifier().booster_.model_to_string()
LINEAR = booster(objective="regression", linear_tree=True).model_to_string()


def set_first(name: str, value: str, text: str = TEXT) -> str:
    """Replace the first number of a line by one as long, so that only the number is wrong."""
    head, _, rest = text.partition(f"\n{name}=")
    first, _, others = rest.partition(" ") if " " in rest.split("\n")[0] else rest.partition("\n")
    between = rest[len(first)]
    return f"{head}\n{name}={value.rjust(len(first), '0')}{between}{others}"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (TEXT[: len(TEXT) // 3], "tree"),
        (TEXT.partition("end of trees")[0], "end of the trees is missing"),
        (TEXT.replace("Tree=1\n", "Tree=7\n"), "not where tree_sizes says"),
        (TEXT.replace("\nnum_class=1", "\nnum_class=2"), "2 classes have 1 trees"),
        (TEXT.replace("objective=binary ", "objective=multiclass num_class:9 "), "does not suit"),
        (TEXT.replace("max_feature_idx=2", "max_feature_idx=9"), "does not name 10 features"),
        (TEXT.replace("label_index=0", "num_class=1"), "num_class is there twice"),
        (TEXT.replace("\nmax_feature_idx=2", ""), "max_feature_idx is missing"),
        (set_first("left_child", "9"), "not one tree"),
        (set_first("right_child", "0"), "not one tree"),
        (set_first("split_feature", "3"), "split_feature points outside"),
        (set_first("num_leaves", "4"), "values, not"),
        (set_first("num_leaves", "x"), "invalid literal"),
        (set_first("num_cat", "0"), "num_cat is 0"),
        (set_first("cat_boundaries", "1"), "do not rise from 0"),
        (set_first("cat_threshold", "-"), "could not convert"),
        (set_first("num_features", "9", LINEAR), "values, not"),
        (set_first("num_features", "x", LINEAR), "invalid literal"),
    ],
)
def test_corrupt_files_are_refused(text: str, why: str) -> None:
    assert text not in {TEXT, LINEAR}
    with pytest.raises(InvalidInput, match=rf"(?s)model\.txt is no model that LightGBM.*{why}"):
        FLAVOR.restore({"model.txt": text.encode()})


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"model\.txt is no model that LightGBM"):
        FLAVOR.restore({"model.txt": TEXT.encode()[:200] + b"\xff\xff"})


def test_what_it_was_trained_with_never_reaches_the_library() -> None:
    # LightGBM 4.7.0 itself ends the process at a parameter section that was cut short
    cut = TEXT.partition("[feature_pre_filter")[0] + "[feature_pre_"
    restored: Any = FLAVOR.restore({"model.txt": cut.encode()})
    assert restored.num_trees() == 5
