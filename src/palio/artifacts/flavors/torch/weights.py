"""A state dict and the class that takes it: tensors from one file, a name from another."""

from __future__ import annotations

import importlib
import io
import json
import pickle
import re
from collections.abc import Collection, Mapping
from typing import Any

from palio.artifacts.flavors import needed
from palio.artifacts.flavors.torch.network import Network, is_double
from palio.errors import InvalidInput, UntrustedArtifact

__all__ = ["ARCHITECTURE", "module_of"]

ARCHITECTURE = "architecture.json"
"""The file beside a state dict: ``{"class": "package.module:Net", "arguments": {…}}``."""

_CLASS = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def module_of(name: str, files: Mapping[str, bytes], trusted: Collection[str]) -> Network:
    """Return a module of a trusted class with the weights of a file, as it answers in ``eval``.

    Parameters
    ----------
    name
        The file of the state dict.
    files
        The bytes of the version by path.
    trusted
        Exact names of classes that may be imported, such as ``package.module.Net``.

    Raises
    ------
    UntrustedArtifact
        If the class is not trusted, or the file holds other than tensors.
    InvalidInput
        If a file is missing or malformed, or the weights do not fit the class.
    """
    weights = _state_dict(files[name], name)
    kind, arguments = _architecture(name, files, trusted)
    try:
        module = kind(**arguments)
        module.load_state_dict(weights)
    except Exception as error:
        raise InvalidInput(
            f"{name} does not fit {kind.__module__}:{kind.__qualname__} with the arguments of "
            f"{ARCHITECTURE}: {error}; save both from the same model",
            field="model",
            value=name,
        ) from error
    return Network(module.cpu().eval(), double=is_double(module))


def _architecture(name: str, files: Mapping[str, bytes], trusted: Collection[str]) -> Any:
    if ARCHITECTURE not in files:
        raise InvalidInput(
            f"{ARCHITECTURE} is missing beside {name}, and weights alone answer nothing; put "
            '{"class": "package.module:Net", "arguments": {}} there and register the folder, or '
            "register the model itself, which exports it",
            field="model",
            value=name,
        )
    try:
        found = json.loads(files[ARCHITECTURE])
        path, arguments = str(found["class"]), dict(found.get("arguments", {}))
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        raise _malformed(f"cannot be read: {type(error).__name__} {error}") from error
    if not _CLASS.fullmatch(path):
        raise _malformed(f"names {path!r}, which is no package.module:Net")
    dotted = path.replace(":", ".")
    if dotted not in trusted:
        raise UntrustedArtifact(
            f"{ARCHITECTURE} names the class {dotted}, which is not allowed to be imported; if "
            "you know this code and trust it, allow it by exact name: "
            f"PALIO_TRUSTED_TYPES={dotted} (trusted_types in Python)",
            types=[dotted],
            setting="PALIO_TRUSTED_TYPES",
        )
    return _imported(path), arguments


def _imported(path: str) -> Any:
    module, _, name = path.partition(":")
    base = needed("torch", extra="torch").nn.Module
    try:
        found = getattr(importlib.import_module(module), name)
    except (AttributeError, ImportError) as error:
        raise _malformed(f"names {path}, which is not installed here: {error}") from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise _malformed(f"names {path}, which is no class of torch.nn.Module")
    return found


def _state_dict(content: bytes, name: str) -> Any:
    torch = needed("torch", extra="torch")
    try:
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refused(name, "more than tensors, such as a whole pickled model") from error
    except (AttributeError, EOFError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise InvalidInput(
            f"{name} is no state dict that PyTorch {torch.__version__} reads: {error}; save it "
            "with torch.save(model.state_dict(), path)",
            field="model",
            value=name,
        ) from error
    if not isinstance(found, dict) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in found.items()
    ):
        raise _refused(name, "other than tensors by name")
    return found


def _refused(name: str, what: str) -> UntrustedArtifact:
    return UntrustedArtifact(
        f"{name} holds {what}; save model.state_dict() with {ARCHITECTURE} beside it, or "
        "register the model itself, which exports it as data",
        file=name,
    )


def _malformed(why: str) -> InvalidInput:
    return InvalidInput(f"{ARCHITECTURE} {why}", field="model", value=ARCHITECTURE)
