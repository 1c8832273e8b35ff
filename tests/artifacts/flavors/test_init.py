"""The table of flavors."""

from __future__ import annotations

import pytest
from sklearn.linear_model import LogisticRegression

from palio.artifacts.flavors import FLAVORS, named, recognise
from palio.errors import InvalidInput


def test_every_flavor_has_the_name_it_is_listed_under() -> None:
    assert {name: named(name).name for name in FLAVORS} == {name: name for name in FLAVORS}


def test_an_estimator_is_recognised() -> None:
    assert recognise(LogisticRegression()).name == "sklearn"


def test_another_object_is_refused_with_what_is_known() -> None:
    with pytest.raises(InvalidInput, match=r"a builtins\.dict is no model.*sklearn"):
        recognise({})


def test_an_unknown_name_is_refused_with_what_is_known() -> None:
    with pytest.raises(InvalidInput, match=r"'pickle' is no flavor.*sklearn"):
        named("pickle")
