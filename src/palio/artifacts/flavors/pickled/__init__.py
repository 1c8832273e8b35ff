"""Files of joblib and pickle: loaded only where allowed."""

from __future__ import annotations

from palio.artifacts.flavors.pickled.flavor import MODEL_FILE, PickledFlavor

__all__ = ["MODEL_FILE", "PickledFlavor"]
