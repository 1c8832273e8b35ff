"""``MLmodel`` files, read as data: hostile ones end in an error that says what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from palio.artifacts.flavors.mlflow.declared import read_declared
from palio.errors import InvalidInput
from palio.registry.signature import Feature, FeatureType


def written(inputs: Any, outputs: Any = None) -> bytes:
    signature = {"inputs": json.dumps(inputs), "outputs": outputs and json.dumps(outputs)}
    return yaml.safe_dump({"flavors": {"python_function": {}}, "signature": signature}).encode()


def tensor(dtype: str, *shape: int) -> Any:
    return [{"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": list(shape)}}]


def test_columns_have_names_types_and_may_be_missing() -> None:
    found = read_declared(
        written(
            [
                {"name": "a", "type": "double", "required": False},
                {"name": "b", "type": "long", "required": False},  # no column takes a missing one
                {"name": "c", "type": "string"},
                {"name": "d", "type": "boolean"},
            ],
            [{"type": "double"}],
        )
    )
    assert found
    assert found.features == (
        Feature("a", FeatureType.NUMBER, nullable=True),
        Feature("b", FeatureType.INTEGER),
        Feature("c", FeatureType.STRING),
        Feature("d", FeatureType.BOOLEAN),
    )
    assert found.answers is FeatureType.NUMBER


def test_tensors_and_columns_without_names_are_numbered() -> None:
    for content in (written(tensor("float32", -1, 2)), written([{"type": "float"}] * 2)):
        found = read_declared(content)
        assert found
        assert [feature.name for feature in found.features] == ["x0", "x1"]
        assert (found.dtypes, found.named) == (("float32", "float32"), False)


def test_several_or_wide_answers_are_of_no_one_type() -> None:
    one = [{"name": "a", "type": "double"}]
    for outputs in (None, [], [{"type": "double"}] * 2, tensor("float64", -1, 3)):
        found = read_declared(written(one, outputs))
        assert found
        assert found.answers is None
    found = read_declared(written(one, tensor("float64", -1, 1)))
    assert found
    assert found.answers is FeatureType.NUMBER


def test_no_signature_declares_nothing() -> None:
    assert read_declared(b"flavors: {python_function: {}}") is None
    assert read_declared(b"flavors: {python_function: {}}\nsignature: {inputs: null}") is None
    assert read_declared(written([{"type": "any", "required": True}])) is None


@pytest.mark.parametrize(
    "inputs",
    [
        [{"name": "a", "type": "datetime"}],
        [{"name": "a", "type": "array", "items": {"type": "double"}}],
        tensor("float64", -1, 8, 8),
        tensor("float64", -1, -1),
        tensor("float64", 5, 2),
        tensor("object", -1, 2),
        tensor("float64", -1, 2) * 2,
    ],
)
def test_inputs_that_are_no_rows_of_a_table_are_refused(inputs: Any) -> None:
    with pytest.raises(InvalidInput, match="does not take rows of a table"):
        read_declared(written(inputs))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff\xfe\x00",
        b"flavors: {sklearn: {}}",
        b"flavors: {python_function: {}}\nsignature: {inputs: '{'}",
        b"flavors: {python_function: {}}\nsignature: [1]",
        written(3),
        written([3]),
        written([[]]),
        written([{"name": "a"}]),
        written(tensor("", -1, 2)),
        written([{"type": {}}]),
        b"[" * 100_000,
        b"a: &a [*a]",
        b"#" * (1024 * 1024 + 1),
    ],
)
def test_other_files_are_refused(content: bytes) -> None:
    with pytest.raises(InvalidInput, match="MLmodel cannot be read"):
        read_declared(content)


def test_a_file_that_names_code_is_refused_and_runs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput, match="MLmodel cannot be read: could not determine"):
        read_declared(b"flavors: !!python/object/apply:os.system ['touch mark']")
    assert list(tmp_path.iterdir()) == []
