"""scikit-learn, saved with skops: types are checked by name before any becomes an object."""

from __future__ import annotations

from palio.artifacts.flavors.sklearn.flavor import MODEL_FILE, SklearnFlavor

__all__ = ["MODEL_FILE", "SklearnFlavor"]
