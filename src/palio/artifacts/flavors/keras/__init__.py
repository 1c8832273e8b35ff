"""Keras, on the backend that the user chose."""

from __future__ import annotations

from palio.artifacts.flavors.keras.flavor import KerasFlavor

__all__ = ["KerasFlavor"]
