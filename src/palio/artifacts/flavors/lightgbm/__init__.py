"""LightGBM, saved in its own text format."""

from __future__ import annotations

from palio.artifacts.flavors.lightgbm.flavor import LightgbmFlavor

__all__ = ["LightgbmFlavor"]
