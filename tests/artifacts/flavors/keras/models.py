"""Models of Keras to save, or a word where it is not installed."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if not (find_spec("keras") and find_spec("tensorflow")) and not os.environ.get("PALIO_CI"):
    pytest.skip("needs keras and tensorflow-cpu", allow_module_level=True)

keras: Any = import_module("keras")  # so that types are checked without it
# TensorFlow 2.21 has not followed NumPy's newer protocol, which Keras meets in every answer
OLD_ARRAYS = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

INPUTS = np.random.default_rng(7).normal(size=(200, 3))
LABELS = (INPUTS[:, 0] * INPUTS[:, 1] > 0).astype(int)
ROWS: list[Any] = INPUTS.tolist()


def network(outputs: int = 2, activation: str = "softmax", width: int = 3) -> Any:
    """Return a functional model with layers, an operator and a function of ``keras.ops``."""
    keras.utils.set_random_seed(3)
    rows = keras.Input((width,), name="rows")
    scaled = keras.layers.Normalization(mean=0.5, variance=2.0)(rows)
    hidden = keras.layers.Dense(8, activation="relu", kernel_regularizer="l2")(scaled)
    hidden = keras.layers.Dropout(0.1)(keras.layers.BatchNormalization()(hidden))
    both = keras.layers.Concatenate()([hidden, keras.ops.tanh(rows) * 2.0])
    return keras.Model(rows, keras.layers.Dense(outputs, activation=activation)(both))


def sequence() -> Any:
    """Return a sequential model inside of another one."""
    keras.utils.set_random_seed(4)
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, activation="gelu")])
    inner.compile("sgd", "mse")
    return keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4), inner, keras.layers.Dense(1)]
    )


def content_of(model: Any, folder: Path) -> bytes:
    """Return what Keras itself writes."""
    path = folder / "written.keras"
    model.save(path)
    return path.read_bytes()
