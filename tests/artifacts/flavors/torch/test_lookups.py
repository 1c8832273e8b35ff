"""Lookups by index: the same as PyTorch's own, and an error where one goes beyond."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from palio.artifacts.flavors.torch.exporting import exported
from palio.artifacts.flavors.torch.lookups import LOOKUPS
from palio.artifacts.flavors.torch.operators import INSTEAD, OPERATORS
from palio.artifacts.flavors.torch.program import network_of

from .models import Attentive, torch

TABLE = torch.arange(12.0).reshape(3, 4)
aten = torch.ops.aten


def index(*numbers: int) -> Any:
    return torch.tensor(numbers, dtype=torch.int64)


def mask() -> Any:
    return TABLE > 5


GOOD = {
    "embedding.default": [(TABLE, index(0, 2)), (TABLE, index()), (TABLE, index(1), 0)],
    "gather.default": [(TABLE, 1, index(3, 0)[None]), (TABLE, -1, index(1)[None])],
    "index.Tensor": [
        (TABLE, [index(-3, 2)]),
        (TABLE, [None, index(3)]),
        (TABLE, [mask()]),
        (TABLE[None], [None, mask()]),
        (TABLE[:, :, None].expand(3, 4, 5), [mask(), index(4)]),
    ],
    "index_select.default": [(TABLE, 0, index(2, 2)), (torch.tensor(5.0), 0, index(0))],
    "one_hot.default": [(index(0, 2),), (index(0, 2), 4), (index(), 4)],
}
BEYOND = {
    "embedding.default": [(TABLE, index(3)), (TABLE, index(-1))],
    "gather.default": [(TABLE, 1, index(4)[None]), (TABLE, 0, index(-1)[None])],
    "index.Tensor": [
        (TABLE, [index(3)]),
        (TABLE, [None, index(-5)]),
        (TABLE[:, :, None].expand(3, 4, 5), [mask(), index(5)]),
    ],
    "index_select.default": [(TABLE, 0, index(3)), (TABLE, 1, index(-1))],
    "one_hot.default": [(index(-1),), (index(4), 4)],
}


def cases(of: Any) -> list[Any]:
    return [pytest.param(name, given, id=name) for name, many in of.items() for given in many]


@pytest.mark.parametrize(("name", "given"), cases(GOOD))
def test_it_finds_what_pytorch_does(name: str, given: Any) -> None:
    operator, _, overload = name.partition(".")
    wanted = getattr(getattr(aten, operator), overload)(*given)  # witness
    assert torch.equal(LOOKUPS[f"torch.ops.aten.{name}"](*given), wanted)


@pytest.mark.parametrize(("name", "given"), cases(BEYOND))
def test_an_index_beyond_is_refused(name: str, given: Any) -> None:
    with pytest.raises(IndexError, match="is outside of"):
        LOOKUPS[f"torch.ops.aten.{name}"](*given)


def test_a_missing_cell_is_no_place_of_an_embedding() -> None:
    found = network_of(exported(Attentive(), 3), "made")
    with pytest.raises(IndexError, match="is outside of 0 to 1"):
        found.answers(np.array([[np.nan, 0.5, 0.5]]))


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_no_operator_that_takes_indices_is_forgotten(name: str) -> None:
    # witness: the schema that PyTorch keeps of each operator
    operator, overload = name.removeprefix("torch.ops.aten.").split(".")
    takes = {
        one.name
        for one in getattr(getattr(aten, operator), overload)._schema.arguments
        if "Tensor" in str(one.real_type)
    }
    if takes & {"index", "indices"}:
        assert INSTEAD[name] is LOOKUPS[name]
