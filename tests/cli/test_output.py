"""How numbers read."""

from __future__ import annotations

import pytest

from palio.cli.output import number


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (None, ""),
        (0.0, "0"),
        (0.000012345, "1.234e-05"),
        (0.123456, "0.1235"),
        (1_000.0, "1000"),
        (9_999.4, "9999"),
        (12_345.6, "12,346"),
        (-1_234_567.0, "-1,234,567"),
        (1e18, "1e+18"),
        (float("inf"), "inf"),
    ],
)
def test_a_number_has_four_digits_that_say_something(value: float | None, read: str) -> None:
    assert number(value) == read
