"""Code that travels with a model, and code that is installed where the model is loaded."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from types import ModuleType
from typing import Any

__all__ = ["carried"]


@contextmanager
def carried(model: Any, cloudpickle: Any) -> Iterator[None]:
    """Let cloudpickle write the code of the model's own package into the file.

    Code that lies outside the installed packages, such as a script's neighbours, is not found
    where the version is loaded; installed packages are only named.
    """
    module = _own_package(model)
    with _REGISTERING:
        if module is None or module.__name__ in cloudpickle.list_registry_pickle_by_value():
            yield
            return
        cloudpickle.register_pickle_by_value(module)
        try:
            yield
        finally:
            cloudpickle.unregister_pickle_by_value(module)


def _own_package(model: Any) -> ModuleType | None:
    name = getattr(model, "__module__", None) or type(model).__module__
    root = sys.modules.get(str(name).partition(".")[0])
    if root is None or root.__name__ in _NEVER:
        return None
    places = [root.__file__] if getattr(root, "__file__", None) else getattr(root, "__path__", ())
    installed = {Path(sysconfig.get_path(key)).resolve() for key in _INSTALLED}
    for place in places:
        path = Path(str(place)).resolve()
        if not any(path.is_relative_to(folder) for folder in installed):
            return root
    return None


_NEVER = ("__main__", "palio")  # cloudpickle carries the first itself; the other is there
_REGISTERING = RLock()  # cloudpickle's list is one for the whole process
_INSTALLED = ("purelib", "platlib", "stdlib", "platstdlib")
