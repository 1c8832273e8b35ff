"""Which library made a model: read off its classes, nothing imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import lightgbm
import pytest
import sklearn
import xgboost
from sklearn.linear_model import LogisticRegression

from palio.artifacts.framework import framework_of


class Own(LogisticRegression):
    """A class of a user's own, from nowhere with a version."""


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (LogisticRegression(), f"scikit-learn {sklearn.__version__}"),
        (Own(), f"scikit-learn {sklearn.__version__}"),
        (xgboost.XGBClassifier(), f"xgboost {xgboost.__version__}"),
        (lightgbm.LGBMClassifier(), f"lightgbm {lightgbm.__version__}"),
        (Path("model.skops"), ""),
        (lambda rows: rows, ""),
        ({}, ""),
    ],
)
def test_the_library_and_its_version(model: object, expected: str) -> None:
    assert framework_of(model) == expected


def test_nothing_is_imported() -> None:
    asked = (
        "import sys; from palio.artifacts.framework import framework_of; "
        "before = set(sys.modules); framework_of(object()); print(len(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "0\n"
