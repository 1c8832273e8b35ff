"""Files that no other flavor claims: versioned, digested, given back, never loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from palio.artifacts.flavors import Safety
from palio.errors import InvalidInput
from palio.registry.signature import Signature

__all__ = ["PlainFlavor"]


class PlainFlavor:
    """Bytes for people and other programs; nobody is served by them.

    Parameters
    ----------
    trusted_types
        Not used: nothing is loaded.
    """

    name = "plain"
    safety = Safety.KEPT

    def __init__(self, trusted_types: Sequence[str] = ()) -> None:
        del trusted_types

    def recognises(self, _model: object) -> bool:
        """Tell that no object is a file."""
        return False

    def claims(self, _name: str, _head: bytes, /) -> bool:
        """Tell that any file can be kept."""
        return True

    def infer_signature(self, model: object, sample: Any, target: Any = None) -> NoReturn:
        """Refuse: files that are only kept take and give nothing."""
        del model, sample, target
        raise _answers_nobody()

    def save(self, model: object, folder: Path, signature: Signature) -> NoReturn:
        """Refuse: only files are kept, and they are copied as they are."""
        del folder, signature
        raise InvalidInput(
            f"flavor plain keeps files, and this is a {type(model).__name__}; give the Path of a "
            "file or folder",
            field="model",
            value=type(model).__name__,
        )

    def restore(self, files: Mapping[str, bytes]) -> NoReturn:
        """Refuse: nothing is known of the files."""
        del files
        raise _answers_nobody()

    def load(self, files: Mapping[str, bytes], signature: Signature) -> NoReturn:
        """Refuse: nothing is known of the files."""
        del files, signature
        raise _answers_nobody()


def _answers_nobody() -> InvalidInput:
    return InvalidInput(
        "files of flavor plain are kept as they are and answer no requests; register a model of "
        "another flavor to serve it",
        field="flavor",
        value="plain",
    )
