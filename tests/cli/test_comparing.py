"""`palio compare`: its numbers are those of the statistics, and its words are read by people."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from palio.stats import (
    Looking,
    Moments,
    ReportRow,
    compare,
    report,
    report_row,
    sample_ratio,
    welch,
)
from palio.stats.reporting.table import report_segments

Cli = Callable[..., tuple[int, str, str]]
N = 4_000
ARMS = ("--variant", "arm", "--control", "A", "--treatment", "B")


def rows() -> pl.DataFrame:
    rng = np.random.default_rng(2)
    treated, before = rng.integers(0, 2, N), rng.normal(50, 10, N)
    return pl.DataFrame({
        "arm": np.where(treated == 1, "B", "A"),
        "user": np.arange(N) // 4 * 2 + treated,
        "country": rng.choice(["AT", "DE", "LU"], N, p=[0.4, 0.59, 0.01]),
        "revenue": before + rng.normal(0, 5, N) + 2.0 * treated,
        "noise": rng.normal(0, 1, N),
        "late": rng.random(N) < 0.1 - 0.04 * treated,
        "before": before,
    })  # fmt: skip


FRAME = rows()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    FRAME.write_csv(folder / "visits.csv")
    FRAME.write_parquet(folder / "visits.parquet")
    return folder


@pytest.fixture
def visits(folder: Path) -> Path:
    return folder / "visits.csv"


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


def same_row(found: Any, expected: ReportRow) -> None:
    same({name: one for name, one in found.items() if name not in {"verdict", "advice"}}, expected)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_is_reported_as_the_statistics_do(
    told: Callable[..., Any], folder: Path, suffix: str
) -> None:
    found = told(
        "compare", folder / f"visits.{suffix}", *ARMS, "--metric", "revenue", "--metric", "late",
        "--covariate", "before", "--better", "late=smaller", "--segment", "country",
        "--horizon", 5_000, "--looks", 100, "--alpha", 0.1, "--treatment-share", 0.5,
    )  # fmt: skip
    looking = Looking(alpha=0.1, horizon=5_000, treatment_share=0.5, looks=100)
    asked: dict[str, Any] = {
        "variant": "arm", "control": "A", "treatment": "B", "covariates": ["before"],
        "better": {"late": "smaller"},
    }  # fmt: skip
    expected = report(FRAME, ["revenue", "late"], looking, **asked)
    for row, other in zip(found["metrics"], expected, strict=True):
        same_row(row, other)
    segments = report_segments(
        FRAME, ["revenue", "late"], segment="country", alpha=0.1, **asked
    )  # fmt: skip
    for segment, one in zip(found["segments"], segments, strict=True):
        same(segment, one)
    assert [row["verdict"] for row in found["metrics"]] == ["B is better", "B is better"]
    assert found["segments"][0]["left_out"] == ["LU"]
    counts = dict(zip(*np.unique(FRAME["arm"].to_numpy(), return_counts=True), strict=True))
    assert found["units"] == {"control": counts["A"], "treatment": counts["B"]}
    split = sample_ratio([(found["units"], {"control": 0.5, "treatment": 0.5})])
    same(found["split"], split)
    assert found["planned_by_table"] is False


def test_without_a_plan_the_table_is_the_plan(told: Callable[..., Any], visits: Path) -> None:
    found = told("compare", visits, *ARMS, "--metric", "revenue")
    share = FRAME.filter(pl.col("arm") == "B").height / N
    looking = Looking(planned=N, treatment_share=share)
    assert found["looking"] == json.loads(msgspec.json.encode(looking))
    assert found["planned_by_table"] is True
    assert "if this is the only look" in found["notes"][0]
    arms = [Moments.of(FRAME.filter(pl.col("arm") == arm)["revenue"]) for arm in "AB"]
    same(found["metrics"][0]["comparison"], compare(*arms, planned=N))
    same(found["metrics"][0]["fixed"], welch(*arms))


def test_people_read_every_number(cli: Cli, visits: Path) -> None:
    code, out, _ = cli(
        "compare", visits, *ARMS, "--metric", "revenue", "--metric", "noise",
        "--covariate", "before", "--planned", 10_000, "--segment", "country",
    )  # fmt: skip
    assert code == 0
    lines = [line for line in out.splitlines() if line]
    assert re.match(r"B \([12],\d{3} units\) against A \([12],\d{3} units\)", lines[0])
    names = [re.split(r" {2,}", line.strip())[0] for line in lines[2:17]]
    assert names == [
        "verdict", "control", "treatment", "effect, adjusted", "95 %, at every look",
        "relative effect", "95 %, at every look", "p, at every look", "adjusted (Holm)",
        "95 %, at one look", "p, at one look (Welch)", "chance to be better",
        "without covariates", "removed by covariates", "revenue by country, at one look: B does "
        "worst in " + lines[16].split("worst in ")[1],
    ]  # fmt: skip
    (row, _) = report(
        FRAME, ["revenue", "noise"], Looking(planned=10_000), variant="arm", control="A",
        treatment="B", covariates=["before"],
    )  # fmt: skip
    found = row.comparison
    assert f"{found.lower:+.4g} to {found.upper:+.4g}" in lines[6]
    assert f"{row.control.mean:.4g}" in lines[3]
    assert row.variance_removed is not None
    assert f"{row.variance_removed:.1%}".replace("%", " %") in lines[15]
    assert "no difference shown" in lines[2]
    assert "left out, below 100 units in an arm: LU" in out
    assert "tightest at 10,000 units" in out


@pytest.mark.parametrize(
    ("alternative", "words"),
    [("larger", ("above +", "B is better")), ("smaller", ("below +", "no decrease shown"))],
)
def test_one_side(cli: Cli, visits: Path, alternative: str, words: tuple[str, str]) -> None:
    bound, said = words
    _, out, _ = cli("compare", visits, *ARMS, "--metric", "revenue", "--alternative", alternative)
    assert said in out
    assert out.count(bound) == 3  # at every look, relative, at one look


def arms_of(folder: Path, control: list[Any], treatment: list[Any]) -> Path:
    path = folder / "small.csv"
    lines = [f"A,{value}" for value in control] + [f"B,{value}" for value in treatment]
    path.write_text("\n".join(["arm,y", *lines]) + "\n")
    return path


def noisy(n: int, mean: float = 0.0, *, seed: int = 3) -> list[float]:
    values = np.random.default_rng(seed).normal(0, 1, n)
    centred: list[float] = ((values - values.mean()) / values.std(ddof=1) + mean).tolist()
    return centred


def test_no_verdict_says_why_and_what_to_do(cli: Cli, tmp_path: Path) -> None:
    for control, treatment, why in (
        (noisy(50), noisy(120), "control has 50 units, a verdict needs 100; collect 50 more"),
        ([1] * 200, [1] * 200, "control and treatment have no variance; check the column"),
        ([1e200, -1e200] * 60, [1.0] * 120, "their squares overflow: rescale them first"),
    ):
        table = arms_of(tmp_path, control, treatment)
        _, out, err = cli("compare", table, *ARMS, "--metric", "y")
        assert why in out + err
    table = arms_of(tmp_path, noisy(150), noisy(150))
    _, out, _ = cli("compare", table, *ARMS, "--metric", "y", "--horizon", 100_000)
    assert "no verdict, below 1% of the planned information; look again when more" in out


def test_a_verdict_needs_no_advice_and_an_overflow_does(
    told: Callable[..., Any], tmp_path: Path
) -> None:
    """Squares of 1e306: 120 of them are a float, 240 are not."""
    huge = [1e153, -1e153] * 60 + [0.0]
    for control, treatment, advice in (
        (noisy(150), noisy(150, 0.3), None),
        (huge, huge, "rescale the metric"),
    ):
        table = arms_of(tmp_path, control, treatment)
        found = told("compare", table, *ARMS, "--metric", "y", "--planned", 300)
        assert found["metrics"][0]["advice"] == advice


def test_one_look_may_show_what_all_looks_do_not(cli: Cli, tmp_path: Path) -> None:
    """Two arms of 200, an effect of 2.4 standard errors: p 0.017 by Welch."""
    table = arms_of(tmp_path, noisy(200), noisy(200, 0.24, seed=4))
    _, out, _ = cli("compare", table, *ARMS, "--metric", "y")
    assert "no difference shown, unless this is the only look" in out
    assert "no relative effect, the mean of control is too near to 0" in out
    _, out, _ = cli("compare", table, *ARMS, "--metric", "y", "--planned", 400)
    assert "unless" not in out


def test_many_metrics_take_a_verdict_back(cli: Cli, tmp_path: Path) -> None:
    """An effect of 3.3 standard errors beside four metrics of none."""
    frame = pl.DataFrame({
        "arm": ["A"] * 200 + ["B"] * 200,
        "y": noisy(200) + noisy(200, 0.33, seed=4),
        **{f"z{at}": noisy(400, seed=10 + at) for at in range(4)},
    })  # fmt: skip
    frame.write_parquet(tmp_path / "many.parquet")
    asked = ["compare", tmp_path / "many.parquet", *ARMS, "--metric", "y"]
    _, out, _ = cli(*asked)
    assert "B is better" in out
    others = [word for at in range(4) for word in ("--metric", f"z{at}")]
    _, out, _ = cli(*asked, *others)
    assert "B is better if this were the only metric; not shown among 5" in out


def test_a_negative_baseline_keeps_the_sign_of_the_effect(
    told: Callable[..., Any], tmp_path: Path
) -> None:
    """From -10 to -9: one more, a tenth of the baseline's size more."""
    table = arms_of(tmp_path, noisy(200, -10), noisy(200, -9, seed=4))
    found = told("compare", table, *ARMS, "--metric", "y")["metrics"][0]
    assert found["relative"]["effect"] == pytest.approx(0.1)
    assert 0 < found["relative"]["lower"] < 0.1 < found["relative"]["upper"]
    row = report_row(
        "y", Moments(200, -10.0, 1.0), Moments(200, -9.0, 1.0), Looking(planned=400)
    )  # fmt: skip
    assert row.relative is not None
    assert found["relative"]["lower"] == pytest.approx(-row.relative.upper)


def test_past_the_horizon(cli: Cli, visits: Path) -> None:
    _, out, _ = cli("compare", visits, *ARMS, "--metric", "revenue", "--horizon", 1_000)
    assert "past the horizon of 1,000 units: still valid at every look" in out


def test_the_rule_in_force_is_named(cli: Cli, visits: Path) -> None:
    asked = ["compare", visits, *ARMS, "--metric", "revenue", "--horizon", 10_000]
    _, out, _ = cli(*asked)
    assert "valid at any number of looks up to the horizon of 10,000 units (rule 1)" in out
    assert re.search(r"planned information +40\.0 %", out)
    _, out, _ = cli(*asked, "--looks", 20)
    assert "valid at 20 looks up to the horizon" in out


def test_a_split_that_is_not_as_planned(cli: Cli, visits: Path) -> None:
    asked = ["compare", visits, *ARMS, "--metric", "revenue", "--treatment-share"]
    assert "the split is not as planned" in cli(*asked, 0.4)[1]
    assert "the split is not as planned" not in cli(*asked, 0.5)[1]


def test_units_of_several_rows(told: Callable[..., Any], visits: Path, tmp_path: Path) -> None:
    found = told("compare", visits, *ARMS, "--metric", "revenue", "--unit", "user")
    share = found["units"]["treatment"] / sum(found["units"].values())
    looking = Looking(planned=sum(found["units"].values()), treatment_share=share)
    (expected,) = report(FRAME, ["revenue"], looking, variant="arm", control="A", treatment="B",
                         unit="user")  # fmt: skip
    same_row(found["metrics"][0], expected)
    assert found["units_in_both"] == 0
    table = tmp_path / "both.parquet"
    FRAME.with_columns(user=pl.when(pl.col("user") < 20).then(0).otherwise("user")).write_parquet(
        table
    )
    found = told("compare", table, *ARMS, "--metric", "revenue", "--unit", "user")
    assert found["units_in_both"] == 1
    assert "1 units have rows in both arms" in found["notes"][1]


@pytest.fixture
def holes(tmp_path: Path) -> Path:
    path = tmp_path / "holes.csv"
    cells = ["1", "NA", "", "null", " 2 ", "True", "FALSE", "nan"]
    lines = [f"{arm},{cell},{at}" for arm in "ABC" for at, cell in enumerate(cells)]
    path.write_text("\n".join(["arm,y,z", *lines, ",5,5"]))
    return path


def test_missing_numbers(cli: Cli, told: Callable[..., Any], holes: Path) -> None:
    asked = ["compare", holes, *ARMS, "--metric", "y"]
    code, _, err = cli(*asked)
    assert code == 2
    assert "numbers are missing in 'y' (8 rows): --missing drop leaves such rows out" in err
    for way, values in (("drop", [1, 2, 1, 0]), ("zero", [1, 0, 0, 0, 2, 1, 0, 0])):
        found = told(*asked, "--missing", way)
        same(found["metrics"][0]["control"], Moments.of(values))
        assert (found["rows_missing"], found["other_rows"]) == (8, 9)
        said = "left out: 8" if way == "drop" else "counted as 0: 8"
        assert f"rows with a missing number, {said}" in found["notes"]
        assert "rows of other variants, not looked at: 9" in found["notes"]
    assert told("compare", holes, *ARMS, "--metric", "z")["rows_missing"] == 0


def test_an_arm_that_is_all_missing(cli: Cli, tmp_path: Path) -> None:
    table = arms_of(tmp_path, [1.0, 2.0], ["", ""])
    code, _, err = cli("compare", table, *ARMS, "--metric", "y", "--missing", "drop")
    assert code == 2
    assert "--treatment 'B' has no row without a missing number" in err


def test_a_segment_without_a_name(cli: Cli, told: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "segments.parquet"
    FRAME.with_columns(country=pl.when(pl.col("country") != "LU").then("country")).with_columns(
        country=pl.col("country").replace("AT", None)
    ).write_parquet(path)
    found = told("compare", path, *ARMS, "--metric", "revenue", "--segment", "country")
    assert set(found["segments"][0]["effects"]) == {"DE", "(missing)"}
    _, out, _ = cli("compare", path, *ARMS, "--metric", "revenue", "--segment", "country")
    assert "allowing for 2 segments" in out
    assert "left out" not in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--metric", "nothing"], "--metric 'nothing' is no column of visits.csv, which has arm,"),
        (["--metric", "country"], "--metric 'country' must hold numbers, true or false, got '"),
        (["--metric", "late", "--segment", "late"], "--segment 'late' is named by --metric, too"),
        (["--metric", "late", "--metric", "late"], "must name 'late' once, got it twice"),
        (["--metric", "late", "--treatment", "C"], "--treatment 'C' is no value of 'arm', whose "),
        (["--metric", "late", "--treatment", "A"], "--treatment must differ from --control"),
        (["--metric", "late", "--alpha", "0.5"], "--alpha must be in [0.001, 0.2], got 0.5"),
        (["--metric", "late", "--horizon", "0"], "--horizon must be >= 1, got 0"),
        (["--metric", "late", "--horizon", "9", "--planned", "9"], "exclude each other"),
        (["--metric", "late", "--looks", "10"], "--looks counts looks up to a --horizon"),
        (["--metric", "late", "--horizon", "9", "--looks", "7"], "one of 10, 20, 50, 100, got 7"),
        (["--metric", "late", "--treatment-share", "1"], "--treatment-share must be in (0, 1)"),
        (["--metric", "late", "--better", "smaller"], "is not of the form metric=smaller"),
        (["--metric", "late", "--better", "late=small"], "is not of the form metric=smaller"),
        (["--metric", "late", "--better", "x=smaller"], "--better must be of one of ['late']"),
        (["--metric", "late", "--unit", "user", "--covariate", "before"],
         "--covariate must be empty with unit"),
        (["--metric", "late", "--segment", "user"], "--segment must have a segment with 100 unit"),
    ],
)  # fmt: skip
def test_misuse_names_the_option(
    cli: Cli, visits: Path, arguments: list[str], message: str
) -> None:
    code, out, err = cli("compare", visits, *ARMS, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    code, _, err = cli("compare", visits, *ARMS, *arguments, "--json")
    assert code == 2
    assert json.loads(err)["code"] in {"invalid_input", "invalid_data"}


@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("t.txt", (b"arm,y\nA,1\n", "is neither .csv nor .parquet")),
        ("none.csv", (None, "is no file; check the path")),
        ("t.csv", (b"", "is empty; it needs a header and rows")),
        ("t.csv", (b"arm,y\n", "--control 'A' is no value of 'arm', which has no rows")),
        ("t.csv", (b"arm,y\nA,1,2\n", "cannot be read as .csv: found more fields")),
        ("t.csv", (b"arm,y\nA,\xff\nB,1\n", "cannot be read as .csv: invalid utf-8")),
        ("t.parquet", (b"arm,y\nA,1\n", "cannot be read as .parquet")),
    ],
)
def test_files_that_are_no_tables(
    cli: Cli, tmp_path: Path, name: str, case: tuple[bytes | None, str]
) -> None:
    content, message = case
    if content is not None:
        (tmp_path / name).write_bytes(content)
    code, _, err = cli("compare", tmp_path / name, *ARMS, "--metric", "y")
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1


def test_a_column_of_another_type(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "dates.parquet"
    pl.DataFrame({"arm": ["A", "B"], "y": [date(2026, 1, 1)] * 2}).write_parquet(path)
    code, _, err = cli("compare", path, *ARMS, "--metric", "y")
    assert code == 2
    assert "column 'y' must hold numbers, got Date" in err
