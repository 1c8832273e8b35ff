"""`palio analyze` and `palio off-policy`: the numbers of the functions, and words for people."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from palio.experiments.tables.frames import analyze
from palio.experiments.tables.off_policy import off_policy

Cli = Callable[..., tuple[int, str, str]]
ARMS = ("--variant", "arm", "--control", "A", "--goal", "revenue:higher")


def visits() -> pl.DataFrame:
    rng = np.random.default_rng(5)
    treated, before = np.repeat(rng.random(1_500) < 0.4, 2), np.repeat(rng.normal(50, 9, 1_500), 2)
    return pl.DataFrame({
        "arm": np.where(treated, "B", "A"),
        "user": np.repeat(np.arange(1_500), 2),
        "country": np.repeat(rng.choice(["AT", "DE"], 1_500), 2),
        "revenue": before + rng.normal(0, 5, 3_000) + 4.0 * treated,
        "orders": rng.integers(1, 4, 3_000),
        "latency_ms": rng.lognormal(3, 0.4, 3_000),
        "before": before,
    })  # fmt: skip


def requests() -> pl.DataFrame:
    rng = np.random.default_rng(6)
    took = rng.choice(["a", "b"], 3_000)
    paid = rng.random(3_000) < np.where(took == "b", 0.3, 0.2)
    return pl.DataFrame({"took": took, "p": 0.5, "paid": paid * 1.0, "new": "b", "half": 0.5})


VISITS, REQUESTS = visits(), requests()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    for name, frame in (("visits", VISITS), ("requests", REQUESTS)):
        frame.write_csv(folder / f"{name}.csv")
        frame.write_parquet(folder / f"{name}.parquet")
    return folder


def same(found: Any, expected: Any) -> None:
    """Compare JSON; engines sum in any order, the last digits differ."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            same(found[name], value)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-8, abs=1e-9)
    else:
        assert found == expected


def content(record: Any) -> Any:
    return json.loads(msgspec.json.encode(record))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_is_analysed_as_the_function_does(
    told: Callable[..., Any], folder: Path, suffix: str
) -> None:
    found = told(
        "analyze", folder / f"visits.{suffix}", *ARMS, "--metric", "revenue/orders:higher",
        "--metric", "p90(latency_ms):lower", "--guardrail", "latency_ms", "--unit", "user",
        "--covariate", "before", "--cap", "revenue=90", "--weight", "A=0.6", "--weight", "B=0.4",
        "--segment", "country", "--horizon", 4_000, "--alpha", 0.1, "--min-sample", 200,
    )  # fmt: skip
    expected = analyze(
        VISITS, variant="arm", control="A", unit="user", covariates=["before"],
        metrics=["revenue:higher", "revenue/orders:higher", "p90(latency_ms):lower"],
        guardrails=["latency_ms"], caps={"revenue": 90.0}, weights={"A": 0.6, "B": 0.4},
        segment="country", horizon=4_000, alpha=0.1, min_sample=200, name="visits",
    )  # fmt: skip
    for report in (found, *found["segments"].values()):
        # a text of decision.reasons holds rounded numbers, `at` is the moment it ran
        del report["at"]
    wanted = content(expected)
    for report in (wanted, *wanted["segments"].values()):
        del report["at"]
    same(found, wanted)
    assert found["decision"]["kind"] == "ship"


def test_people_read_the_decision_the_figures_and_what_to_know(cli: Cli, folder: Path) -> None:
    code, out, _ = cli(
        "analyze", folder / "visits.csv", *ARMS, "--unit", "user", "--covariate", "before",
        "--min-sample", 100, "--segment", "country", "--guardrail", "latency_ms",
    )  # fmt: skip
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("ship B: B is better than A on revenue: +")
    assert "A (" in lines[1]
    assert "revenue (goal), B" in lines[3]
    for words in (
        "B is better", "no difference shown", "at every look", "p, at one look (Welch)",
        "without covariates", "AT: ", "DE: ", "the split was not checked",
        "2 segments share the chance of a false decision, 0.025 each",
    ):  # fmt: skip
        assert words in out


def test_too_few_units_are_said_to_be_too_few(cli: Cli, folder: Path) -> None:
    VISITS.head(100).write_csv(folder / "few.csv")
    code, out, _ = cli("analyze", folder / "few.csv", *ARMS)
    assert code == 0
    assert "no verdict" in out
    assert "a verdict needs 100" in out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--cap", "revenue"), "--cap 'revenue' is not of the form name=number"),
        (("--weight", "A=much"), "--weight 'A=much' is not of the form name=number"),
        (("--guardrail", "pain:lower"), "'pain' is no column; the table has arm"),
        (("--guardrail", "country:lower"), "'country' must hold numbers"),
        (("--covariate", "earlier"), "--covariate 'earlier' is no column"),
        (("--segment", "planet"), "--segment 'planet' is no column"),
        (("--horizon", 3), "horizon must be in"),
        (("--weight", "A=1"), "weights must be shares of A, B"),
    ],
)
def test_what_cannot_be_answered_is_one_line(
    cli: Cli, folder: Path, more: tuple[object, ...], message: str
) -> None:
    code, out, err = cli("analyze", folder / "visits.csv", *ARMS, *more)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "options", "more"),
    [
        ("requests.csv", ("--action", "took", "--new-policy", "new"), ("took", "new", None)),
        ("requests.parquet", ("--new-probability", "half"), (None, None, "half")),
    ],
)
def test_a_log_is_evaluated_as_the_function_does(
    told: Callable[..., Any], folder: Path, *, name: str, options: Any, more: Any
) -> None:
    asked = ("off-policy", folder / name, "--reward", "paid", "--propensity", "p", "--clip", 4)
    action, new_action, probability = more
    expected = off_policy(
        REQUESTS, reward="paid", propensity="p", clip=4.0, action=action, new_action=new_action,
        new_probability=probability,
    )  # fmt: skip
    same(told(*asked, *options), content(expected))


def test_people_read_what_the_new_policy_earns(cli: Cli, folder: Path) -> None:
    asked = ("off-policy", folder / "requests.csv", "--reward", "paid", "--propensity", "p")
    code, out, _ = cli(*asked, "--action", "took", "--new-policy", "new")
    assert code == 0
    for words in ("logged policy", "new policy", "gain", "effective sample size", "interval"):
        assert words in out
    assert "clipped" not in out
    for wrong in ((), ("--action", "took"), ("--new-policy", "new")):
        code, _, err = cli(*asked, *wrong)
        assert code == 2
        assert "give --new-probability, or --action and --new-policy" in err


def test_little_overlap_is_refused(cli: Cli, folder: Path) -> None:
    REQUESTS.head(150).write_csv(folder / "short.csv")
    code, _, err = cli(
        "off-policy", folder / "short.csv", "--reward", "paid", "--propensity", "p",
        "--action", "took", "--new-policy", "new",
    )  # fmt: skip
    assert code == 2
    assert "of 150 rows speak for the new policy" in err
