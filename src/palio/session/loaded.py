"""A version that was made a model in this process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from palio.registry.domain import Version
from palio.registry.ports import Predictor
from palio.registry.signature import Predictions, Signature

__all__ = ["Loaded"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A version in this process. May be asked from several threads."""

    version: Version
    _predictor: Predictor

    def predict(self, rows: Sequence[object]) -> Predictions:
        """Answer rows, objects by feature name or arrays in feature order; nothing is recorded.

        Raises
        ------
        InvalidRows
            Naming row and field, if a row does not fit the version's signature.
        """
        signature = cast("Signature", self.version.signature)  # what is loaded has one
        return self._predictor.predict(signature.table(rows))
