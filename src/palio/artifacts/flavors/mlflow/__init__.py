"""Folders that MLflow wrote: loaded only where allowed."""

from __future__ import annotations

from palio.artifacts.flavors.mlflow.flavor import MlflowFlavor

__all__ = ["MlflowFlavor"]
