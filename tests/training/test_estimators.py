"""Estimators by name, with what a table needs before them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from palio.errors import InvalidInput
from palio.registry.signature import Feature, FeatureType
from palio.training.estimators import ESTIMATORS, estimator_for

RNG = np.random.default_rng(3)
N = 300
NUMBERS = RNG.normal(size=(N, 2))
NUMBERS[::9, 1] = np.nan
Y = (NUMBERS[:, 0] > 0).astype(int)
NUMERIC = (Feature("a", FeatureType.NUMBER), Feature("b", FeatureType.NUMBER, nullable=True))
TOWN = Feature("town", FeatureType.STRING, nullable=True)


def with_strings(towns: Any) -> Any:
    cells = np.empty((N, 3), dtype=object)
    cells[:, :2] = NUMBERS
    cells[:, 2] = towns
    cells[::11, 2] = np.nan
    return cells


FEW = with_strings(RNG.choice(["Siena", "Asti"], N))
MANY = with_strings([f"town-{at}" for at in range(N)])
FOREST = "sklearn.ensemble:RandomForestClassifier"


@pytest.mark.parametrize("name", [*ESTIMATORS, FOREST])
@pytest.mark.parametrize(
    ("features", "rows"),
    [(NUMERIC, NUMBERS), ((*NUMERIC, TOWN), FEW), ((*NUMERIC, TOWN), MANY), ((TOWN,), FEW[:, 2:])],
    ids=["numbers", "few strings", "many strings", "strings only"],
)
def test_every_estimator_learns_from_every_kind_of_table(
    name: str, features: tuple[Feature, ...], rows: Any
) -> None:
    model = estimator_for(name, features, rows, seed=0).fit(rows, Y)
    assert model.predict_proba(rows).shape == (N, 2)


@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_what_was_never_seen_is_answered(name: str) -> None:
    whole = FEW.copy()
    whole[:, 1:] = [0.0, "Siena"]
    whole[::2, 2] = "Asti"
    model = estimator_for(name, (*NUMERIC, TOWN), whole, seed=0).fit(whole, Y)
    unseen = np.array([[0.1, np.nan, "Legnano"], [np.nan, 0.0, np.nan]], dtype=object)
    assert np.isfinite(model.predict_proba(unseen)).all()


def test_gradient_boosting_takes_categories_in_any_order() -> None:
    towns = RNG.choice(list("abcdef"), N)
    rows = with_strings(towns)
    odd = np.isin(rows[:, 2].astype(str), ["a", "c", "e"]).astype(int)  # no order separates these
    model = estimator_for("gradient-boosting", (*NUMERIC, TOWN), rows, seed=0).fit(rows, odd)
    assert (model.predict(rows) == odd).mean() > 0.99


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("forest", r"known are logistic, gradient-boosting and module:callable"),
        ("no_such_module:Thing", "cannot be imported"),
        ("collections:no_such_thing", "cannot be imported"),
        ("collections:OrderedDict", "made a OrderedDict, which has no fit"),
    ],
)
def test_names_of_no_estimator(name: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        estimator_for(name, NUMERIC, NUMBERS, seed=0)
