"""Functions and objects to bytes and back."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import numpy as np
import pytest

from palio.artifacts.flavors import Safety
from palio.artifacts.flavors.callables import MODEL_FILE, CallablesFlavor
from palio.errors import InvalidInput, MissingExtra
from palio.registry.signature import Feature, FeatureType, Signature, Task

from . import functions

FLAVOR = CallablesFlavor()
TWO = Signature(
    features=(Feature("x0", FeatureType.NUMBER), Feature("x1", FeatureType.NUMBER)),
    task=Task.REGRESSION,
)


def saved(model: object, folder: Path, signature: Signature = TWO) -> dict[str, bytes]:
    FLAVOR.save(model, folder, signature)
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def round_trip(model: Any, sample: Any, folder: Path) -> Any:
    signature = FLAVOR.infer_signature(model, sample)
    return FLAVOR.load(saved(model, folder, signature), signature)


def test_a_function_answers_as_before(tmp_path: Path) -> None:
    answered = round_trip(functions.total, functions.NUMBERS, tmp_path)
    # witness: the function itself
    expected = functions.total(functions.NUMBERS).tolist()
    assert answered.predict(functions.NUMBERS.tolist()).values == expected


def test_a_function_without_a_name_answers_as_before(tmp_path: Path) -> None:
    answered = round_trip(lambda rows: rows[:, 1] * 2, functions.NUMBERS, tmp_path)
    assert answered.predict([[1.0, 4.0]]).values == [8.0]  # twice the second


def test_an_object_with_predict_answers_as_before(tmp_path: Path) -> None:
    model = functions.Graded(0.5)
    answered = round_trip(model, functions.NUMBERS, tmp_path).predict(functions.NUMBERS.tolist())
    assert answered.values == model.predict(functions.NUMBERS).tolist()
    np.testing.assert_array_equal(answered.probabilities, model.predict_proba(functions.NUMBERS))


def test_what_it_is_asked_for(tmp_path: Path) -> None:
    assert FLAVOR.recognises(functions.total)
    assert FLAVOR.recognises(functions.Threshold(1.0))
    assert not FLAVOR.recognises(functions.Threshold)  # a class answers nothing
    assert not FLAVOR.recognises({"a": 1})
    assert not FLAVOR.recognises(tmp_path)
    assert FLAVOR.claims("model.cloudpickle", b"")
    assert not FLAVOR.claims("model.pkl", b"\x80\x05")
    assert FLAVOR.safety is Safety.CODE


def test_what_cannot_be_saved_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    lock = threading.Lock()
    with pytest.raises(InvalidInput, match="cloudpickle cannot save this function"):
        FLAVOR.save(lambda rows: lock.locked() or rows, tmp_path, TWO)
    assert list(tmp_path.iterdir()) == []


def test_without_cloudpickle_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = saved(functions.total, tmp_path)
    monkeypatch.setitem(sys.modules, "cloudpickle", None)  # as Python marks what cannot be had
    with pytest.raises(MissingExtra, match=r"pip install 'palio\[callables\]'"):
        FLAVOR.save(functions.total, tmp_path, TWO)
    with pytest.raises(MissingExtra, match=r"pip install 'palio\[callables\]'"):
        FLAVOR.load(files, TWO)


def test_another_python_is_refused_before_its_code_runs(tmp_path: Path) -> None:
    files = saved(functions.total, tmp_path)
    files["made_by.json"] = json.dumps({"python": "3.4.1"}).encode()
    files[MODEL_FILE] = b"not even a pickle"
    with pytest.raises(InvalidInput, match=r"saved by Python 3\.4\.1 and this is Python"):
        FLAVOR.load(files, TWO)


@pytest.mark.parametrize("content", [b"no json", b"[]", b"{}"])
def test_a_note_of_another_program_is_no_obstacle(content: bytes, tmp_path: Path) -> None:
    files = saved(functions.total, tmp_path) | {"made_by.json": content}
    assert FLAVOR.load(files, TWO).predict([[1.0, 2.0]]).values == [3.0]  # their sum


def test_bytes_that_cannot_be_loaded_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"model\.cloudpickle cannot be loaded"):
        FLAVOR.load({MODEL_FILE: b"nothing"}, TWO)


def test_a_file_that_holds_no_model_is_refused() -> None:
    with pytest.raises(InvalidInput, match="holds a dict, which answers nothing"):
        FLAVOR.load({MODEL_FILE: cloudpickle.dumps({})}, TWO)
