"""The row that a version is asked about is one that its signature takes."""

from __future__ import annotations

import pytest

from palio.registry.signature import Feature, FeatureType, Signature, Task
from palio.serving.probing import sample_row


@pytest.mark.parametrize("size", [None, 1, 3])
def test_a_row_made_from_a_signature_fits_it(size: int | None) -> None:
    features = tuple(Feature(f"f{kind}", kind, size=size) for kind in FeatureType)
    signature = Signature(features, Task.REGRESSION)
    [row] = signature.table([sample_row(signature)])
    assert len(row) == signature.width
