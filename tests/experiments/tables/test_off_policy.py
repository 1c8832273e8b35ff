"""The value of a policy that did not serve: true on simulations, refused without overlap."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest

import palio
from palio.errors import InvalidInput
from palio.experiments.tables.off_policy import off_policy
from palio.stats import off_policy_value, welch
from palio.stats.moments import Moments

RATES = {"a": 0.2, "b": 0.3}


def log(seed: int = 1, *, rows: int = 4_000, share: float = 0.2) -> pl.DataFrame:
    """Return a log that drew b with a share; its reward is 1 with the rate of the action."""
    rng = np.random.default_rng(seed)
    took = rng.choice(["a", "b"], rows, p=[1 - share, share])
    return pl.DataFrame({
        "took": took,
        "p": np.where(took == "a", 1 - share, share),
        "paid": (rng.random(rows) < np.where(took == "b", RATES["b"], RATES["a"])) * 1.0,
        "new": ["b"] * rows,
        "half": [0.5] * rows,
    })  # fmt: skip


ACTIONS: dict[str, Any] = {
    "reward": "paid", "propensity": "p", "action": "took", "new_action": "new",
}  # fmt: skip


def test_the_value_is_that_of_the_statistics() -> None:
    frame = log()
    found = off_policy(frame, reward="paid", propensity="p", new_probability="half")
    assert found.value == off_policy_value(frame["paid"], frame["p"], frame["half"])
    assert found.logged == frame["paid"].mean()
    assert found.gain.effect == pytest.approx(found.value.estimate.effect - found.logged)


def test_always_b_is_worth_the_mean_of_b() -> None:
    # self-normalised weights of one action are equal: the mean of its rows, by hand
    frame = log()
    found = palio.off_policy(frame, **ACTIONS)
    of_b = frame.filter(pl.col("took") == "b")["paid"]
    assert found.value.estimate.effect == pytest.approx(of_b.mean())
    assert found.value.effective_sample_size == pytest.approx(len(of_b))
    assert found.rows == len(frame)


def test_any_dataframe_is_taken() -> None:
    frame, lazy = log(), log().lazy()
    expected = off_policy(frame, **ACTIONS).value.estimate.effect
    for other in (lazy, frame.to_pandas(), frame.to_arrow(), duckdb.from_arrow(frame.to_arrow())):
        assert off_policy(other, **ACTIONS).value.estimate.effect == pytest.approx(expected)


def test_the_interval_covers_the_truth() -> None:
    # 300 logs at 95 %: below 0.95 - 3 standard errors (0.038) is wrong
    covered = 0
    for seed in range(300):
        estimate = off_policy(log(seed, rows=1_500), **ACTIONS).value.estimate
        covered += estimate.lower <= RATES["b"] <= estimate.upper
    assert covered / 300 >= 0.912


def test_it_is_as_wide_as_a_split_would_be() -> None:
    # always b on a log of halves is the arm b of an experiment: Welch's interval of that arm
    frame = log(share=0.5)
    found = off_policy(frame, **ACTIONS).value.estimate
    arm = Moments.of(frame.filter(pl.col("took") == "b")["paid"].to_numpy())
    assert found.se == pytest.approx(welch(arm, Moments(10**9, 0.0, 0.0)).se, rel=0.01)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (log(rows=300, share=0.1), "rows speak for the new policy .* 100 are needed: log more"),
        (log().with_columns(new=pl.lit("c")), "must be > 0 for one unit at least"),
        (log().with_columns(p=pl.col("p") / 2), "weights average to 2.* where 1 is expected"),
        (log().with_columns(p=pl.lit(0.0)), "p must be in"),
        (log().with_columns(paid=pl.lit(None, pl.Float64)), "paid is missing in 4000 of 4000"),
        (log().with_columns(paid=pl.lit(float("nan"))), "rewards"),
        (log().drop("took"), "action 'took' is no column; the table has p, paid"),
        ([1, 2], "dataframe that narwhals takes, got list"),
    ],
)
def test_what_the_log_cannot_say_is_refused(frame: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        off_policy(frame, **ACTIONS)


def test_the_new_policy_is_told_in_one_way() -> None:
    for more in ({}, {"action": "took"}, {**ACTIONS, "new_probability": "half"}):
        with pytest.raises(InvalidInput, match="give new_probability alone"):
            off_policy(log(), **{"reward": "paid", "propensity": "p", **more})
