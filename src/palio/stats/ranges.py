"""Arguments within their ranges: each check names the argument, the value and the range."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "finite",
    "finite_array",
    "not_negative",
    "open_unit",
    "positive",
    "share",
    "whole",
    "within",
]


def within(name: str, value: float, low: float, high: float) -> None:
    """Refuse a value outside [low, high], NaN included."""
    if not low <= value <= high:
        raise ValueError(f"{name} must be in [{low:g}, {high:g}], got {value}")


def open_unit(name: str, value: float) -> None:
    """Refuse a value outside (0, 1): an error probability, a power, a level."""
    if not 0 < value < 1:
        raise ValueError(f"{name} must be in (0, 1), got {value}")


def share(name: str, value: float) -> None:
    """Refuse a value outside [0, 1]."""
    within(name, value, 0, 1)


def finite(name: str, value: float) -> None:
    """Refuse NaN and the infinities."""
    if not _is_finite(value):
        raise ValueError(f"{name} must be finite, got {value}")


def positive(name: str, value: float) -> None:
    """Refuse what is not finite and above 0."""
    if not (_is_finite(value) and value > 0):
        raise ValueError(f"{name} must be finite and > 0, got {value}")


def not_negative(name: str, value: float) -> None:
    """Refuse what is not finite and at least 0."""
    if not (_is_finite(value) and value >= 0):
        raise ValueError(f"{name} must be finite and >= 0, got {value}")


def whole(name: str, value: float, least: int) -> None:
    """Refuse what is no whole number of at least ``least``."""
    if not (_is_finite(value) and value == int(value) and value >= least):
        raise ValueError(f"{name} must be a whole number >= {least}, got {value}")


def finite_array(name: str, values: ArrayLike, *, least: int = 0) -> NDArray[np.float64]:
    """Turn values into an array, shape (n,) float64, refusing NaN, infinities and n < least."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name} must have one dimension, got shape {array.shape}")
    if array.size < least:
        raise ValueError(f"{name} must hold at least {least} values, got {array.size}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got nan or inf among them")
    return array


def _is_finite(value: float) -> bool:
    """Say whether a float can hold the value, which may be an integer beyond all floats."""
    try:
        return isfinite(value)
    except OverflowError:
        return False
