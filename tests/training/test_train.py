"""Training: the same from the same seed, measured on rows it has not seen, ready to serve."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from palio.artifacts.flavors.sklearn import MODEL_FILE, SklearnFlavor
from palio.artifacts.loader import package
from palio.errors import InvalidData, InvalidInput
from palio.registry.signature import Feature, FeatureType, Signature, Task
from palio.training.columns import matrix
from palio.training.estimators import ESTIMATORS
from palio.training.table import fingerprint
from palio.training.train import Trained, train

RNG = np.random.default_rng(11)
N = 400
FRAME = pl.DataFrame(
    {
        "id": range(N),
        "age": RNG.integers(18, 80, N),
        "debt": RNG.normal(size=N),
        "owner": RNG.random(N) < 0.5,
        "town": RNG.choice(["Siena", "Asti", "Legnano"], N),
    }
).with_columns(
    pl.when(pl.col("age") % 10 == 0).then(None).otherwise(pl.col("debt")).alias("debt"),
    pl.when(pl.col("id") % 17 == 0).then(None).otherwise(pl.col("town")).alias("town"),
    pl.when((pl.col("age") > 45) == pl.col("owner"))
    .then(pl.lit("late"))
    .otherwise(pl.lit("paid"))
    .alias("end"),
)


@pytest.fixture(scope="module", params=list(ESTIMATORS))
def trained(request: pytest.FixtureRequest) -> Trained:
    return train(FRAME, target="end", estimator=request.param, seed=1, drop=["id"])


def test_signature_says_names_types_missing_values_and_classes(trained: Trained) -> None:
    assert trained.signature == Signature(
        features=(
            Feature("age", FeatureType.INTEGER),
            Feature("debt", FeatureType.NUMBER, nullable=True),
            Feature("owner", FeatureType.BOOLEAN),
            Feature("town", FeatureType.STRING, nullable=True),
        ),
        task=Task.CLASSIFICATION,
        classes=("late", "paid"),
    )


def test_record_says_what_was_done_and_is_json(trained: Trained) -> None:
    record = json.loads(json.dumps(trained.record))
    assert record["fingerprint"] == fingerprint(FRAME)
    assert (record["rows_train"], record["rows_test"]) == (300, 100)  # a quarter of 400
    assert (record["seed"], record["target"], record["dropped"]) == (1, "end", ["id"])
    assert record["positive_class"] == "paid"
    assert sum(record["class_shares"].values()) == pytest.approx(1)
    assert record["features"][1] == {"name": "debt", "type": "number", "nullable": True}


def test_figures_and_images_are_complete(trained: Trained) -> None:
    assert set(trained.metrics) - {"calibration_rms"} == {  # 100 rows may be too few for it
        "accuracy",
        "average_precision",
        "brier",
        "calibration_error",
        "f1",
        "log_loss",
        "precision",
        "recall",
        "roc_auc",
    }
    bounded = {"accuracy", "brier", "log_loss", "roc_auc"}
    assert set(trained.record["intervals"]) - {"calibration_rms"} == bounded
    for name, (lower, upper) in trained.record["intervals"].items():
        assert lower <= trained.metrics[name] <= upper
    assert set(trained.plots) == {"calibration", "roc", "precision_recall"}


def test_served_as_fitted(trained: Trained, tmp_path: Path) -> None:
    saved = package(trained.model, tmp_path, trained.signature)
    files = {MODEL_FILE: saved[MODEL_FILE].read_bytes()}
    predictor = SklearnFlavor().load(files, trained.signature)
    rows = FRAME.select(feature.name for feature in trained.signature.features).to_dicts()
    answered = predictor.predict(trained.signature.table(rows))
    # witness: the fitted estimator on the arrays of training
    cells = matrix(FRAME, trained.signature.features)
    np.testing.assert_array_equal(answered.probabilities, trained.model.predict_proba(cells))


def test_an_interaction_is_found_by_boosting_only() -> None:
    found = {
        name: train(FRAME, target="end", estimator=name, drop=["id"]).metrics["roc_auc"]
        for name in ESTIMATORS
    }
    assert found["gradient-boosting"] > 0.95  # the label is a function of two features
    assert found["logistic"] < 0.7  # and no sum of them


def test_the_same_seed_gives_the_same_figures() -> None:
    first, again, other = (
        train(FRAME, target="end", seed=seed, drop=["id"]).metrics for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_identifiers_are_kept_and_reported() -> None:
    trained = train(FRAME, target="end")
    assert trained.signature.features[0].name == "id"
    assert trained.record["warnings"] == [
        "id is unique per row; if it is an identifier, leave it out with --drop id"
    ]


def test_several_classes() -> None:
    trained = train(FRAME.drop_nulls("town"), target="town", drop=["id"])
    assert trained.signature.classes == ("Asti", "Legnano", "Siena")
    assert trained.record["positive_class"] is None


def test_steps_are_told() -> None:
    steps: list[str] = []
    train(FRAME, target="end", on_step=steps.append)
    assert [step.split()[0] for step in steps] == ["checking", "fitting", "measuring", "drawing"]


@pytest.mark.parametrize("share", [0, 1, -0.5, 1.5])
def test_shares_that_are_none(share: float) -> None:
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        train(FRAME, target="end", test_share=share)


def test_a_table_too_small_to_split() -> None:
    with pytest.raises(InvalidData, match="cannot be split"):
        train(FRAME[:20], target="end", test_share=0.01)
