"""Which library a model in memory was made with, and in which version."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["framework_of"]

_NAMES = {"sklearn": "scikit-learn"}  # where the package is not called as its module


def framework_of(model: object) -> str:
    """Return a name and a version as in ``scikit-learn 1.9.1``; empty where nothing tells.

    The first of the model's classes whose package says its version is taken. Nothing is imported:
    whoever holds an object of a library has imported it.
    """
    if isinstance(model, Path):
        return ""
    for kind in type(model).__mro__:
        package = kind.__module__.partition(".")[0]
        version = getattr(sys.modules.get(package), "__version__", None)
        if isinstance(version, str) and package != "__main__":
            return f"{_NAMES.get(package, package)} {version}"
    return ""
