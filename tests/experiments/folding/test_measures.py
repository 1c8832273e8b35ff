"""What a unit's numbers are, counted by hand, and what they come to in an analysis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from palio.experiments.designs.covariates import Covariate, Segment
from palio.experiments.designs.design import ExperimentDraft, Metrics, Stopping, Type, Variant
from palio.experiments.designs.policy import Policy, PolicyKind
from palio.experiments.events import OutcomeDraft, Scored
from palio.experiments.folding.measures import Measures
from palio.experiments.folding.statistics import UnitValues
from palio.experiments.judging.analysis import Contrast, Report, Verdict
from palio.experiments.weights.published import Published
from palio.stats import (
    JointMoments,
    LogHistogram,
    ReturnMoments,
    compare,
    pooled_cuped,
    post_stratify,
    quantile_moments,
    ratio,
    sharpe_moments,
)
from palio.testing.memory import MemoryStore
from palio.testing.records import design, exposure, outcome, prediction
from palio.testing.wired import Wired

UNITS = 400
LOOSE = Stopping(horizon=4_000, min_sample=100)


class World:
    """Units that were given a variant, and what they did: one number each, or several."""

    def __init__(self, draft: ExperimentDraft) -> None:
        self.wired = Wired(MemoryStore())
        self.wired.serve("1", "2")
        self.experiment = self.wired.run(draft)
        self.units = [f"u{number}" for number in range(UNITS)]
        split = self.experiment.split()
        self.variant = np.array([split.assign(unit) for unit in self.units])

    def expose(self, **fields: Sequence[Any]) -> None:
        """Give every unit its variant; fields are lists by unit."""
        events = [
            exposure(
                unit,
                at=self.wired.clock(),
                variant=str(variant),
                **{name: values[place] for name, values in fields.items()},
            )
            for place, (unit, variant) in enumerate(zip(self.units, self.variant, strict=True))
        ]
        with self.wired.store.write() as unit:
            unit.log.append(events)

    def tell(self, name: str, values: NDArray[np.float64], *, seconds: float = 60) -> None:
        """Tell one outcome a unit, so many seconds from now."""
        at = self.wired.clock() + timedelta(seconds=seconds)
        self.wired.outcomes.record(
            [
                OutcomeDraft(unit=unit, name=name, value=float(value), at=at)
                for unit, value in zip(self.units, values, strict=True)
            ]
        )

    def arms(self, values: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        return values[self.variant == "control"], values[self.variant == "challenger"]

    def report(self) -> Report:
        assert self.wired.experiments.verify("exp").differences == ()
        return self.wired.experiments.analyze("exp")

    def contrast(self, metric: str) -> Contrast:
        return next(row for row in self.report().contrasts if row.metric == metric)


def world(*metrics: str, **fields: Any) -> World:
    return World(design(metrics=Metrics(metrics[0], metrics[1:]), stopping=LOOSE, **fields))


def numbers(seed: int, *, mean: float = 5.0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(mean, 1.0, UNITS)


def test_a_ratio_is_of_sums_and_not_a_mean_of_ratios() -> None:
    one = world("revenue/visits:higher")
    one.expose()
    revenue, visits = numbers(1), np.random.default_rng(2).poisson(3, UNITS) + 1.0
    one.tell("revenue", revenue)
    one.tell("visits", visits)
    control, treated = (
        ratio(JointMoments.of(top, bottom))
        for top, bottom in zip(one.arms(revenue), one.arms(visits), strict=True)
    )
    found = one.contrast("revenue/visits")
    assert found.effect == pytest.approx(treated.mean - control.mean)
    expected = compare(control, treated, alpha=0.05, horizon=4_000)
    assert found.lower == pytest.approx(expected.lower)
    [arm, _] = one.report().arms
    tops, bottoms = one.arms(revenue)[0], one.arms(visits)[0]
    assert arm.metrics["revenue/visits"].mean == pytest.approx(tops.sum() / bottoms.sum())


def test_a_unit_without_a_denominator_has_no_ratio() -> None:
    measures = Measures.of(design(metrics=Metrics("revenue/visits:higher")))
    row = UnitValues(experiment="exp", epoch=1, unit="u", variant="control")
    kept = {"revenue/visits:numerator": (2, 7.0)}
    assert list(measures.numbers(replace(row, values=kept))) == []
    kept |= {"revenue/visits:denominator": (3, 4.0)}
    [(variant, _, pair)] = measures.numbers(replace(row, values=kept))
    assert (variant, pair) == ("control", (7.0, 4.0))


def test_a_quantile_is_over_units() -> None:
    one = world("p50(revenue):higher")
    one.expose()
    revenue = np.exp(numbers(3, mean=1.0))
    one.tell("revenue", revenue)
    control, treated = (
        quantile_moments(LogHistogram.of(arm, accuracy=0.001), 0.5) for arm in one.arms(revenue)
    )
    found = one.contrast("p50(revenue)")
    assert found.effect == pytest.approx(treated.mean - control.mean)
    middle = np.median(one.arms(revenue)[0])
    assert one.report().arms[0].metrics["p50(revenue)"].mean == pytest.approx(middle, rel=0.02)


def test_a_sharpe_ratio_and_a_win_rate_of_returns() -> None:
    one = world("sharpe(return):higher", "win_rate(return):higher")
    one.expose()
    returns = numbers(4, mean=0.1) * 0.02
    one.tell("return", returns)
    control, treated = (sharpe_moments(ReturnMoments.of(arm)) for arm in one.arms(returns))
    found = one.contrast("sharpe(return)")
    assert found.effect == pytest.approx(treated.mean - control.mean, rel=1e-9)
    wins = [float((arm > 0).mean()) for arm in one.arms(returns)]
    assert one.contrast("win_rate(return)").effect == pytest.approx(wins[1] - wins[0])
    arm = one.arms(returns)[0]
    assert one.report().arms[0].metrics["sharpe(return)"].mean == pytest.approx(
        fmean(arm) / stdev(arm)
    )


def test_a_units_own_history_is_taken_out_and_is_no_value() -> None:
    one = world("revenue:higher", covariates=(Covariate(name="revenue"),))
    before = numbers(5)
    one.tell("revenue", before, seconds=-60)
    one.expose()
    after = before + 0.1 * numbers(6)
    one.tell("revenue", after)
    arms = [
        JointMoments.of(*columns, np.ones(columns[0].size))
        for columns in zip(one.arms(after), one.arms(before), strict=True)
    ]
    control, treated = pooled_cuped(arms)
    report = one.report()
    assert report.contrasts[0].effect == pytest.approx(treated.mean - control.mean)
    [plain] = report.unadjusted
    assert plain.effect == pytest.approx(one.arms(after)[1].mean() - one.arms(after)[0].mean())
    assert plain.lower is not None
    assert report.contrasts[0].lower is not None
    assert (plain.upper or 0) - plain.lower > 3 * (
        (report.contrasts[0].upper or 0) - report.contrasts[0].lower
    )


def test_segments_are_compared_apart_at_their_share_of_alpha() -> None:
    one = world("revenue:higher", segments=(Segment("country", ("FR", "DE")),))
    countries = ["country=FR", "country=other"] * (UNITS // 2)
    one.expose(segments=[(country,) for country in countries])
    revenue = numbers(7)
    one.tell("revenue", revenue)
    found = one.report().by_segment
    assert set(found) == {"country=FR", "country=other"}
    french = np.array(countries) == "country=FR"
    arms = [revenue[french & (one.variant == key)] for key in ("control", "challenger")]
    [row] = found["country=FR"]
    assert row.effect == pytest.approx(arms[1].mean() - arms[0].mean())
    assert row.alpha == pytest.approx(0.05 / 3)  # FR, DE and other


def test_epochs_are_compared_within_and_put_together() -> None:
    """Merged, the challenger would seem to win: it came late, when everybody earned more."""
    one = world("revenue:higher", sticky=True)
    revenue = np.where(np.arange(UNITS) < UNITS // 2, 1.0, 9.0) + 0.1 * numbers(8)
    rng = np.random.default_rng(9)
    late = np.arange(UNITS) >= UNITS // 2
    one.variant = np.where(rng.random(UNITS) < np.where(late, 0.8, 0.2), "challenger", "control")
    with one.wired.store.write() as unit:  # as a person who moves weights does
        unit.experiments.put_many([replace(one.experiment, epoch=2, policy_version=1)])
    one.expose(epoch=[1 + int(place) for place in late])
    one.tell("revenue", revenue)
    both = post_stratify(
        [
            tuple(
                JointMoments.of(revenue[(late == when) & (one.variant == key)]).value(0)
                for key in ("control", "challenger")
            )
            for when in (False, True)
        ]  # type: ignore[misc]
    )
    found = one.contrast("revenue")
    assert found.effect == pytest.approx(both.treatment.mean - both.control.mean)
    merged = one.arms(revenue)[1].mean() - one.arms(revenue)[0].mean()
    assert merged > 3 > abs(found.effect or 0.0) * 10


def test_labels_count_once_they_have_matured() -> None:
    one = world("revenue:higher", label_delay_s=600)
    one.expose()
    one.tell("revenue", numbers(10))
    assert one.report().arms[0].metrics["revenue"].n == 0
    one.wired.clock.advance(599)
    assert one.report().arms[0].metrics["revenue"].n == 0
    one.wired.clock.advance(2)
    assert one.report().arms[0].metrics["revenue"].n == int((one.variant == "control").sum())


def test_a_paired_request_gives_the_difference_and_both_scores() -> None:
    draft = design(
        type=Type.PAIRED, label_independent=True, metrics=Metrics("brier"), stopping=LOOSE
    )
    measures = Measures.of(draft)
    served = prediction(
        "r",
        experiment="exp",
        variant="challenger",
        probabilities=[[0.5, 0.5]],
        others=(
            Scored(
                variant="control", version="1", values=[0], probabilities=[[0.75, 0.25]],
                latency_ms=1.0,
            ),
        ),
    )  # fmt: skip
    parts = dict(measures.of_request(served, [outcome("o", request_id="r")], matured=True))
    # the label is 1: squared errors 0.75² of the control, 0.5² of the challenger
    assert parts == {
        "brier@control": [0.5625],
        "brier@challenger": [0.25],
        "brier@challenger-": [-0.3125],
    }
    row = UnitValues(
        experiment="exp", epoch=1, unit="r", variant="challenger",
        values={name: (1, values[0]) for name, values in parts.items()},
    )  # fmt: skip
    assert list(measures.numbers(row)) == [
        ("control", "brier", (0.5625,)),
        ("challenger", "brier", (-0.3125, 0.25)),
    ]


def test_a_failed_score_leaves_the_pair_out() -> None:
    draft = design(
        type=Type.PAIRED, label_independent=True, metrics=Metrics("brier", (), ("error",))
    )
    served = prediction(
        "r",
        experiment="exp",
        variant="control",
        others=(Scored(variant="challenger", version="2", values=[], latency_ms=1, error="boom"),),
    )
    known = [outcome("o", request_id="r")]
    parts = dict(Measures.of(draft).of_request(served, known, matured=True))
    assert set(parts) == {
        *("brier@control", "error@control", "error@challenger", "error@challenger-"),
    }
    assert parts["error@challenger-"] == [1.0]


def test_what_has_no_interval_under_a_policy_is_told_as_observed() -> None:
    one = world(
        *("revenue:higher", "p50(revenue):higher"),
        type=Type.BANDIT,
        sticky=True,
        policy=Policy(kind=PolicyKind.THOMPSON),
        segments=(Segment("country", ("FR",)),),
    )
    one.expose(segments=[("country=FR",)] * UNITS)
    revenue = numbers(11)
    one.tell("revenue", revenue)
    goal, median = one.report().contrasts
    assert goal.lower is not None
    assert (median.lower, median.verdict, median.p_value) == (None, Verdict.UNCLEAR, 1.0)
    assert median.effect is not None
    assert "as observed" in median.note
    assert [row.lower for row in one.report().by_segment["country=FR"]] == [None, None]


def test_a_pair_is_one_unit_of_the_horizon() -> None:
    draft = design(
        type=Type.PAIRED,
        label_independent=True,
        metrics=Metrics("brier"),
        stopping=LOOSE,
        variants=(Variant("control", "1", 1.0), Variant("challenger", "2", 0.0)),
    )
    one = World(draft)
    shadow = Scored(
        variant="challenger", version="2", values=[1], probabilities=[[0.2, 0.8]], latency_ms=1.0
    )
    served = [
        prediction(unit, at=one.wired.clock(), experiment="exp", variant="control", epoch=1,
                   others=(shadow,))
        for unit in one.units
    ]  # fmt: skip
    with one.wired.store.write() as unit:
        unit.log.append(served)
    one.wired.outcomes.record([OutcomeDraft(request_id=unit, value=1) for unit in one.units])
    report = one.report()
    assert report.progress == UNITS / 4_000
    # labels are 1: 0.25² of the control's 0.75, 0.2² of the challenger's 0.8
    assert report.contrasts[0].effect == pytest.approx(0.04 - 0.0625)
    assert report.sample_ratio.mismatch is False


def test_a_unit_that_was_moved_is_no_crossover_and_no_evidence_any_more() -> None:
    one = world(
        "revenue:higher", sticky=True, type=Type.BANDIT, policy=Policy(kind=PolicyKind.UCB)
    )
    given = exposure("u", variant="challenger", at=one.wired.clock())
    later = replace(given, variant="control", policy_version=1)
    with one.wired.store.write() as unit:
        unit.published.put_many(
            [
                Published(
                    experiment="exp", policy_version=1, epoch=1, at=one.wired.clock(), by="test",
                    watermark=0, weights={"control": 1.0, "challenger": 0.0},
                )
            ]
        )  # fmt: skip
        unit.log.append([given, later])
    control, challenger = one.report().arms
    assert (control.units, challenger.units) == (0, 1)
    assert control.crossovers == challenger.crossovers == 0
    with one.wired.store.write() as unit:
        unit.log.append([replace(given, variant="control")])  # under the same weights
    assert one.report().arms[0].crossovers == 1
