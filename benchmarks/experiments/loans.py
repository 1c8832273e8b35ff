"""The credit clients as a stream of requests that two versions can score.

A shuffle puts the 30,000 rows into an order of its own. The first 10,000 train the versions and a
reference model, the other 20,000 are the requests. The file is read where it lies.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier  # type: ignore[import-untyped]
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from palio.registry.signature import Feature
from palio.training.columns import features_of, labels_of, matrix
from palio.training.estimators import estimator_for
from palio.training.table import read_table

__all__ = ["CONTROL", "TRAINED", "TREATMENT", "Loans", "Stream", "find", "read", "replay"]

CONTROL, TREATMENT = "logistic", "gradient-boosting"
TARGET, UNIT = "default.payment.next.month", "ID"
TRAINED = 10_000
FAMILY = 20261121  # of the seeds: one generator for each shuffle
_FILE = Path("shared", "data", "credit_default.csv")

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Loans:
    """The table.

    Attributes
    ----------
    units
        Ids, shape (n,) str.
    features
        What the columns are; the id is none of them.
    rows
        Their values, (n, 23) float64.
    labels
        1 for a default, shape (n,).
    """

    units: NDArray[np.str_]
    features: tuple[Feature, ...]
    rows: Array
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Stream:
    """Requests in their order, each scored by both versions.

    Attributes
    ----------
    units
        Ids, shape (n,) str.
    labels
        What came true, shape (n,).
    control, treatment
        Scores of the logistic regression and of gradient boosting, shape (n,), in [0, 1].
    covariates
        Columns by the name of their set: known before the answer, whichever version gives it.
    """

    units: NDArray[np.str_]
    labels: NDArray[np.int64]
    control: Array
    treatment: Array
    covariates: dict[str, tuple[Array, ...]]


def find() -> Path | None:
    """Give the path of the data, in ``shared`` beside the project or beside a folder above it."""
    folders = Path(__file__).resolve().parents[3:]
    return next((folder / _FILE for folder in folders if (folder / _FILE).is_file()), None)


def read(path: Path) -> Loans:
    """Read the table."""
    frame = read_table(path)
    features = features_of(frame, TARGET, [UNIT])
    labels, _ = labels_of(frame, TARGET)
    units = frame[UNIT].cast(pl.String).to_numpy().astype(np.str_)
    return Loans(units, features, matrix(frame, features), labels)


def replay(loans: Loans, shuffle: int) -> Stream:
    """Train on the first rows of a shuffle and score the others, in the shuffle's order."""
    order = np.random.default_rng([FAMILY, shuffle]).permutation(len(loans.units))
    past, asked = order[:TRAINED], order[TRAINED:]
    made = {
        name: estimator_for(name, loans.features, loans.rows[past], seed=shuffle)
        for name in (CONTROL, TREATMENT)
    }
    made["reference"] = RandomForestClassifier(200, min_samples_leaf=20, random_state=shuffle)
    scores = {name: _scores(model, loans, past, asked) for name, model in made.items()}
    return Stream(
        loans.units[asked],
        loans.labels[asked],
        scores[CONTROL],
        scores[TREATMENT],
        _covariates(loans, asked, scores["reference"]),
    )


def _scores(
    model: RandomForestClassifier, loans: Loans, past: NDArray[np.int64], asked: NDArray[np.int64]
) -> Array:
    with threadpool_limits(1):  # threads that wait for busy cores cost more than they gain
        model.fit(loans.rows[past], loans.labels[past])
        scores: Array = model.predict_proba(loans.rows[asked])[:, 1]
    return scores


def _covariates(
    loans: Loans, asked: NDArray[np.int64], reference: Array
) -> dict[str, tuple[Array, ...]]:
    """Give the reference's score with the Brier score it expects, and the columns themselves."""
    columns = tuple(loans.rows[asked].T)
    repayment = {f"PAY_{month}" for month in (0, 2, 3, 4, 5, 6)}
    expected = (reference, reference * (1 - reference))
    return {
        "reference": expected,
        "repayment": tuple(
            column
            for feature, column in zip(loans.features, columns, strict=True)
            if feature.name in repayment
        ),
        "columns": columns,
        "everything": (*expected, *columns),
    }
