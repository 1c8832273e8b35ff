"""Estimators to bytes and back: the same answers, and nothing loaded that is not allowed."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from palio.artifacts.flavors.sklearn import MODEL_FILE, SklearnFlavor
from palio.errors import InvalidInput, UntrustedArtifact
from palio.registry.signature import Feature, FeatureType, Signature, Task

from . import models

NUMERIC = Signature(
    features=tuple(Feature(f"x{at}", FeatureType.NUMBER) for at in range(3)),
    task=Task.CLASSIFICATION,
    classes=(0, 1),
)


def saved(model: object, folder: Path, signature: Signature) -> dict[str, bytes]:
    SklearnFlavor().save(model, folder, signature)
    return {MODEL_FILE: (folder / MODEL_FILE).read_bytes()}


@pytest.mark.parametrize(
    ("make", "sample"),
    [
        (models.logistic, models.NUMBERS),
        (models.boosted, models.NUMBERS),
        (models.forest, models.NUMBERS),
        (models.mixed_boosted, models.MIXED),
        (models.by_name, models.FRAME),
    ],
)
def test_round_trip_answers_as_the_estimator_did(
    make: Callable[[], Any], sample: Any, tmp_path: Path
) -> None:
    model, flavor = make(), SklearnFlavor()
    signature = flavor.infer_signature(model, sample)
    rows = sample.rows() if hasattr(sample, "rows") else sample.tolist()
    answered = flavor.load(saved(model, tmp_path, signature), signature).predict(
        signature.table(rows)
    )
    # witness: the estimator itself, before it was saved
    assert answered.values == model.predict(sample).tolist()
    np.testing.assert_array_equal(answered.probabilities, model.predict_proba(sample))


def test_a_regression_answers_numbers(tmp_path: Path) -> None:
    model = LinearRegression().fit(models.NUMBERS, models.NUMBERS[:, 0] * 2)
    flavor = SklearnFlavor()
    signature = flavor.infer_signature(model, models.NUMBERS)
    answered = flavor.load(saved(model, tmp_path, signature), signature).predict([[1.0, 0.0, 0.0]])
    assert answered.probabilities is None
    assert answered.values == [pytest.approx(2.0)]  # the slope it was fitted to


def shout(values: Any) -> Any:
    raise RuntimeError(f"untrusted code was called with {values}")


def with_own_code() -> Any:
    model = make_pipeline(FunctionTransformer(np.abs), LogisticRegression())
    model.fit(models.NUMBERS, models.LABELS)
    model.steps[0][1].func = shout
    return model


def test_saving_refuses_types_that_could_not_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(UntrustedArtifact, match=r"shout.*PALIO_TRUSTED_TYPES"):
        SklearnFlavor().save(with_own_code(), tmp_path, NUMERIC)
    assert list(tmp_path.iterdir()) == []


def test_loading_refuses_types_that_are_not_allowed() -> None:
    content = skops.io.dumps(with_own_code())
    with pytest.raises(UntrustedArtifact, match="shout") as caught:
        SklearnFlavor().load({MODEL_FILE: content}, NUMERIC)
    assert caught.value.details["types"] == [f"{shout.__module__}.shout"]


def test_a_type_named_by_the_operator_is_loaded() -> None:
    content = skops.io.dumps(with_own_code())
    trusting = SklearnFlavor([f"{shout.__module__}.shout"])
    predictor = trusting.load({MODEL_FILE: content}, NUMERIC)
    with pytest.raises(RuntimeError, match="was called"):
        predictor.predict([[0.0, 0.0, 0.0]])


def test_a_module_named_in_a_file_is_not_even_imported(tmp_path: Path) -> None:
    schema = {
        "__class__": "run",
        "__module__": "palio_never_imported",
        "__loader__": "ObjectNode",
        "__id__": 1,
        "content": None,
        "protocol": 2,
        "_skops_version": skops.__version__,
    }
    (tmp_path / "palio_never_imported.py").write_text("raise SystemExit('imported')")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as crafted:
        crafted.writestr("schema.json", json.dumps(schema))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        with pytest.raises(UntrustedArtifact, match=r"palio_never_imported\.run"):
            SklearnFlavor().load({MODEL_FILE: buffer.getvalue()}, NUMERIC)


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x05\x06" + bytes(18)])
def test_bytes_that_are_no_skops_file_are_refused(content: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"model\.skops cannot be read"):
        SklearnFlavor().load({MODEL_FILE: content}, NUMERIC)


def test_a_folder_without_the_model_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"no model of flavor sklearn.*\(other\.txt\)"):
        SklearnFlavor().load({"other.txt": b""}, NUMERIC)


@pytest.mark.parametrize(
    ("signature", "why"),
    [
        (
            Signature(NUMERIC.features[:2], NUMERIC.task, NUMERIC.classes),
            "takes 3 features, not 2",
        ),
        (Signature(NUMERIC.features, NUMERIC.task, ("no", "yes")), r"not \['no', 'yes'\]"),
    ],
)
def test_a_signature_of_another_model_is_refused(
    signature: Signature, why: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match=why):
        SklearnFlavor().save(models.logistic(), tmp_path, signature)


def test_an_estimator_that_was_not_fitted_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="fit it before saving"):
        SklearnFlavor().save(LogisticRegression(), tmp_path, NUMERIC)
