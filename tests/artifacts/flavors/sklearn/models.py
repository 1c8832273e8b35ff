"""Fitted estimators and the rows they are asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

NUMBERS = np.random.default_rng(7).normal(size=(200, 3))
LABELS = (NUMBERS[:, 0] * NUMBERS[:, 1] > 0).astype(int)
TOWNS = np.random.default_rng(8).choice(["Siena", "Asti", "Legnano"], 200)
MIXED = np.column_stack([NUMBERS.astype(object), TOWNS])
FRAME = pl.DataFrame({"age": NUMBERS[:, 0], "debt": NUMBERS[:, 1], "town": TOWNS})


def logistic() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(NUMBERS, LABELS)


def boosted() -> Any:
    return HistGradientBoostingClassifier(max_iter=10, random_state=0).fit(NUMBERS, LABELS)


def forest() -> Any:
    return RandomForestClassifier(5, random_state=0).fit(NUMBERS, LABELS)


def mixed_boosted() -> Any:
    encoded = ColumnTransformer([("c", OrdinalEncoder(), [3])], remainder="passthrough")
    model = HistGradientBoostingClassifier(max_iter=10, categorical_features=[0], random_state=0)
    return make_pipeline(encoded, model).fit(MIXED, LABELS)


def by_name() -> Any:
    chosen = ColumnTransformer(
        [
            ("n", make_pipeline(SimpleImputer(), StandardScaler()), ["debt", "age"]),
            ("c", OneHotEncoder(handle_unknown="ignore"), ["town"]),
        ]
    )
    return make_pipeline(chosen, LogisticRegression()).fit(FRAME, LABELS)
