"""``palio compare-scores``: what it prints, what it tells programs, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from palio import platform
from palio.cli.app import run
from palio.stats.quality.scoring import compare_scores

RNG = np.random.default_rng(23)
N = 1_500
TRUE = RNG.beta(2, 4, N)
FRAME = pl.DataFrame(
    {
        "id": range(N),
        "default": RNG.random(N) < TRUE,
        "v1": np.clip(TRUE + RNG.normal(0, 0.25, N), 0.01, 0.99),
        "v2": np.clip(TRUE + RNG.normal(0, 0.05, N), 0.01, 0.99),
    }
)
NAMES = ("--label", "default", "--control", "v1", "--treatment", "v2")


@pytest.fixture
def shadow(tmp_path: Path) -> Path:
    file = tmp_path / "shadow.csv"
    FRAME.write_csv(file)
    return file


class Cli:
    """Calls the command without any store."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: object) -> tuple[int, str, str]:
        code = run(platform, ["compare-scores", *(str(one) for one in arguments)])
        said = self._capsys.readouterr()
        return code, said.out, said.err

    def json(self, *arguments: object) -> Any:
        code, out, err = self(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_programs_get_what_the_statistics_say(cli: Cli, shadow: Path) -> None:
    told = cli.json(shadow, *NAMES, "--horizon", 3_000, "--threshold", 0.4, "--alpha", 0.1)
    y, v1, v2 = (FRAME[name].to_numpy() for name in ("default", "v1", "v2"))
    found = compare_scores(y, v1, v2, horizon=3_000, threshold=0.4, alpha=0.1)
    assert (told["n"], told["horizon"], told["planned"]) == (N, 3_000, None)
    assert (told["label"], told["control"], told["treatment"]) == ("default", "v1", "v2")
    for row, figure in zip(told["figures"], found.figures, strict=True):
        assert row["name"] == figure.name
        assert row["better"] == figure.better
        assert row["comparison"]["p_value"] == pytest.approx(figure.comparison.p_value)
        assert row["comparison"]["lower"] == pytest.approx(figure.comparison.lower)
        assert row["treatment"]["value"] == pytest.approx(figure.treatment.value)
    assert found.decisions is not None
    assert told["decisions"]["only_control_wrong"] == found.decisions.only_control_wrong
    assert told["summary"][0] == "v2 is better on brier, log_loss, error, roc_auc and decisions."
    assert list(shadow.parent.iterdir()) == [shadow]  # no store was made


def test_people_get_tables_and_words(cli: Cli, shadow: Path) -> None:
    code, out, err = cli(shadow, *NAMES)
    assert (code, err) == (0, "")
    assert out.startswith("v2 against v1 on the same 1,500 requests\n")
    lines = [line.split("  ")[0].strip() for line in out.splitlines()]
    for named in ("verdict", "v1", "v2", "difference", "traffic of a split saved", "v1 wrong"):
        assert named in lines
    assert "\ncalibration, at one look\n" in out
    assert "\nv2 is better on brier, log_loss, error, roc_auc and decisions.\n" in out
    assert "At one look, v2 is better calibrated; " in out
    assert "\n- tightest at these 1,500 requests" in out


def test_what_is_not_shown_is_said(cli: Cli, shadow: Path) -> None:
    same = np.clip(FRAME["v2"] + RNG.normal(0, 0.01, N), 0.01, 0.99)
    FRAME.with_columns(v1=same).head(90).write_csv(shadow)
    _, out, _ = cli(shadow, *NAMES)
    assert "Neither is shown to be better on brier, log_loss, error" in out
    assert "\nNo verdict on brier, log_loss and error: sample has 90 units" in out
    assert "\nNo verdict on roc_auc: the rarer label has " in out
    assert "At one look, neither is shown to be better calibrated; " in out


def test_numbers_without_classes(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "amounts.parquet"
    FRAME.with_columns(amount=pl.col("v2") * 10 + 1).write_parquet(file)
    names = ("--label", "amount", "--control", "v1", "--treatment", "v2")
    told = cli.json(file, *names, "--loss", "absolute_error", "--loss", "squared_error")
    assert [row["name"] for row in told["figures"]] == ["squared_error", "absolute_error"]
    assert (told["decisions"], told["calibration"]) == (None, None)
    code, out, _ = cli(file, *names, "--planned", N)
    assert (code, "McNemar" in out, "calibrat" in out) == (0, False, False)
    FRAME.with_columns(amount=pl.col("v2") + 1).write_parquet(file)
    _, out, _ = cli(file, *names, "--loss", "absolute_error")
    assert "\nv2                        1  " in out  # no interval where nothing varied


def test_labels_that_are_still_to_come(cli: Cli, shadow: Path) -> None:
    late = pl.when(pl.col("id") >= 20).then(pl.col("default")).alias("default")
    FRAME.with_columns(late).write_csv(shadow)
    code, out, err = cli(shadow, *NAMES)
    assert (code, out) == (2, "")
    assert "a value is missing for 'default' in 20 rows of 1,500; --missing drop" in err
    assert cli.json(shadow, *NAMES, "--missing", "drop")["rows_left_out"] == 20
    _, out, _ = cli(shadow, *NAMES, "--missing", "drop")
    assert "\n- 20 rows with a missing label or score were left out\n" in out


def test_versions_that_agree_on_everything(cli: Cli, shadow: Path) -> None:
    FRAME.with_columns(v1=pl.col("v2").round(0), v2=pl.col("v2").round(0)).write_csv(shadow)
    code, out, err = cli(shadow, *NAMES)
    assert (code, err) == (0, "")
    assert "Neither is shown to be better on brier, error, roc_auc and decisions." in out
    assert "sample has no variance" in out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--threshold", "2"], "--threshold must be in (0, 1), got 2"),
        (["--alpha", "0.9"], "--alpha must be in [0.001, 0.2], got 0.9"),
        (["--planned", "0"], "--planned must be >= 1, got 0"),
        (["--horizon", "9", "--planned", "9"], "--horizon and --planned exclude each other"),
        (["--loss", "gini"], "--loss 'gini' is none of brier, log_loss, "),
        (["--treatment", "v1"], "must name three columns"),
        (["--treatment", "v9"], "--treatment 'v9' is no column of shadow.csv"),
        (["--label", "id", "--loss", "brier"], "--label must be 0 or 1 for brier"),
    ],
)
def test_misuse_is_explained(cli: Cli, shadow: Path, given: list[str], said: str) -> None:
    code, out, err = cli(shadow, *NAMES, *given)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert said in err


def test_a_table_that_is_none(cli: Cli) -> None:
    code, _, err = cli("nowhere.csv", *NAMES)
    assert (code, "nowhere.csv is no file" in err) == (2, True)
