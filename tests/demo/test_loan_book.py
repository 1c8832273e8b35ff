"""The synthetic loan book: what it holds, and that there is something to find in it."""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from palio.demo.loan_book import SYNTHETIC_NOTE, TARGET, loan_book
from palio.training.columns import features_of, matrix
from palio.training.train import train


def test_the_same_seed_gives_the_same_book() -> None:
    assert loan_book(500, seed=3).equals(loan_book(500, seed=3))
    assert not loan_book(500, seed=3).equals(loan_book(500, seed=4))


def test_fifteen_features_and_a_target() -> None:
    book = loan_book(2_000)
    assert book.width == 16
    kinds = {dtype.base_type() for dtype in book.dtypes}
    assert kinds == {pl.Int64, pl.Float64, pl.String, pl.Boolean}
    assert book.select("months_in_job", "utilisation", "employment").null_count().row(0) != (
        0,
        0,
        0,
    )
    assert set(book[TARGET].to_list()) == {0, 1}


def test_about_a_fifth_default() -> None:
    share = loan_book(20_000)[TARGET].mean()
    assert isinstance(share, float)
    assert abs(share - 0.2) < 4 * math.sqrt(0.2 * 0.8 / 20_000) + 0.01  # four standard errors


def test_it_says_that_it_is_synthetic() -> None:
    assert SYNTHETIC_NOTE.startswith("Synthetic")


def test_boosting_beats_a_scorecard_by_what_a_live_experiment_can_see() -> None:
    book = loan_book(20_000)
    learnt, live = book[:8_000], book[8_000:]
    happened = live[TARGET].to_numpy()
    cells = matrix(live, features_of(live, TARGET))
    losses = [
        (train(learnt, target=TARGET, estimator=name).model.predict_proba(cells)[:, 1] - happened)
        ** 2
        for name in ("logistic", "gradient-boosting")
    ]
    spread = math.sqrt((losses[0].var() + losses[1].var()) / 2)
    standardised = (losses[0].mean() - losses[1].mean()) / spread
    # Cohen (1988): 0.08 to 0.12 takes 1,100 to 2,500 requests an arm at 80 % power, 5 % two-sided
    assert 0.08 < standardised < 0.12
    assert np.isfinite(spread)
