"""Networks of PyTorch: the same answers elsewhere, and signatures that say what they mean."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from palio.artifacts.flavors import Safety, recognise
from palio.artifacts.flavors.torch import TorchFlavor
from palio.artifacts.loader import infer_signature
from palio.artifacts.policy import NOTHING_TRUSTED
from palio.errors import InvalidInput, UntrustedArtifact
from palio.registry.signature import Feature, FeatureType, Signature, Task

from ..elsewhere import asked_elsewhere, told_without  # noqa: TID252
from .models import (
    INPUTS,
    LABELS,
    ROWS,
    Attentive,
    content_of,
    expected,
    network,
    nn,
    program,
    saved,
    torch,
)

FLAVOR = TorchFlavor()
THREE = np.digitize(INPUTS[:, 0], [0.3, 0.6])


def answered(model: Any, folder: Path, target: Any = None) -> Any:
    signature = FLAVOR.infer_signature(model, INPUTS, target)
    FLAVOR.save(model, folder, signature)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert list(files) == ["model.pt2"]
    return FLAVOR.load(files, signature).predict(signature.table(ROWS))


@pytest.mark.parametrize("labels", [None, THREE, np.array(["a", "b", "c"])[THREE]])
def test_a_classifier_answers_the_same_bit_for_bit(labels: Any, tmp_path: Path) -> None:
    model = network(3, nn.Softmax(1))
    found = answered(model, tmp_path, labels)
    scores = expected(model)  # witness: the module itself, in eval mode
    names = [0, 1, 2] if labels is None else np.unique(labels).tolist()
    assert found.probabilities == scores.tolist()
    assert found.values == [names[at] for at in scores.argmax(axis=1)]


@pytest.mark.parametrize("make", [lambda: network(1, nn.Sigmoid()), Attentive])
def test_one_probability_a_row(make: Callable[[], Any], tmp_path: Path) -> None:
    torch.manual_seed(5)
    model = make()
    found = answered(model, tmp_path, LABELS.astype(bool))
    assert [row[1] for row in found.probabilities] == expected(model).ravel().tolist()
    assert {type(value) for value in found.values} == {bool}


@pytest.mark.parametrize("make", [network, lambda: network(1, nn.Flatten(0)).double()])
def test_a_regression_answers_the_same_bit_for_bit(
    make: Callable[[], Any], tmp_path: Path
) -> None:
    model = make()
    found = answered(model, tmp_path, INPUTS[:, 0])
    assert found.probabilities is None
    assert found.values == expected(model).ravel().tolist()


def test_numbers_stand_beside_tensors(tmp_path: Path) -> None:
    class Scaled(nn.Module):  # type: ignore[misc]
        def forward(self, rows: Any) -> Any:
            return ((rows - 0.5) / 2 + 1 * rows).sum(dim=1).clamp(min=0.1) ** 2

    assert (
        answered(Scaled(), tmp_path).values
        == Scaled()(torch.tensor(INPUTS, dtype=torch.float32)).double().tolist()
    )


def test_an_array_is_what_a_row_of_the_table_holds(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Unflatten(1, (1, 64)), nn.Conv1d(1, 2, 8, 4), nn.Flatten())
    model.append(nn.LazyLinear(3)).append(nn.Softmax(1))(torch.zeros(1, 64))
    sound = Signature(
        (Feature("sound", FeatureType.NUMBER, size=64),), Task.CLASSIFICATION, ("a", "b", "c")
    )
    FLAVOR.save(model, tmp_path, sound)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    rows = np.random.default_rng(3).normal(size=(4, 64)).astype(np.float32)
    table = sound.table([{"sound": row} for row in rows.tolist()])
    with torch.inference_mode():  # witness: the module itself
        scores = model.eval()(torch.from_numpy(rows)).double().numpy()
    assert FLAVOR.load(files, sound).predict(table).probabilities == scores.tolist()


def test_pooling_over_two_dimensions(tmp_path: Path) -> None:
    model = nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 3, 3, padding=1),
        nn.MaxPool2d(3, 2, 1),
        nn.AvgPool2d(2, 1),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(12, 2),
        nn.Softmax(1),
    )
    image = Signature((Feature("x", FeatureType.NUMBER, size=64),), Task.CLASSIFICATION, (0, 1))
    FLAVOR.save(model, tmp_path, image)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    rows = np.random.default_rng(3).normal(size=(4, 64)).astype(np.float32)
    with torch.inference_mode():  # witness: the module itself
        scores = model.eval()(torch.from_numpy(rows)).double().numpy()
    found = FLAVOR.load(files, image).predict(rows.tolist())
    assert found.probabilities == scores.tolist()


def test_an_exported_program_is_kept(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Linear(4, 1)).eval()
    assert answered(program(model), tmp_path).values == expected(model).ravel().tolist()


def test_a_model_stays_as_it_is(tmp_path: Path) -> None:
    model = network().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    answered(model, tmp_path)
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_another_process_answers_the_same_bit_for_bit(tmp_path: Path) -> None:
    # on one machine and version: PyTorch promises no more (notes/randomness of its docs)
    model = Attentive()  # whose class the other process does not have
    found = asked_elsewhere(tmp_path, model, INPUTS, ROWS, target=LABELS)
    assert found["flavor"] == "torch"
    assert [row[1] for row in found["probabilities"]] == expected(model).tolist()


def test_a_file_is_registered_and_answers_elsewhere(tmp_path: Path) -> None:
    model, path = network(2, nn.Softmax(1)).eval(), tmp_path / "credit.pt2"
    path.write_bytes(content_of(program(model)))
    found = asked_elsewhere(tmp_path, path, INPUTS, ROWS)
    assert found["flavor"] == "torch"
    assert found["probabilities"] == expected(model).tolist()


@pytest.mark.parametrize("name", ["credit.pt2", "credit.pt", "credit.pth"])
def test_a_program_tells_its_signature_under_any_name(name: str, tmp_path: Path) -> None:
    model, path = network(2, nn.Softmax(1)).eval(), tmp_path / name
    path.write_bytes(content_of(program(model)))
    found = infer_signature(path, recognise(path), None, trust=NOTHING_TRUSTED)
    assert found is not None
    assert (found.width, found.task, found.classes) == (3, Task.CLASSIFICATION, (0, 1))
    answers = FLAVOR.load({name: path.read_bytes()}, found).predict(found.table(ROWS))
    assert answers.probabilities == expected(model).tolist()


def test_one_number_is_a_probability_where_labels_say_so() -> None:
    files = {"m.pt2": content_of(program(network(1, nn.Sigmoid()).eval()))}
    assert FLAVOR.declared(files).task is Task.REGRESSION
    assert FLAVOR.declared(files, ["no", "yes"]).classes == ("no", "yes")


@pytest.mark.parametrize(
    ("held", "why"),
    [
        (b"no model", r"m\.pt is no archive that PyTorch writes"),
        (content_of(program(network().eval()))[:2_000], r"m\.pt is no archive that PyTorch"),
        (saved(network()), r"whole pickled model; save model\.state_dict"),
        (saved(network().state_dict()), r"architecture\.json is missing beside m\.pt"),
    ],
)
def test_a_file_that_cannot_be_served_is_refused_before_it_is_kept(
    held: bytes, why: str, tmp_path: Path
) -> None:
    (path := tmp_path / "m.pt").write_bytes(held)
    with pytest.raises((InvalidInput, UntrustedArtifact), match=why):
        infer_signature(path, recognise(path), None, trust=NOTHING_TRUSTED)


def test_objects_and_files_are_recognised() -> None:
    model = network().eval()
    assert recognise(model).name == recognise(program(model)).name == "torch"
    assert FLAVOR.safety is Safety.CHECKED
    zipped = b"PK\x03\x04"
    for name, head, its_own in (
        ("m.pt2", zipped, True),
        ("m.pt", zipped, True),
        ("m.pth", zipped, True),
        ("m.keras", zipped, False),
        ("m.pt2", b"", True),  # damaged, but nobody else's
        ("m.pt", b"no model", True),
        ("m.pt", b"\x80\x02", False),
    ):
        assert FLAVOR.claims(name, head) is its_own


def test_without_the_library_the_extra_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.pt2").write_bytes(content_of(program(network().eval())))
    told = told_without("torch", "torch", tmp_path / "model.pt2")
    assert "pip install 'palio[torch]'" in told


def test_a_frame_gives_the_names() -> None:
    frame = pl.DataFrame(INPUTS, schema=["age", "debt", "rate"])
    signature = FLAVOR.infer_signature(network(), frame)
    assert [feature.name for feature in signature.features] == ["age", "debt", "rate"]
    assert (signature.task, signature.classes) == (Task.REGRESSION, ())


@pytest.mark.parametrize(
    ("make", "target", "why"),
    [
        (lambda: network(3), None, "end it with Softmax"),
        (lambda: network(3, nn.Sigmoid()), None, "do not add up to 1; end it with Softmax"),
        (network, LABELS, "end it with Softmax or Sigmoid"),
        (lambda: network(3, nn.Softmax(1)), LABELS, "the target has 2 labels"),
        (lambda: nn.Linear(2, 1), None, "over a table of 3 numbers"),
        (lambda: nn.Flatten(0), None, "cannot be exported|does not answer the sample"),
    ],
)
def test_models_that_answer_otherwise_are_refused(
    make: Callable[[], Any], target: Any, why: str
) -> None:
    with pytest.raises(InvalidInput, match=why):
        FLAVOR.infer_signature(make(), INPUTS, target)


class Branching(nn.Module):  # type: ignore[misc]
    """Cannot be exported: what it does depends on the data."""

    def forward(self, rows: Any) -> Any:
        return rows.sum(1) if rows.sum() > 0 else rows.mean(1)


def test_what_cannot_be_exported_says_what_to_do() -> None:
    with pytest.raises(InvalidInput, match=r"Branching cannot be exported.*architecture\.json"):
        FLAVOR.infer_signature(Branching(), INPUTS)


def test_an_operator_that_is_not_allowed_is_refused_when_saving(tmp_path: Path) -> None:
    class Random(nn.Module):  # type: ignore[misc]
        def forward(self, rows: Any) -> Any:
            return rows.sum(1) + torch.rand(1)

    signature = FLAVOR.infer_signature(network(), INPUTS)
    with pytest.raises(UntrustedArtifact, match=r"torch\.ops\.aten\.rand\.default"):
        FLAVOR.save(Random(), tmp_path, signature)
    assert list(tmp_path.iterdir()) == []


NUMBERS = FLAVOR.infer_signature(network(), INPUTS)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"features": NUMBERS.features[:2]}, "takes 3 features, not 2"),
        ({"features": (*NUMBERS.features[:2], Feature("t", FeatureType.STRING))}, "numbers only"),
        ({"task": Task.CLASSIFICATION, "classes": (1, 2, 3)}, "gives 1 numbers a row, not 3"),
    ],
)
def test_signatures_that_do_not_fit(changes: dict[str, Any], why: str, tmp_path: Path) -> None:
    signature = Signature(
        **{"features": NUMBERS.features, "task": NUMBERS.task, "classes": (), **changes}
    )
    with pytest.raises(InvalidInput, match=why):
        FLAVOR.save(program(network().eval()), tmp_path, signature)
    with pytest.raises(InvalidInput, match=why):
        FLAVOR.load({"model.pt2": content_of(program(network().eval()))}, signature)
    assert list(tmp_path.iterdir()) == []


def test_logits_do_not_pass_as_probabilities(tmp_path: Path) -> None:
    signature = FLAVOR.infer_signature(network(2, nn.Softmax(1)), INPUTS)
    with pytest.raises(InvalidInput, match="end it with Softmax"):
        FLAVOR.save(network(2), tmp_path, signature)


def test_threads_share_one_program(tmp_path: Path) -> None:
    model = Attentive()
    signature = FLAVOR.infer_signature(model, INPUTS, LABELS)
    FLAVOR.save(model, tmp_path, signature)
    predictor = FLAVOR.load({"model.pt2": (tmp_path / "model.pt2").read_bytes()}, signature)
    tables = [ROWS[start : start + 9] for start in range(0, len(ROWS), 9)] * 8
    alone = [predictor.predict(table) for table in tables]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(predictor.predict, tables)) == alone
