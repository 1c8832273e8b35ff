"""What the operators on the list say of themselves."""

from __future__ import annotations

from typing import Any

import pytest

from palio.artifacts.flavors.torch.operators import INSTEAD, OPERATORS, SIZES

from .models import torch

Tag = torch.Tag
# with flags that make them random; a program that sets one is refused
FLAGGED = {"alpha_dropout", "dropout", "feature_dropout", "scaled_dot_product_attention"}


def found(name: str) -> Any:
    namespace, operator, overload = name.removeprefix("torch.ops.").split(".")
    return getattr(getattr(getattr(torch.ops, namespace), operator), overload)


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_an_operator_is_there_and_computes_new_values(name: str) -> None:
    # witness: the schema and the tags that PyTorch keeps of each operator
    operator = found(name)
    assert operator._schema.is_mutable is False
    assert Tag.data_dependent_output not in operator.tags
    if Tag.nondeterministic_seeded in operator.tags:
        assert name.split(".")[3] in FLAGGED


@pytest.mark.parametrize(
    "name",
    [
        "torch.ops.aten.from_file.default",
        "torch.ops.aten.as_strided.default",
        "torch.ops.aten.empty.memory_format",
        "torch.ops.aten.set_.source_Tensor",
        "torch.ops.aten.relu_.default",
        "torch.ops.aten.native_dropout.default",
        "torch.ops.aten.rand.default",
    ],
)
def test_operators_that_do_more_exist_and_are_not_listed(name: str) -> None:
    assert found(name)
    assert name not in OPERATORS


@pytest.mark.parametrize(
    ("name", "windows"),
    [
        ("max_pool2d", ([2, 2], [2, 2], [0, 0], [2**40, 1])),
        ("avg_pool2d", ([2, 2], [-1, 1])),
        ("adaptive_avg_pool2d", ([4_097, 1],)),
    ],
)
def test_windows_of_pooling_are_within_bounds(name: str, windows: Any) -> None:
    pooled = INSTEAD[f"torch.ops.aten.{name}.default"]
    with pytest.raises(ValueError, match=f"{name} has windows outside of 0 to 4096"):
        pooled(torch.zeros(1, 1, 8, 8), *windows)


def test_sizes_stay_within_what_memory_can_have() -> None:
    assert SIZES["_operator.mul"](2**31, 2**31) == 2**62
    assert SIZES["_operator.floordiv"](7, 2) == 3
    with pytest.raises(ValueError, match="larger than any memory"):
        SIZES["_operator.mul"](2**32, 2**32)
