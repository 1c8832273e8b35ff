"""Python functions and objects with ``predict``, by cloudpickle: loaded only where allowed."""

from __future__ import annotations

from palio.artifacts.flavors.callables.flavor import MODEL_FILE, CallablesFlavor

__all__ = ["MODEL_FILE", "CallablesFlavor"]
