"""Models of Keras: the same answers elsewhere, and only for rows of a table."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from palio.artifacts.flavors import FLAVORS, Safety, recognise
from palio.artifacts.flavors.keras import KerasFlavor
from palio.errors import InvalidInput, UntrustedArtifact
from palio.registry.signature import Feature, FeatureType, Signature, Task

from ..elsewhere import asked_elsewhere, told_without  # noqa: TID252
from .models import INPUTS, LABELS, OLD_ARRAYS, ROWS, content_of, keras, network, sequence

pytestmark = OLD_ARRAYS
FLAVOR = KerasFlavor()
CLOSE = 1e-6  # how Keras compares what it loads in its own tests: keras.src.testing


def same(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found, expected, rtol=CLOSE, atol=CLOSE)


def answered(model: Any, folder: Path, target: Any = None) -> Any:
    signature = FLAVOR.infer_signature(model, INPUTS, target)
    FLAVOR.save(model, folder, signature)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert list(files) == ["model.keras"]
    return FLAVOR.load(files, signature).predict(signature.table(ROWS))


@pytest.mark.parametrize("labels", [LABELS, np.array(["bad", "good"])[LABELS]])
def test_several_outputs_are_probabilities_of_classes(labels: Any, tmp_path: Path) -> None:
    model = network()
    found = answered(model, tmp_path, labels)
    # witness: the model itself, before it was saved
    expected = model.predict_on_batch(INPUTS)
    same(found.probabilities, expected)
    assert found.values == np.unique(labels)[expected.argmax(axis=1)].tolist()


def test_one_output_is_a_probability_if_the_target_has_two_labels(tmp_path: Path) -> None:
    model = network(1, "sigmoid")
    found = answered(model, tmp_path, LABELS)
    expected = model.predict_on_batch(INPUTS)[:, 0]
    same([row[1] for row in found.probabilities], expected)


@pytest.mark.parametrize("target", [None, INPUTS[:, 0], LABELS])
def test_one_output_is_a_number_otherwise(target: Any, tmp_path: Path) -> None:
    model = sequence()
    found = answered(model, tmp_path, target)
    assert found.probabilities is None
    same(found.values, model.predict_on_batch(INPUTS)[:, 0])


def test_what_was_trained_is_kept_and_the_training_is_not(tmp_path: Path) -> None:
    model = network()
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(INPUTS, LABELS, epochs=1, verbose=0)
    found = answered(model, tmp_path)
    same(found.probabilities, model.predict_on_batch(INPUTS))
    restored: Any = FLAVOR.restore({"m.keras": (tmp_path / "model.keras").read_bytes()})
    assert not restored.compiled


def test_another_process_answers_the_same(tmp_path: Path) -> None:
    model = network()
    found = asked_elsewhere(tmp_path, model, INPUTS, ROWS)
    assert found["flavor"] == "keras"
    same(found["probabilities"], model.predict_on_batch(INPUTS))


def test_a_file_is_registered_and_answers_elsewhere(tmp_path: Path) -> None:
    model, path = network(), tmp_path / "of_another_name.keras"
    model.save(path)
    assert recognise(path).name == "keras"
    found = asked_elsewhere(tmp_path, path, INPUTS, ROWS)
    same(found["probabilities"], model.predict_on_batch(INPUTS))


def test_threads_get_the_answers_of_one(tmp_path: Path) -> None:
    model = network()
    signature = FLAVOR.infer_signature(model, INPUTS)
    predictor = FLAVOR.load({"m.keras": content_of(model, tmp_path)}, signature)
    sizes = [1 + at % 7 for at in range(200)]
    alone = [predictor.predict(ROWS[:size]).probabilities for size in sizes]
    with ThreadPoolExecutor(8) as pool:
        together = pool.map(lambda size: predictor.predict(ROWS[:size]).probabilities, sizes)
        for found, expected in zip(together, alone, strict=True):
            same(found, expected)


def test_no_request_pays_for_tracing(tmp_path: Path) -> None:
    if keras.backend.backend() != "tensorflow":
        pytest.fail("the tests of this flavor run on TensorFlow, unset KERAS_BACKEND")
    traced = 0

    @keras.saving.register_keras_serializable("palio_tests")
    class Counted(keras.layers.Layer):  # type: ignore[misc]
        def call(self, rows: Any) -> Any:
            nonlocal traced
            traced += 1  # once a trace: TensorFlow runs the graph, not this
            return rows * 1.0

    rows = keras.Input((3,))
    model = keras.Model(rows, keras.layers.Dense(2, activation="softmax")(Counted()(rows)))
    trusting = KerasFlavor(["palio_tests>Counted"])
    signature = trusting.infer_signature(model, INPUTS)
    predictor = trusting.load({"m.keras": content_of(model, tmp_path)}, signature)
    before = traced
    for size in (1, 2, 5, 1, 200, 3):
        predictor.predict(ROWS[:size])
    assert traced == before


def test_it_is_found_by_itself() -> None:
    assert recognise(network()).name == "keras"
    assert recognise(sequence()).name == "keras"
    assert FLAVOR.safety is Safety.CHECKED
    assert not FLAVOR.recognises(INPUTS)
    if "torch" in FLAVORS:  # whose module a Keras model is on that backend
        assert list(FLAVORS).index("keras") < list(FLAVORS).index("torch")


def test_asking_every_flavor_imports_no_keras() -> None:
    code = (
        "import sys; from palio.artifacts.flavors import recognise; recognise(print); "
        "print({'keras', 'tensorflow', 'h5py'} & set(sys.modules))"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert finished.stdout.split() == [b"set()"]


def test_without_the_library_the_extra_is_named(tmp_path: Path) -> None:
    network().save(tmp_path / "model.keras")
    told = told_without("keras", "keras", tmp_path / "model.keras")
    assert "pip install 'palio[keras]'" in told


def test_a_class_of_the_users_is_taken_by_its_exact_name_only(tmp_path: Path) -> None:
    @keras.saving.register_keras_serializable("palio_tests")
    class Doubled(keras.layers.Layer):  # type: ignore[misc]
        def call(self, rows: Any) -> Any:
            return rows * 2.0

    model = keras.Sequential([keras.Input((3,)), Doubled(), keras.layers.Dense(1)])
    signature = FLAVOR.infer_signature(model, INPUTS)
    with pytest.raises(UntrustedArtifact, match=r"PALIO_TRUSTED_TYPES=palio_tests>Doubled "):
        FLAVOR.save(model, tmp_path, signature)
    assert list(tmp_path.iterdir()) == []
    trusting = KerasFlavor(["palio_tests>Doubled"])
    trusting.save(model, tmp_path, signature)
    files = {"model.keras": (tmp_path / "model.keras").read_bytes()}
    found = trusting.load(files, signature).predict(ROWS)
    same(found.values, model.predict_on_batch(INPUTS)[:, 0])


def two_inputs() -> Any:
    one, other = keras.Input((1,)), keras.Input((2,))
    return keras.Model([one, other], keras.layers.Concatenate()([one, other]))


MISFITS: dict[str, Callable[[], Any]] = {
    "has 2 inputs and 1 outputs": two_inputs,
    "was never built": lambda: keras.Sequential([keras.layers.Dense(1)]),
    r"has the shapes \(None, 3, 1\)": lambda: keras.Sequential(
        [keras.Input((3, 1)), keras.layers.Flatten()]
    ),
    r"has the shapes \(5, 3\)": lambda: keras.Sequential(
        [keras.Input(batch_shape=(5, 3)), keras.layers.Dense(1)]
    ),
    "takes 2 features, not 3": lambda: network(width=2),
    "no probability; end it with a softmax": lambda: network(2, "linear"),
}


@pytest.mark.parametrize("why", MISFITS)
def test_models_that_cannot_answer_rows(why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        FLAVOR.infer_signature(MISFITS[why](), INPUTS)


def test_a_misfit_is_refused(tmp_path: Path) -> None:
    model = network()
    content = content_of(model, tmp_path)
    narrow = Signature((Feature("x", FeatureType.NUMBER),), Task.CLASSIFICATION, (0, 1))
    with pytest.raises(InvalidInput, match="takes 3 features, not 1"):
        FLAVOR.save(model, tmp_path / "none", narrow)
    with pytest.raises(InvalidInput, match="takes 3 features, not 1"):
        FLAVOR.load({"m.keras": content}, narrow)
    numbers = FLAVOR.infer_signature(sequence(), INPUTS)
    with pytest.raises(InvalidInput, match="is made for classification"):
        FLAVOR.load({"m.keras": content}, numbers)


def test_integers_are_taken_where_the_model_takes_them(tmp_path: Path) -> None:
    towns = np.array([[0], [3], [1]])
    taken = keras.Input((1,), dtype="int32")
    spread = keras.layers.Flatten()(keras.layers.Embedding(4, 2)(taken))
    model = keras.Model(taken, keras.layers.Dense(1)(spread))
    signature = FLAVOR.infer_signature(model, towns)
    predictor = FLAVOR.load({"m.keras": content_of(model, tmp_path)}, signature)
    expected = model.predict_on_batch(towns)[:, 0]
    same(predictor.predict(towns.tolist()).values, expected)
    with pytest.raises(InvalidInput, match="takes int32 for 'x0', never missing"):
        FLAVOR.infer_signature(model, towns + 0.5)
