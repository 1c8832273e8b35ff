"""ONNX models: the answers of what they were made from, and no file but their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from palio.artifacts.flavors import Safety, recognise
from palio.artifacts.flavors.onnx import OnnxFlavor
from palio.errors import InvalidInput, InvalidRows, UntrustedArtifact
from palio.registry.signature import Feature, FeatureType, Signature, Task

from .elsewhere import asked_elsewhere, told_without

FLAVOR = OnnxFlavor()
INPUTS = np.random.default_rng(7).normal(size=(200, 3))
SINGLE = INPUTS.astype(np.float32)
LABELS = (INPUTS[:, 0] * INPUTS[:, 1] > 0).astype(int)
TOWNS = np.random.default_rng(8).choice(["Siena", "Asti", "Legnano"], 200)
FRAME = pl.DataFrame({"age": INPUTS[:, 0], "debt": INPUTS[:, 1], "town": TOWNS})
ROWS: list[Any] = INPUTS.tolist()
FLOAT32 = 1e-5  # how far skl2onnx's float32 may be from scikit-learn's float64


def pipeline(labels: Any = LABELS) -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(INPUTS, labels)


def converted(model: Any, **options: Any) -> Any:
    return to_onnx(model, SINGLE[:1], options=options or None, target_opset=21)


def dense(
    *ops: str, weights: Any = ((1.0,), (2.0,), (3.0,)), batch: Any = "n", opset: int = 21
) -> Any:
    """Return a product of rows and weights, and what follows."""
    values = np.array(weights, dtype=np.float32)
    names = ["y0", *(f"y{at + 1}" for at in range(len(ops)))]
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y0"])]
    nodes += [helper.make_node(op, [names[at]], [names[at + 1]]) for at, op in enumerate(ops)]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3])
    answer = helper.make_tensor_value_info(names[-1], TensorProto.FLOAT, [batch, values.shape[1]])
    graph = helper.make_graph(
        nodes, "g", [given], [answer], [numpy_helper.from_array(values, "w")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 10
    return model


def answered(model: Any, folder: Path, sample: Any = INPUTS, target: Any = None) -> Any:
    signature = FLAVOR.infer_signature(model, sample, target)
    FLAVOR.save(model, folder, signature)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    rows = sample.rows() if hasattr(sample, "rows") else sample.tolist()
    return FLAVOR.load(files, signature).predict(signature.table(rows))


@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize(
    "labels", [LABELS, np.array(["bad", "good"])[LABELS], np.digitize(INPUTS[:, 0], [-1, 1]) + 4]
)
def test_a_converted_pipeline_agrees_with_scikit_learn(
    labels: Any, zipmap: bool, tmp_path: Path
) -> None:
    model = pipeline(labels)
    found = answered(converted(model, zipmap=zipmap), tmp_path)
    assert found.values == model.predict(INPUTS).tolist()
    np.testing.assert_allclose(found.probabilities, model.predict_proba(INPUTS), atol=FLOAT32)


def test_a_converted_forest_agrees(tmp_path: Path) -> None:
    model = RandomForestClassifier(10, random_state=0).fit(SINGLE, LABELS)
    found = answered(converted(model), tmp_path, SINGLE.astype(float))
    np.testing.assert_allclose(found.probabilities, model.predict_proba(SINGLE), atol=FLOAT32)


def test_inputs_by_name_numbers_and_strings(tmp_path: Path) -> None:
    chosen = ColumnTransformer(
        [("n", StandardScaler(), ["debt", "age"]), ("c", OneHotEncoder(), ["town"])]
    )
    model = make_pipeline(chosen, LogisticRegression()).fit(FRAME, LABELS)
    one, text = FloatTensorType([None, 1]), StringTensorType([None, 1])
    given = [("age", one), ("debt", one), ("town", text)]
    proto = to_onnx(model, initial_types=given, target_opset=21)
    signature = FLAVOR.infer_signature(proto, FRAME.select("town", "debt", "age"))
    assert [(feature.name, feature.type) for feature in signature.features] == [
        ("age", FeatureType.NUMBER),
        ("debt", FeatureType.NUMBER),
        ("town", FeatureType.STRING),
    ]
    found = answered(proto, tmp_path, FRAME)
    np.testing.assert_allclose(found.probabilities, model.predict_proba(FRAME), atol=FLOAT32)


def test_classes_stay_in_the_order_of_the_graph(tmp_path: Path) -> None:
    names = np.array(["good", "bad"])
    options = {"output_class_labels": False, "zipmap": False}
    proto = converted(pipeline(), **options)
    for attribute in (part for node in proto.graph.node for part in node.attribute):
        if attribute.name == "classlabels_ints":
            attribute.CopyFrom(helper.make_attribute("classlabels_strings", names.tolist()))
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.STRING
    found = answered(proto, tmp_path, target=names[LABELS])
    assert FLAVOR.infer_signature(proto, INPUTS, names[LABELS]).classes == ("good", "bad")
    assert found.values == names[pipeline().predict(INPUTS)].tolist()
    expected = pipeline().predict_proba(INPUTS)
    np.testing.assert_allclose(found.probabilities, expected, atol=FLOAT32)


def test_labels_of_another_kind_come_from_the_target(tmp_path: Path) -> None:
    found = answered(converted(pipeline()), tmp_path, target=np.array(["bad", "good"])[LABELS])
    assert found.values == np.where(pipeline().predict(INPUTS), "good", "bad").tolist()


def test_numbers(tmp_path: Path) -> None:
    model = LinearRegression().fit(INPUTS, INPUTS @ [1.0, 2.0, 3.0])
    found = answered(converted(model), tmp_path)
    assert found.probabilities is None
    np.testing.assert_allclose(found.values, model.predict(INPUTS), atol=1e-4)


def test_a_single_score_is_a_probability_where_the_target_says_so(tmp_path: Path) -> None:
    expected = 1 / (1 + np.exp(-INPUTS @ [1.0, 2.0, 3.0]))
    found = answered(dense("Sigmoid"), tmp_path, target=np.array(["bad", "good"])[LABELS])
    np.testing.assert_allclose([row[1] for row in found.probabilities], expected, atol=FLOAT32)
    assert found.values == np.where(expected > 0.5, "good", "bad").tolist()
    assert FLAVOR.infer_signature(dense("Sigmoid"), INPUTS).task is Task.REGRESSION
    assert FLAVOR.infer_signature(dense(), INPUTS, LABELS).task is Task.REGRESSION


def test_rows_of_probabilities_without_labels(tmp_path: Path) -> None:
    found = answered(dense("Softmax", weights=np.eye(3)), tmp_path)
    expected = np.exp(INPUTS) / np.exp(INPUTS).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.probabilities, expected, atol=FLOAT32)
    assert found.values == expected.argmax(axis=1).tolist()


@pytest.mark.parametrize("make", [lambda: dense(weights=np.eye(3)), lambda: converted(svc())])
def test_scores_that_are_no_probabilities_are_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(InvalidInput, match=r"no probability; end it with Softmax"):
        FLAVOR.infer_signature(make(), INPUTS)


def svc() -> Any:
    return LinearSVC().fit(INPUTS, LABELS)


def test_objects_bytes_and_files_are_recognised(tmp_path: Path) -> None:
    proto = converted(pipeline())
    assert recognise(proto).name == "onnx"
    assert recognise(proto.SerializeToString()).name == "onnx"
    (tmp_path / "loans.onnx").write_bytes(proto.SerializeToString())
    assert recognise(tmp_path / "loans.onnx").name == "onnx"
    assert not FLAVOR.recognises(b"\x80\x04pickle")
    assert FLAVOR.safety is Safety.SAFE


def test_bytes_are_kept_as_they_are(tmp_path: Path) -> None:
    content = converted(pipeline()).SerializeToString()
    FLAVOR.save(content, tmp_path, FLAVOR.infer_signature(content, INPUTS))
    assert (tmp_path / "model.onnx").read_bytes() == content


def test_another_process_answers_the_same_bit_for_bit(tmp_path: Path) -> None:
    model = converted(pipeline())
    signature = FLAVOR.infer_signature(model, INPUTS)  # the same library, in this process
    here = FLAVOR.load({"model.onnx": model.SerializeToString()}, signature).predict(ROWS)
    found = asked_elsewhere(tmp_path, model, INPUTS, ROWS)
    assert found["flavor"] == "onnx"
    assert found["values"] == here.values
    assert found["probabilities"] == here.probabilities


@pytest.mark.parametrize("library", ["onnx", "onnxruntime"])
def test_without_the_library_the_extra_is_named(library: str, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(dense().SerializeToString())
    told = told_without(library, "onnx", tmp_path / "model.onnx")
    assert f"{library} is not installed" in told
    assert "pip install 'palio[onnx]'" in told


def with_outside(location: str = "w.bin", **entries: str) -> dict[str, bytes]:
    model = dense()
    (tensor,) = model.graph.initializer
    weights = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    return {"model.onnx": model.SerializeToString(), "w.bin": b"ab" + weights}


NUMBERS = Signature(
    features=tuple(Feature(f"x{at}", FeatureType.NUMBER) for at in range(3)), task=Task.REGRESSION
)


@pytest.mark.parametrize("location", ["w.bin", "./w.bin"])
def test_weights_beside_the_model_are_taken_from_its_version(location: str) -> None:
    files = with_outside(location, offset="2", length="12")
    found = FLAVOR.load(files, NUMBERS).predict(ROWS)
    inside = FLAVOR.load({"model.onnx": dense().SerializeToString()}, NUMBERS).predict(ROWS)
    assert found == inside


@pytest.mark.parametrize(
    "location",
    [
        "/etc/passwd",
        "../w.bin",
        "a/../../w.bin",
        "..\\w.bin",
        "C:w.bin",
        "%2e%2e/w",
        "w\0.bin",
        "",
    ],
)
def test_weights_outside_of_the_folder_are_refused(location: str) -> None:
    with pytest.raises(UntrustedArtifact, match="not in its own folder"):
        FLAVOR.restore(with_outside(location))


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ({"location": "v.bin"}, "'v.bin', which is not among the files"),
        ({"offset": "3", "length": "12"}, "wants bytes 3 to 15 of 'w.bin', which has 14"),
        ({"offset": "-2"}, "wants bytes -2"),
        ({"length": "-1"}, "wants bytes 0 to -1"),
        ({"offset": "two"}, "names no place"),
        ({"length": "8"}, "onnxruntime"),
    ],
)
def test_weights_that_are_not_there_are_refused(entries: dict[str, str], why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        FLAVOR.restore(with_outside(**entries))


def test_weights_hidden_in_a_branch_are_found_too() -> None:
    hidden = onnx.ModelProto.FromString(with_outside("/etc/passwd")["model.onnx"])
    model = dense()
    model.graph.node[0].attribute.append(helper.make_attribute("then_branch", hidden.graph))
    with pytest.raises(UntrustedArtifact, match="/etc/passwd"):
        FLAVOR.restore({"model.onnx": model.SerializeToString()})


def test_an_object_whose_weights_were_left_behind_is_refused(tmp_path: Path) -> None:
    model = onnx.ModelProto.FromString(with_outside()["model.onnx"])
    with pytest.raises(InvalidInput, match=r"onnx\.load"):
        FLAVOR.save(model, tmp_path, NUMBERS)


def odd_version() -> Any:
    model = dense()
    model.ir_version = 99
    return model


GOOD = dense().SerializeToString()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no graph"),
        (GOOD[: len(GOOD) // 2], "corrupt.*export it again"),
        (b"\x08\x0a", "no graph"),
        (dense(opset=99).SerializeToString(), "opset 99.*older opset"),
        (odd_version().SerializeToString(), "99"),
        (dense("Nonsense").SerializeToString(), "Nonsense"),
    ],
)
def test_corrupt_files_and_unknown_opsets_are_refused(content: bytes, why: str) -> None:
    with pytest.raises(InvalidInput, match=rf"(?is)model\.onnx is no ONNX model.*{why}"):
        FLAVOR.restore({"model.onnx": content})


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: dense(batch=1), "exactly 1 rows at once.*dynamic first axis"),
        (lambda: dense(weights=np.ones((3, 2))), "no probability"),
    ],
)
def test_graphs_that_do_not_answer_rows(make: Callable[[], Any], why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        FLAVOR.infer_signature(make(), INPUTS)


@pytest.mark.parametrize(
    ("features", "task", "why"),
    [
        (NUMBERS.features[:2], Task.REGRESSION, "takes 3 features, not 2"),
        ((*NUMBERS.features[:2], Feature("t", FeatureType.STRING)), Task.REGRESSION, "'t' is str"),
    ],
)
def test_signatures_that_do_not_fit(features: Any, task: Task, why: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=why):
        FLAVOR.save(dense(), tmp_path, Signature(features=features, task=task))
    assert list(tmp_path.iterdir()) == []


def integers() -> Any:
    given = helper.make_tensor_value_info("x", TensorProto.INT64, ["n"])
    answer = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])
    node = helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)
    graph = helper.make_graph([node], "g", [given], [answer])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    model.ir_version = 10
    return model


def test_integers_are_exact_and_none_may_be_missing(tmp_path: Path) -> None:
    signature = FLAVOR.infer_signature(integers(), np.array([[1], [2]]))
    FLAVOR.save(integers(), tmp_path, signature)
    predictor = FLAVOR.load({"model.onnx": integers().SerializeToString()}, signature)
    assert predictor.predict([[2**24], [3.0]]).values == [2.0**24, 3.0]
    with pytest.raises(InvalidRows, match="does not fit int64"):
        predictor.predict([[2**70]])
    nullable = Signature(
        features=(Feature("x", FeatureType.INTEGER, nullable=True),), task=Task.REGRESSION
    )
    with pytest.raises(InvalidInput, match="no value can be missing"):
        FLAVOR.save(integers(), tmp_path, nullable)
