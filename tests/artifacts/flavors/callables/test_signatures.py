"""Signatures seen by asking a model for the sample."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from palio.artifacts.flavors.callables.signatures import signature_of
from palio.errors import InvalidInput
from palio.registry.signature import Feature, FeatureType, Task

from . import functions


def test_numbers_are_a_regression() -> None:
    signature = signature_of(functions.total, functions.NUMBERS)
    assert signature.features == (
        Feature("x0", FeatureType.NUMBER),
        Feature("x1", FeatureType.NUMBER),
    )
    assert (signature.task, signature.classes) == (Task.REGRESSION, ())


def test_strings_and_booleans_are_classes() -> None:
    towns = pl.DataFrame(functions.TOWNS, schema=["town", "age"], orient="row")
    signature = signature_of(functions.is_from_siena, towns)
    assert (signature.task, signature.classes) == (Task.CLASSIFICATION, (False, True))
    assert signature.features[1] == Feature("age", FeatureType.NUMBER, nullable=True)
    low = signature_of(functions.Threshold(1e9), functions.NUMBERS)
    assert low.classes == ("low",)  # the only one it was seen to answer


def test_the_model_knows_its_classes_best() -> None:
    signature = signature_of(functions.Graded(100.0), functions.NUMBERS)
    assert signature.classes == ("high", "low")


def test_the_target_says_what_the_classes_are() -> None:
    signature = signature_of(
        functions.Threshold(1e9), functions.NUMBERS, ["high", "low", "unheard"]
    )
    assert signature.classes == ("high", "low", "unheard")


def fails(_: Any) -> Any:
    raise KeyError("income")


@pytest.mark.parametrize(
    ("model", "target", "why"),
    [
        (fails, None, "KeyError: 'income'"),
        (lambda _: 3.0, None, "one answer a row is needed"),
        (functions.Threshold(0.0), ["up", "down"], "which is none of"),
        (lambda rows: [{}] * len(rows), None, "labels are of type dict"),
    ],
)
def test_a_model_that_does_not_answer_the_sample_is_refused(
    model: Any, target: Any, why: str
) -> None:
    with pytest.raises(InvalidInput, match=why):
        signature_of(model, functions.NUMBERS, target)
