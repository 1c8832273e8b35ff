"""Whether units with a value of the goal are split as designed, and who is warned if not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from palio.experiments.designs.design import Metrics, Type, Variant
from palio.experiments.domain import Experiment
from palio.experiments.folding.statistics import MetricSums, VariantCounts
from palio.experiments.judging.analysis import DecisionKind, LabelShare, Statistics
from palio.experiments.judging.decision import report_of
from palio.experiments.judging.label_share import label_share_of
from palio.testing.records import RECORDS, design
from palio.testing.wired import Wired

SPLIT = (Variant("control", "1", 0.8), Variant("challenger", "2", 0.2))


@pytest.fixture
def one(wired: Wired) -> Experiment:
    wired.serve("1", "2")
    return wired.run(design())


def seen(units: dict[str, int], labelled: dict[str, int], effect: float = 0.0) -> Statistics:
    """Return statistics of so many units, and so many with a Brier score of 0.25 or so."""
    sums = [
        MetricSums(
            experiment="exp", epoch=1, variant=key, metric="brier", n=n,
            shift=(0.25 + (effect if key == "challenger" else 0.0),), sums=(0.0,),
            products=(0.01 * n,),
        )
        for key, n in labelled.items()
    ]  # fmt: skip
    counts = [
        VariantCounts(experiment="exp", epoch=1, variant=key, units=n) for key, n in units.items()
    ]
    return Statistics(7, sums, counts)


def share(one: Experiment, control: int, challenger: int, of: int = 10_000) -> LabelShare:
    units = {"control": of, "challenger": of}
    found = label_share_of(one, seen(units, {"control": control, "challenger": challenger}))
    assert found is not None
    return found


def test_equal_shares_are_as_designed(one: Experiment) -> None:
    found = share(one, 8_000, 8_020)
    assert (found.differs, found.reason) == (False, "")
    assert found.shares == {"control": 0.8, "challenger": 0.802}


def test_a_difference_is_told_in_words(one: Experiment) -> None:
    found = share(one, 9_000, 8_000)
    assert found.differs
    assert found.p_value < 1e-6
    assert "units with brier are not split as designed" in found.reason
    assert "90.0% of control, 80.0% of challenger have a value" in found.reason


def test_it_decides_nothing_and_warns_who_ships(one: Experiment, wired: Wired) -> None:
    units = {"control": 10_000, "challenger": 10_000}
    now = wired.clock.now + timedelta(days=1)
    kinds = []
    for challenger in (9_000, 8_000):
        labelled = {"control": 9_000, "challenger": challenger}
        report, _ = report_of(one, seen(units, labelled, effect=-0.1), now)
        kinds.append(report.decision.kind)
    assert kinds == [DecisionKind.SHIP, DecisionKind.SHIP]
    assert report.label_share is not None
    assert report.decision.reasons[-1] == f"warning: {report.label_share.reason}"
    assert not report.sample_ratio.mismatch


def test_a_goal_that_waits_for_nothing_has_no_share(wired: Wired) -> None:
    wired.serve("1", "2")
    one = wired.run(design(metrics=Metrics("latency_ms")))
    assert label_share_of(one, seen({"control": 1}, {"control": 1})) is None


@pytest.mark.parametrize("variants", [design().variants, SPLIT])
def test_looking_all_the_time_keeps_the_error_rate(wired: Wired, variants: Any) -> None:
    """2,000 experiments without a difference, 40 looks each: alarms in 1 of 1,000 at most.

    More than 7 would be rarer than 0.002 (``scipy.stats.binom.sf(7, 2000, 0.001)`` = 0.0011).
    """
    wired.serve("1", "2")
    one = wired.run(design(variants=variants))
    chance, alarms = np.random.default_rng(11), 0
    for _ in range(2_000):
        looks = chance.binomial(100, variants[0].weight, 40).cumsum()
        alarms += any(
            share(one, int(n), 100 * (at + 1) - int(n)).differs for at, n in enumerate(looks)
        )
    assert alarms <= 7


def test_an_old_report_keeps_its_digest() -> None:
    """The digest is the one that commit abf0628 gave the same report."""
    [kept, _] = RECORDS["records"]
    old = "4af3a2df33074689d32c3243779977b981f2b8d97f3fb700517fe2c48cf678c0"
    assert kept.report.digest == old
    with_more = replace(kept.report, label_share=LabelShare(1.0, differs=False, shares={}))
    assert with_more.digest != old


def test_a_label_of_a_pair_is_one_of_all_variants(wired: Wired) -> None:
    wired.serve("1", "2")
    weights = (Variant("control", "1", 1.0), Variant("challenger", "2", 0.0))
    paired = design(type=Type.PAIRED, variants=weights, label_independent=True)
    seen_by_both = seen({"control": 500, "challenger": 0}, {"control": 500, "challenger": 500})
    assert label_share_of(wired.run(paired), seen_by_both) is None
