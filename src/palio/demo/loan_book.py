"""A loan book to try Palio with. It is synthetic: no row describes a person or a loan.

Defaults follow a logistic model with a plain part (income, amount, debt, late payments …) and
combinations that a linear scorecard cannot express, as real risk often has:

- high utilisation is dangerous together with late payments, and a good sign without;
- a long term hurts where debt is high compared with income, and helps elsewhere;
- a short time in the job is a risk for the self-employed only;
- a loan for a business or to consolidate debts is a risk with tenants, the opposite with others;
- risk is lowest in the middle of working life.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

__all__ = ["SYNTHETIC_NOTE", "TARGET", "loan_book"]

SYNTHETIC_NOTE = (
    "Synthetic data: drawn at random from a made-up model of lending. No row describes a person "
    "or a loan, and nothing learnt from it says anything about either."
)
TARGET = "default"

_EMPLOYMENT = {"salaried": 0.6, "self-employed": 0.24, "public": 0.16}
_HOME = {"rent": 0.45, "mortgage": 0.3, "own": 0.25}
_PURPOSE = {"car": 0.3, "consolidation": 0.25, "home": 0.2, "business": 0.15, "education": 0.1}
_RETIRED_FROM_AGE = 65
_DIRECT_DEBIT_SHARE = 0.6
_TERMS_MONTHS = (12, 24, 36, 48, 60, 72)
_HIGH_UTILISATION = 0.55
_HIGH_DEBT = 0.4
_LONG_TERM_MONTHS = 36
_SHORT_JOB_MONTHS = 36
_STRENGTH = 0.85
_BASE_LOGIT = -2.35


def loan_book(rows: int = 20_000, *, seed: int = 0) -> pl.DataFrame:
    """Draw a synthetic loan book.

    Parameters
    ----------
    rows
        Number of loans, at least 1.
    seed
        The same seed gives the same book; a longer book of the same seed is another book.

    Returns
    -------
    polars.DataFrame
        Fifteen features, numbers, booleans and strings, some with missing values, and
        ``default``, 1 for about a fifth of the rows. See :data:`SYNTHETIC_NOTE`.
    """
    rng = np.random.default_rng(seed)
    known = _applicants(rng, rows)
    happened = rng.random(rows) < 1.0 / (1.0 + np.exp(-_logit(known)))
    shown = _with_gaps(rng, known)
    return shown.with_columns(pl.Series(TARGET, happened.astype(np.int64)))


def _applicants(rng: np.random.Generator, rows: int) -> dict[str, Any]:
    income = np.exp(rng.normal(7.9, 0.45, rows)).round(-1)
    amount = np.clip(np.exp(rng.normal(9.1, 0.6, rows)), 1_000, 75_000).round(-2)
    age = np.clip(rng.gamma(8.0, 5.2, rows), 18, 80).astype(np.int64)
    working = _drawn(rng, _EMPLOYMENT, rows)
    return {
        "age": age,
        "employment": np.where(age < _RETIRED_FROM_AGE, working, "retired"),
        "months_in_job": np.minimum(rng.exponential(60.0, rows), 480).astype(np.int64),
        "monthly_income": income,
        "home": _drawn(rng, _HOME, rows),
        "purpose": _drawn(rng, _PURPOSE, rows),
        "amount": amount,
        "term_months": rng.choice(_TERMS_MONTHS, rows),
        "debt_to_income": np.clip(rng.beta(2.0, 3.2, rows) + 0.1 * rng.normal(size=rows), 0, 1.2),
        "utilisation": np.clip(rng.beta(1.4, 1.6, rows), 0, 1),
        "open_accounts": rng.poisson(5.0, rows),
        "late_payments": rng.poisson(0.55, rows),
        "inquiries": rng.poisson(1.0, rows),
        "months_as_customer": np.minimum(rng.exponential(40.0, rows), 300).astype(np.int64),
        "direct_debit": rng.random(rows) < _DIRECT_DEBIT_SHARE,
    }


def _drawn(rng: np.random.Generator, shares: dict[str, float], rows: int) -> Any:
    return rng.choice(list(shares), rows, p=list(shares.values()))


def _logit(known: dict[str, Any]) -> Any:
    """Return the log-odds of default: a plain part and the combinations in the module's words."""
    plain = (
        -1.2 * (np.log(known["monthly_income"]) - 7.9)
        + 0.6 * (np.log(known["amount"]) - 9.1)
        + 0.7 * (known["late_payments"] - 0.55)
        + 2.0 * (known["debt_to_income"] - 0.4)
        + 0.25 * (known["inquiries"] - 1.0)
        - 0.5 * known["direct_debit"]
        - 0.006 * np.minimum(known["months_as_customer"], 90)
    )
    strained = np.where(known["utilisation"] > _HIGH_UTILISATION, 1.0, -1.0)
    has_been_late = np.where(known["late_payments"] > 0, 1.0, -0.6)
    indebted = np.where(known["debt_to_income"] > _HIGH_DEBT, 1.0, -1.0)
    long_term = np.where(known["term_months"] > _LONG_TERM_MONTHS, 1.0, -1.0)
    alone = known["employment"] == "self-employed"
    risky_use = np.isin(known["purpose"], ["business", "consolidation"])
    tenant = np.where(known["home"] == "rent", 1.0, -1.0)
    combined = (
        1.0 * strained * has_been_late
        + 0.9 * indebted * long_term
        + 1.6 * alone * np.where(known["months_in_job"] < _SHORT_JOB_MONTHS, 1.0, -0.6)
        + 0.9 * risky_use * tenant
        + 1.1 * np.minimum(((known["age"] - 42.0) / 14.0) ** 2, 3.0)
    )
    return _BASE_LOGIT + plain + _STRENGTH * combined


def _with_gaps(rng: np.random.Generator, known: dict[str, Any]) -> pl.DataFrame:
    frame = pl.DataFrame({**known, "debt_to_income": known["debt_to_income"].round(3)})
    frame = frame.with_columns(pl.col("utilisation").round(3))
    gaps = {"months_in_job": 0.06, "utilisation": 0.04, "employment": 0.03}
    return frame.with_columns(
        pl.when(pl.Series(rng.random(frame.height) >= share)).then(pl.col(name)).alias(name)
        for name, share in gaps.items()
    )
