"""`palio plan`: its numbers are those of the statistics, and its words are read by people."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from palio.stats.planned.history import summarize_history
from palio.stats.planned.planning import (
    ONE_LOOK,
    Baseline,
    Design,
    achieved_power,
    detectable_effect,
    sample_size,
)

Cli = Callable[..., tuple[int, str, str]]


def same(found: Any, expected: Any) -> None:
    """Compare JSON with a record; engines sum in any order, the last digits differ."""
    expected = json.loads(msgspec.json.encode(expected))
    assert {name: found[name] for name in expected}.keys() == found.keys() | expected.keys()
    for name, value in expected.items():
        if isinstance(value, dict):
            same(found[name], value)
        else:
            close = isinstance(value, float)
            assert found[name] == (pytest.approx(value, rel=1e-9) if close else value)


RATE = ("plan", "--rate", "0.05")


@pytest.mark.parametrize("looks", [None, 50])
@pytest.mark.parametrize(
    ("asked", "planned"),
    [
        (["--effect", 0.005], lambda rate, how: sample_size(rate, 0.005, design=how, power=0.9)),
        (["--relative", -0.1], lambda rate, how: sample_size(rate, -0.005, design=how, power=0.9)),
        (["--units", 9_000],
         lambda rate, how: detectable_effect(rate, 9_000, design=how, power=0.9)),
        (["--units", 9_000, "--effect", 0.01],
         lambda rate, how: achieved_power(rate, 0.01, 9_000, design=how)),
    ],
)  # fmt: skip
def test_a_plan_is_what_the_statistics_say(
    told: Callable[..., Any], asked: list[Any], planned: Callable[..., Any], looks: int | None
) -> None:
    given = [] if looks is None else ["--looks", looks]
    found = told(*RATE, *asked, *given, "--power", 0.9, "--units-per-day", 1_000)
    for name, design in (("horizon", Design(looks)), ("fixed", ONE_LOOK)):
        plan = planned(Baseline.of_rate(0.05), design)
        for part in ("units", "effect", "relative", "power", "expected_units"):
            assert found[name][part] == pytest.approx(getattr(plan, part), rel=1e-6)
        assert found[name]["days"] == plan.days(1_000)
        assert found[name]["expected_days"] == pytest.approx(plan.expected_units / 1_000)


def test_a_mean_with_a_covariate(told: Callable[..., Any]) -> None:
    found = told("plan", "--mean", -30, "--sd", 45, "--relative", 0.02, "--correlation", 0.6,
                 "--alternative", "larger", "--alpha", 0.01, "--treatment-share", 0.2)  # fmt: skip
    design = Design(alpha=0.01, alternative="larger", treatment_share=0.2)
    baseline = Baseline(-30.0, 45.0**2).explained(0.6)
    assert found["horizon"]["units"] == sample_size(baseline, 0.6, design=design).units
    assert found["fixed"]["days"] is None


def test_people_read_the_plan(cli: Cli) -> None:
    _, out, _ = cli(*RATE, "--effect", 0.005, "--units-per-day", 5_000)
    table = [re.split(r" {2,}", line.strip()) for line in out.splitlines()]
    units = [sample_size(Baseline.of_rate(0.05), 0.005, design=design)
             for design in (Design(), ONE_LOOK)]  # fmt: skip
    assert table[0] == ["looked at as often as you like (rule 1)", "looked at once (Welch)"]
    assert table[1] == ["units, both arms", *(f"{plan.units:,}" for plan in units)]
    assert table[2] == ["on average at the stop", *(f"{p.expected_units:,.0f}" for p in units)]
    assert table[3] == ["days", *(str(plan.days(5_000)) for plan in units)]
    assert table[6:8] == [["relative", "+10 %", "+10 %"], ["power", "80.0 %", "80.0 %"]]
    assert f"then palio compare --horizon {units[0].units}, whenever" in out
    _, out, _ = cli("plan", "--mean", 0, "--sd", 1, "--effect", 0.1, "--looks", 20)
    assert "looked at 20 times (rule 1)" in out
    assert "--looks 20, whenever" in out
    assert "relative" not in out
    assert "days" not in out


ORDERS = 3_000


def orders() -> pl.DataFrame:
    rng = np.random.default_rng(4)
    user = rng.integers(0, 4_000, ORDERS)
    day = np.sort(rng.integers(0, 21, ORDERS))
    return pl.DataFrame({"user": user, "day": day, "revenue": rng.normal(30, 9, ORDERS).round(2)})


@pytest.mark.parametrize("form", ["days", "dates", "times", "compact", "parquet"])
def test_a_history_is_planned_from(told: Callable[..., Any], tmp_path: Path, form: str) -> None:
    frame, path = orders(), tmp_path / ("o.parquet" if form == "parquet" else "o.csv")
    first = date(2026, 1, 25)
    days = [first + timedelta(int(at)) for at in frame["day"]]
    written = {
        "days": frame["day"].to_list(),
        "dates": [f"{day}" for day in days],
        "times": [f"{day}T12:30:00Z" for day in days],
        "compact": [f"{day:%Y%m%d}" for day in days],
        "parquet": days,
    }[form]
    given = frame.with_columns(pl.Series("day", written))
    (given.write_parquet if form == "parquet" else given.write_csv)(path)
    asked = ["--unit", "user", "--time", "day", "--value", "revenue", "--relative", 0.05]
    found = told("plan", "--history", path, *asked, "--per", "row", "--traffic-share", 0.5)
    history = summarize_history(frame, unit="user", time="day", value="revenue")
    baseline = history.baseline("row")
    for name, design in (("horizon", Design()), ("fixed", ONE_LOOK)):
        plan = sample_size(baseline, 0.05 * baseline.mean, design=design)
        assert found[name]["units"] == pytest.approx(plan.units, abs=1)
        days_needed = history.days_needed(plan.expected_units, traffic_share=0.5)
        assert found[name]["expected_days"] == pytest.approx(days_needed, rel=1e-3)
    assert found["history"]["days"] == 21
    assert found["history"]["units"] == frame["user"].n_unique()


def test_people_read_of_the_history(cli: Cli, tmp_path: Path) -> None:
    orders().write_parquet(tmp_path / "o.parquet")
    asked = ["plan", "--history", tmp_path / "o.parquet", "--unit", "user", "--time", "day",
             "--value", "revenue", "--relative"]  # fmt: skip
    _, out, _ = cli(*asked, 0.01)
    assert re.search(r"the history has 2,\d{3} units in 21 days: mean \d", out)
    assert "plans with CUPED by what units did before" in out
    assert "beyond its 21 days new units are taken to come as in its last week" in out
    _, out, _ = cli(*asked, 0.5)
    assert "beyond its 21 days" not in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one of --rate, --mean, --history is needed"),
        (["--rate", 0.1], "one of --effect, --relative is needed"),
        (["--rate", 0.1, "--mean", 1], "--mean and --rate exclude each other"),
        (["--rate", 0.1, "--effect", 0.1, "--relative", 0.1], "--relative and --effect exclude"),
        (["--rate", 0.1, "--sd", 1, "--effect", 0.1], "--sd is of use with --mean only"),
        (["--rate", 0.1, "--unit", "u", "--effect", 0.1], "--unit is of use with --history only"),
        (["--mean", 1, "--effect", 0.1], "--sd is needed with --mean"),
        (["--mean", 1, "--sd", 0, "--effect", 0.1], "--sd must be finite and > 0, got 0.0"),
        (["--mean", "nan", "--sd", 1, "--effect", 0.1], "--mean must be finite, got nan"),
        (["--mean", 0, "--sd", 1, "--relative", 0.1], "--relative is a share of the mean, which"),
        (["--mean", 1, "--sd", 1, "--effect", 0], "--effect must lie beyond the null"),
        (["--mean", 1, "--sd", 1, "--relative", "nan"], "--relative must be finite, got nan"),
        (["--mean", 1, "--sd", 1, "--effect", 1, "--correlation", 1], "--correlation must be in"),
        (["--rate", 0.1, "--effect", 0.1, "--correlation", 0.5], "--correlation is not for a --r"),
        (["--rate", 1, "--effect", 0.1], "--rate must be in (0, 1), got 1.0"),
        (["--rate", 0.9, "--relative", 0.2], "--relative must leave a rate in (0, 1)"),
        (["--rate", 0.1, "--units", 2], "--units must be a whole number >= 4, got 2"),
        (["--rate", 0.1, "--effect", 0.1, "--power", 0.01], "--power must be in (alpha, 1)"),
        (["--rate", 0.1, "--effect", 0.1, "--alpha", 0.5], "--alpha must be in [0.001, 0.2]"),
        (["--rate", 0.1, "--effect", 0.1, "--looks", 7], "--looks must be one of 10, 20, 50, 100"),
        (["--rate", 0.1, "--effect", 0.1, "--units-per-day", 0], "--units-per-day must be finite"),
        (["--rate", 0.1, "--effect", 0.1, "--treatment-share", 1], "--treatment-share must be in"),
        (["--history", "x.csv", "--unit", "a", "--time", "b", "--effect", 1],
         "--value is needed with --history"),
        (["--history", "x.csv", "--unit", "a", "--time", "b", "--value", "c", "--effect", 1,
          "--units-per-day", 9], "--units-per-day goes without --history"),
        (["--history", "x.csv", "--unit", "a", "--time", "b", "--value", "c", "--effect", 1],
         "x.csv is no file"),
    ],
)  # fmt: skip
def test_plans_that_cannot_be_made(cli: Cli, arguments: list[Any], message: str) -> None:
    code, out, err = cli("plan", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (("when", "revenue"), "--time 'when' must hold days as 2026-01-31 or 17, got '1/2/26'"),
        (("day", "when"), "--value 'when' must hold numbers, true or false, got '1/2/26'"),
        (("revenue", "revenue"), "--time 'revenue' is named by --value, too; name another"),
        (("nothing", "revenue"), "--time 'nothing' is no column"),
        (("day", "hole"), "column 'hole' is missing"),
    ],
)
def test_histories_that_cannot_be_read(
    cli: Cli, tmp_path: Path, columns: tuple[str, str], message: str
) -> None:
    time, value = columns
    lines = [f"{at % 3},{at},{at + 0.5},1/2/26,{at or ''}" for at in range(6)]
    (tmp_path / "h.csv").write_text("\n".join(["user,day,revenue,when,hole", *lines]))
    code, _, err = cli("plan", "--history", tmp_path / "h.csv", "--unit", "user", "--time", time,
                       "--value", value, "--effect", 1)  # fmt: skip
    assert code == 2
    assert message in err
