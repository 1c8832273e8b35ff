"""Files that are kept: every way to make an object of them is refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from palio.artifacts.flavors import Safety
from palio.artifacts.flavors.plain import PlainFlavor
from palio.errors import InvalidInput
from palio.registry.signature import Feature, FeatureType, Signature, Task

ONE = Signature(features=(Feature("x", FeatureType.NUMBER),), task=Task.REGRESSION)
FLAVOR = PlainFlavor()


def test_any_file_is_claimed_and_no_object() -> None:
    assert FLAVOR.claims("weights.bin", b"")
    assert not FLAVOR.recognises(object())
    assert FLAVOR.safety is Safety.KEPT


def test_files_answer_nobody() -> None:
    with pytest.raises(InvalidInput, match="kept as they are and answer no requests"):
        FLAVOR.load({"weights.bin": b"1"}, ONE)
    with pytest.raises(InvalidInput, match="answer no requests"):
        FLAVOR.restore({"weights.bin": b"1"})
    with pytest.raises(InvalidInput, match="answer no requests"):
        FLAVOR.infer_signature(Path("weights.bin"), [[1.0]])


def test_an_object_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="this is a dict; give the Path"):
        FLAVOR.save({}, tmp_path, ONE)
    assert list(tmp_path.iterdir()) == []
