"""``palio models quality`` and ``drift``: how a version does, in words and for programs."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import palio
from palio.registry.quality import QualityCounts, QualitySums
from palio.storage.store import SqlStore, engine_for

from .conftest import Cli


@pytest.fixture
def asked(home: str) -> str:
    """A store whose v1 was asked about 1,000 rows, and 300 that have moved and have labels."""
    rng = np.random.default_rng(3)
    with palio.connect(home) as opened:
        for loc, n in (((0, 0, 0), 1_000), ((2, 0, 0), 300)):
            rows = rng.normal(loc, size=(n, 3))
            answer = opened.predict("credit", rows.tolist(), version="v1")
        values = list(answer.predictions)
        values[:30] = [1 - value for value in values[:30]]  # 10 % are wrong
        draft = palio.OutcomeDraft(request_id=answer.request_id, value=values)
        opened.outcomes.record([draft])
    return home


def test_quality_for_people(cli: Cli, asked: str) -> None:
    code, out, err = cli("--store", asked, "models", "quality", "credit@champion")
    assert (code, err) == (0, "")
    head, columns, everything, cohort, *rest = out.splitlines()
    assert head.startswith("credit:v1: 1,300 rows answered, 300 of them with a label, events up")
    assert re.split(r"  +", columns.strip()) == [
        *("answers", "rows", "labelled", "accuracy", "brier", "calibration error"),
        *("positive", "false positives", "false negatives"),
    ]
    # Wilson, 270 of 300: statsmodels.stats.proportion.proportion_confint(270, 300, .05, "wilson")
    assert "90.00% (86.08% to 92.91%)" in everything
    assert everything.startswith("all ")
    assert re.match(r"from \d{4}-\d\d-\d\d  +1,300  +300 ", cohort)
    assert "What was said of the classes, and how often it came true:" in rest


def test_quality_for_programs(told: Any, asked: str) -> None:
    found = told("--store", asked, "models", "quality", "credit:v1", "--cohort-days", 7)
    assert found["overall"]["accuracy"]["value"] == 0.9
    assert len(found["cohorts"]) == 1


def test_segments_have_rows_of_their_own(cli: Cli, asked: str) -> None:
    counts = QualityCounts(rows=200, two=200, positive=50)
    kept = SqlStore(engine_for(asked))
    with kept.write() as unit:
        sums = QualitySums(model="credit", version="v1", cohort=0, segment="eu", counts=counts)
        unit.quality_sums.put_many([sums])
    kept.close()
    _, out, _ = cli("--store", asked, "models", "quality", "credit:v1")
    [segment] = [line for line in out.splitlines() if line.startswith("segment eu")]
    # Wilson, 50 of 200: statsmodels' proportion_confint(50, 200, .05, "wilson")
    assert segment.split()[2:] == ["200", "0", "25.00%", "(19.51%", "to", "31.43%)"]


def test_nothing_was_answered(cli: Cli, home: str) -> None:
    code, out, _ = cli("--store", home, "models", "quality", "credit:v2")
    assert (code, out.startswith("credit:v2 has answered nothing")) == (0, True)


def test_drift_for_people(cli: Cli, asked: str) -> None:
    code, out, err = cli("--store", asked, "models", "drift", "credit@champion")
    assert (code, err) == (0, "")
    head, columns, first, *_ = out.splitlines()
    assert head.startswith("credit:v1: 300 rows within 7 days, against its first 1,000 rows (")
    assert columns.split() == ["feature", "index", "by", "chance", "moved", "most"]
    assert re.match(r"x0  +[1-9]\S+  +0\.0\d+  +>= \S+: 10\.00% then, \d\d\.\d\d% now", first)


def test_drift_for_programs(told: Any, asked: str) -> None:
    found = told("--store", asked, "models", "drift", "credit:v1", "--days", 1)
    assert found["features"]["x0"]["index"] > 1
    assert found["features"]["x1"]["index"] < 0.2


def test_nothing_is_known(cli: Cli, home: str) -> None:
    code, out, _ = cli("--store", home, "models", "drift", "credit:v2")
    assert (code, out.startswith("nothing is known of credit:v2 yet")) == (0, True)


def test_what_is_refused(cli: Cli, home: str) -> None:
    code, _, err = cli("--store", home, "models", "drift", "credit:v1", "--days", 91)
    assert (code, err) == (2, "error: days is 91; take 1 to 90, for no more are kept\n")
    code, _, err = cli("--store", home, "models", "quality", "credit:v1", "--cohort-days", 0)
    assert code == 2
    assert "cohort-days" in err
