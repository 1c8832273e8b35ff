"""Ranges of a namespace as people write them."""

from __future__ import annotations

import pytest

from palio.errors import InvalidInput
from palio.experiments.designs.assignment import Namespace


def test_a_range_is_read_as_people_write_it() -> None:
    assert Namespace.parse("checkout:0-5000") == Namespace("checkout", 0, 5_000)
    assert Namespace.parse("checkout") == Namespace("checkout")
    assert str(Namespace("checkout", 0, 5_000)) == "checkout:0-5000"


@pytest.mark.parametrize("text", ["", ":", "a:", "a:1", "a:1-", "a:x-y", "a:5-5", "a:0-10001"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="namespace") as refused:
        Namespace.parse(text)
    assert refused.value.details["field"] == "namespace"
