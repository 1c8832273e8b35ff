"""XGBoost, saved in its own JSON."""

from __future__ import annotations

from palio.artifacts.flavors.xgboost.flavor import XgboostFlavor

__all__ = ["XgboostFlavor"]
