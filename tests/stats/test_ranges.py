"""Checks of arguments: what passes, what is refused, and that a refusal names all three."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan

import numpy as np
import pytest

from palio.stats import ranges

HUGE = 10**400  # an integer that no float holds


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: ranges.within("a", 3, 0, 2), r"a must be in \[0, 2\], got 3"),
        (lambda: ranges.within("a", nan, 0, 2), r"a must be in \[0, 2\], got nan"),
        (lambda: ranges.open_unit("alpha", 1.5), r"alpha must be in \(0, 1\), got 1.5"),
        (lambda: ranges.open_unit("alpha", 0), r"alpha must be in \(0, 1\), got 0"),
        (lambda: ranges.open_unit("alpha", nan), r"alpha must be in \(0, 1\), got nan"),
        (lambda: ranges.share("s", -0.1), r"s must be in \[0, 1\], got -0.1"),
        (lambda: ranges.finite("x", inf), "x must be finite, got inf"),
        (lambda: ranges.finite("x", nan), "x must be finite, got nan"),
        (lambda: ranges.finite("x", HUGE), "x must be finite, got 1000"),
        (lambda: ranges.positive("x", 0), "x must be finite and > 0, got 0"),
        (lambda: ranges.positive("x", inf), "x must be finite and > 0, got inf"),
        (lambda: ranges.not_negative("x", -1e-9), "x must be finite and >= 0, got -1e-09"),
        (lambda: ranges.not_negative("x", nan), "x must be finite and >= 0, got nan"),
        (lambda: ranges.whole("n", 1, 2), "n must be a whole number >= 2, got 1"),
        (lambda: ranges.whole("n", 2.5, 2), "n must be a whole number >= 2, got 2.5"),
        (lambda: ranges.whole("n", nan, 2), "n must be a whole number >= 2, got nan"),
        (lambda: ranges.finite_array("v", [[1.0]]), r"v must have one dimension, got shape"),
        (lambda: ranges.finite_array("v", [1.0], least=2), "v must hold at least 2 values, got 1"),
        (lambda: ranges.finite_array("v", [1.0, nan]), "v must be finite, got nan or inf"),
    ],
)
def test_a_refusal_names_argument_value_and_range(
    check: Callable[[], object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check()


def test_the_ends_of_a_range_belong_to_it() -> None:
    ranges.within("a", 0, 0, 2)
    ranges.within("a", 2, 0, 2)
    ranges.share("s", 1.0)
    ranges.not_negative("x", 0.0)
    ranges.whole("n", 2.0, 2)
    ranges.positive("x", 5e-324)
    ranges.open_unit("alpha", 5e-324)
    ranges.finite("x", -1.7e308)


def test_values_become_an_array() -> None:
    found = ranges.finite_array("v", (1, 2), least=2)
    assert found.dtype == np.float64
    assert found.tolist() == [1.0, 2.0]
    assert ranges.finite_array("v", []).size == 0
