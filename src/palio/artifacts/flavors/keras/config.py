"""The configuration inside a ``.keras`` file: every type it names is compared with a list."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from palio.errors import UntrustedArtifact

__all__ = ["read_config"]

_NAMING = frozenset({"class_name", "module", "registered_name"})
_VALUES = frozenset({"__ellipsis__", "__keras_tensor__", "__numpy__", "__slice__", "__tensor__"})
_NUMERIC = re.compile(r"bool|bfloat16|u?int\d+|float\d+")
_TRAINING = "compile_config"  # optimizer, loss and metrics, of nested models too: never needed
_REGISTERED = ">"  # in each name of code that a program registered with Keras


def read_config(content: bytes, trusted: Collection[str]) -> dict[str, Any]:
    """Return the configuration of a model without what only training needs.

    Parameters
    ----------
    content
        JSON as Keras 3 writes it.
    trusted
        Exact names that may stand in it: ``module.class_name`` of Keras's own types, and
        ``package>name`` of registered ones.

    Raises
    ------
    UntrustedArtifact
        If it names others, before any is looked up.
    ValueError
        If it is no such configuration.
    """
    try:
        found = json.loads(content)
        refused = sorted(set(_refused(found, trusted)))
    except RecursionError as error:
        raise ValueError("its configuration is nested too deeply") from error
    if refused:
        listed = ",".join(refused)
        raise UntrustedArtifact(
            f"the model holds types that are not allowed to be loaded: {listed}; if you know "
            f"this code and trust it, allow it by exact name: PALIO_TRUSTED_TYPES={listed} "
            "(trusted_types in Python)",
            types=refused,
        )
    if not isinstance(found, dict) or not isinstance(found.get("config"), dict):
        raise ValueError("its configuration describes no model")  # noqa: TRY004  no argument
    return {**_without_training(found), _TRAINING: None}


def _refused(found: Any, trusted: Collection[str]) -> list[str]:
    if isinstance(found, str):
        return [found] if _REGISTERED in found and found not in trusted else []
    if isinstance(found, list):
        return [name for item in found for name in _refused(item, trusted)]
    if not isinstance(found, dict):
        return []
    own = [] if _allowed(found, trusted) else [_name(found)]
    inner = [_refused(item, trusted) for key, item in found.items() if key != _TRAINING]
    return own + [name for names in inner for name in names]


def _allowed(found: Mapping[str, Any], trusted: Collection[str]) -> bool:
    if not _NAMING & found.keys():
        return True
    kind, registered = found.get("class_name"), found.get("registered_name")
    if not isinstance(kind, str) or not isinstance(registered, str | None):
        return False
    if kind in _VALUES:
        return found.keys() == {"class_name", "config"} and _plain(found["config"])
    name = _name(found)
    # other registered names are looked up first, and Keras's own are none
    return name in trusted and registered in (None, kind, name, found.get("config"))


def _plain(value: Any) -> bool:
    dtype = value.get("dtype", "float32") if isinstance(value, dict) else "float32"
    return isinstance(dtype, str) and bool(_NUMERIC.fullmatch(dtype))


def _name(found: Mapping[str, Any]) -> str:
    """Return what an object of the configuration is to be made of, as the list has it."""
    module, kind = found.get("module"), found.get("class_name")
    looked_up = found.get("registered_name")
    if kind == "function":
        module = "keras.activations" if module == "builtins" else module
        kind = looked_up = found.get("config")
    return str(looked_up) if _REGISTERED in str(looked_up) else f"{module}.{kind}"


def _without_training(found: Any) -> Any:
    if isinstance(found, list):
        return [_without_training(item) for item in found]
    if isinstance(found, dict):
        return {key: _without_training(item) for key, item in found.items() if key != _TRAINING}
    return found
