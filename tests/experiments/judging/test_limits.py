"""Hard limits: stop-losses, drawdowns, error rates, shares compared exactly."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from palio import bandits
from palio.bandits.stop_loss import LEAST_REWARDS
from palio.errors import InvalidInput
from palio.experiments.designs.design import Metrics, Stopping, Type, Variant
from palio.experiments.designs.metrics import Direction, Metric, Source
from palio.experiments.designs.risk import Criteria, StopLoss
from palio.experiments.domain import Experiment
from palio.experiments.events import OutcomeDraft
from palio.experiments.folding.statistics import Falls
from palio.experiments.judging.analysis import Decision, DecisionKind, Statistics, Verdict
from palio.experiments.judging.decision import report_of
from palio.experiments.judging.limits import DRAWDOWN, ERROR_RATE, STOP_LOSS, hits_of
from palio.stats import Moments, rate_sequence
from palio.testing.records import design, prediction
from palio.testing.wired import Wired

from .test_decision import START, THREE, crossing, decided, experiment, statistics

EVEN = tuple(replace(one, weight=1 / 3) for one in THREE)
GAIN, COST = Metrics("gain:higher"), Metrics("cost:lower")


def gains(control: float, *challengers: float, n: int = 1_000, name: str = "gain") -> Statistics:
    """Return arms whose values have these means and a deviation of 1."""
    keys = ["challenger"] if len(challengers) == 1 else ["a", "b"]
    arms = {"control": {name: (n, control, 1.0)}}
    arms |= {key: {name: (n, mean, 1.0)} for key, mean in zip(keys, challengers, strict=True)}
    return statistics(arms)


def limited(metrics: Metrics = GAIN, **fields: Any) -> Experiment:
    name = metrics.goal.partition(":")[0]
    loss = StopLoss(metric=name, **(fields.pop("loss", None) or {"threshold": 0.0}))
    quiet = {"stopping": Stopping(horizon=10**9, min_sample=10**6)}
    return experiment(metrics=metrics, stop_loss=loss, **{**quiet, **fields})


# -- the mean


def test_the_threshold_is_that_of_the_stop_loss() -> None:
    """The bound is palio.bandits.StopLoss's, which its own tests hold against simulations."""
    upper = bandits.StopLoss(0.0).upper(Moments(1_000, -0.2, 1.0))
    for threshold, hit in ((upper + 1e-9, True), (upper - 1e-9, False)):
        one = limited(loss={"threshold": threshold})
        assert bool(hits_of(one, gains(0.5, -0.2))) == hit


@pytest.mark.parametrize(("metrics", "bad"), [(GAIN, -0.5), (COST, 0.5)])
def test_a_loss_is_on_the_metric_s_wrong_side(metrics: Metrics, bad: float) -> None:
    name = metrics.goal.partition(":")[0]
    lost = decided(limited(metrics), gains(0.0, bad, name=name, n=60))
    assert lost.kind is DecisionKind.ROLLBACK
    side = "below" if bad < 0 else "above"
    assert lost.reasons == (
        f"mean {name} of challenger is shown to be {side} 0: {bad:g} over 60 units",
    )
    assert decided(limited(metrics), gains(0.0, -bad, name=name)).kind is not lost.kind


def test_below_thirty_units_nothing_is_shown() -> None:
    n = LEAST_REWARDS
    assert hits_of(limited(), gains(0.0, -5.0, n=n - 1)) == []
    assert [hit.limit for hit in hits_of(limited(), gains(0.0, -5.0, n=n))] == [STOP_LOSS]


def test_a_control_that_loses_is_told_and_not_rolled_back_to() -> None:
    found = decided(limited(), gains(-0.5, 0.0))
    assert (found.kind, found.variant) == (DecisionKind.KEEP_RUNNING, None)
    assert "mean gain of control is shown to be below 0" in found.reasons[-1]
    assert "rolling back would not end it" in found.reasons[-1]
    old = limited(stopping=Stopping(horizon=None, min_sample=10**6, max_duration_s=1))
    ended = decided(old, gains(-0.5, 0.0))
    assert ended.kind is DecisionKind.INCONCLUSIVE
    assert "control" in ended.reasons[-1]


def test_where_both_lose_the_challenger_is_rolled_back() -> None:
    found = decided(limited(), gains(-0.5, -0.5))
    assert found.kind is DecisionKind.ROLLBACK
    assert [("of challenger" in said, "control" in said) for said in found.reasons] == [
        (True, False),
        (False, True),
    ]


# -- several challengers


def test_one_of_several_losers_is_named_where_weights_may_move() -> None:
    one = limited(variants=EVEN, unit="request")
    found = decided(one, gains(0.0, -0.5, 0.0))
    assert (found.kind, found.variant) == (DecisionKind.KEEP_RUNNING, "a")
    assert found.reasons[-1].endswith("give a no weight any more")
    retired = replace(one, published={"control": 0.5, "a": 0.0, "b": 0.5})
    assert decided(retired, gains(0.0, -0.5, 0.0)).variant is None
    assert decided(one, gains(0.0, -0.5, -0.5)).kind is DecisionKind.ROLLBACK


def test_where_weights_cannot_move_one_loser_is_a_rollback() -> None:
    found = decided(limited(variants=EVEN), gains(0.0, -0.5, 0.0))
    assert found.kind is DecisionKind.ROLLBACK
    assert [said.split(" is ")[0] for said in found.reasons] == ["mean gain of a"]


def test_who_has_hit_a_limit_is_not_shipped() -> None:
    stopping = Stopping(horizon=10**5, min_sample=100)
    one = limited(variants=EVEN, unit="request", stopping=stopping)
    assert decided(one, gains(-1.5, -0.5, -0.7)).kind is DecisionKind.ROLLBACK
    found = decided(one, gains(-1.5, -0.5, 0.3))
    assert (found.kind, found.variant) == (DecisionKind.SHIP, "b")


def test_an_aa_is_never_rolled_back() -> None:
    same = (Variant("control", "1", 0.5), Variant("challenger", "1", 0.5))
    found = decided(limited(type=Type.AA, variants=same), gains(-0.5, -0.5))
    assert found.kind is DecisionKind.KEEP_RUNNING
    assert sum("rolling back would not end it" in said for said in found.reasons) == 2


# -- falls


@pytest.mark.parametrize(
    ("name", "steps", "hit"),
    [
        ("gain:higher", [3.0, -1.0, -1.5], True),  # from 3 to 0.5
        ("gain:higher", [-1.0, 3.0, -1.0], False),
        ("cost:lower", [3.0, -1.0, -1.5], True),  # the first value alone is a rise of 3
        ("cost:lower", [-3.0, 1.0, 1.5], True),
        ("cost:lower", [-3.0, 1.0, -1.5], False),
    ],
)
def test_a_fall_from_the_top(wired: Wired, name: str, steps: list[float], hit: bool) -> None:
    """The falls are those of palio.bandits.Drawdown over the values, larger better."""
    wired.serve("1", "2")
    loss = StopLoss(metric=name.partition(":")[0], max_drawdown=2.0)
    wired.run(design(metrics=Metrics(name), stop_loss=loss))
    given = {"experiment": "exp", "variant": "challenger", "epoch": 1}
    served = [prediction(f"r{k}", **given) for k in range(len(steps))]
    with wired.store.write() as unit:
        unit.log.append(served)
    for k, value in enumerate(steps):
        wired.outcomes.record([OutcomeDraft(request_id=f"r{k}", name=loss.metric, value=value)])
    report = wired.experiments.analyze("exp")
    assert (report.decision.kind is DecisionKind.ROLLBACK) == hit
    sign = 1 if name.endswith("higher") else -1
    assert bandits.Drawdown.of([sign * step for step in steps]).exceeds(2.0) == hit
    assert wired.experiments.verify("exp").differences == ()
    with wired.store.read() as unit:
        kept = [one.metric for one in unit.crossings.find(experiment="exp")]
    assert (DRAWDOWN in kept) == hit


def test_a_fall_is_told_with_its_size() -> None:
    seen = replace(
        gains(0.0, 0.0), falls=[Falls(experiment="exp", variant="challenger", deepest=2.5)]
    )
    found = decided(limited(loss={"max_drawdown": 2.0}), seen)
    assert found.reasons == ("the sum of gain in challenger fell by 2.5, more than 2",)


# -- error rates


def failing(errors: int, requests: int, *, of: str = "challenger") -> Statistics:
    seen = gains(0.0, 0.0, n=10)
    counts = [
        replace(row, errors=errors, requests=requests) if row.variant == of else row
        for row in seen.counts
    ]
    return replace(seen, counts=counts)


def test_an_error_rate_is_shown_by_the_exact_bound() -> None:
    one = experiment(metrics=GAIN, criteria=Criteria(max_error_rate=0.1))
    least = next(k for k in range(21) if rate_sequence(k, 20, alpha=0.05)[0] > 0.1)
    assert decided(one, failing(least - 1, 20)).kind is DecisionKind.KEEP_RUNNING
    found = decided(one, failing(least, 20))
    assert found.kind is DecisionKind.ROLLBACK
    assert found.reasons == (
        f"the error rate of challenger is shown to be above 0.1: {least} of 20 requests failed",
    )
    assert decided(one, failing(20, 20, of="control")).kind is DecisionKind.KEEP_RUNNING


# -- shares


def shares(n: int, control: float, challenger: float, name: str = "error") -> Statistics:
    return statistics(
        {
            key: {"brier": (n, 0.2, 0.1), name: (n, mean, (mean * (1 - mean)) ** 0.5)}
            for key, mean in (("control", control), ("challenger", challenger))
        }
    )


def test_a_share_is_compared_without_any_minimum() -> None:
    """At half of 5 % each, ten of ten failures and none of ten lie apart (`rate_sequence`)."""
    one = experiment()
    report, fresh = report_of(one, shares(10, 0.0, 1.0), START)
    assert rate_sequence(10, 10, alpha=0.025)[0] > rate_sequence(0, 10, alpha=0.025)[1]
    assert report.decision.reasons == ("guardrail error is harmed in challenger",)
    [row] = [one for one in report.contrasts if one.metric == "error"]
    assert row.verdict is Verdict.WORSE
    assert row.note == "harm shown by exact intervals: 1 of 10 units against 0 of 10"
    assert [(one.metric, one.verdict) for one in fresh] == [("error", Verdict.WORSE)]
    assert decided(one, shares(3, 0.0, 1.0)).kind is DecisionKind.KEEP_RUNNING
    assert decided(one, shares(10, 1.0, 0.0)).kind is DecisionKind.KEEP_RUNNING


def test_of_a_share_where_higher_is_better() -> None:
    one = experiment(metrics=Metrics("brier", (), ("accuracy",)))
    assert decided(one, shares(30, 1.0, 0.3, "accuracy")).kind is DecisionKind.ROLLBACK
    assert decided(one, shares(30, 0.3, 1.0, "accuracy")).kind is DecisionKind.KEEP_RUNNING


def test_the_margin_is_borne() -> None:
    def of(margin: float) -> DecisionKind:
        metric = Metric("accuracy", Direction.HIGHER, Source.SCORING, margin=margin)
        one = experiment(metrics=Metrics("brier", (), ("accuracy",), (metric,)))
        return decided(one, shares(90, 0.95, 0.6, "accuracy")).kind

    assert of(0.0) is DecisionKind.ROLLBACK
    assert of(0.3) is DecisionKind.KEEP_RUNNING


def test_what_is_no_share_waits_for_its_minimum() -> None:
    one = experiment(metrics=Metrics("brier", (), ("complaints:lower",)))
    assert decided(one, shares(10, 0.0, 1.0, "complaints")).kind is DecisionKind.KEEP_RUNNING
    metric = Metric("complaints", Direction.LOWER, limits=(0.0, 1.0))
    one = experiment(metrics=Metrics("brier", (), ("complaints",), (metric,)))
    assert decided(one, shares(10, 0.0, 1.0, "complaints")).kind is DecisionKind.ROLLBACK


# -- criteria


def won(one: Experiment, **counts: int) -> Decision:
    """Return what is decided where the challenger has won by 10 % with these counts."""
    arms = {
        key: {"brier": (1_000, mean, 0.01), "latency_ms": (1_000, 20.0, 5.0)}
        for key, mean in (("control", 0.2), ("challenger", 0.18))
    }
    seen = statistics(arms)
    rows = [replace(row, **{"requests": 1_000, "errors": 10} | counts) for row in seen.counts]
    return decided(one, replace(seen, counts=rows))


MEASURED = Metrics("brier", ("latency_ms",))


@pytest.mark.parametrize(
    ("criteria", "lack"),
    [
        (Criteria(), None),
        (Criteria(min_requests=1_000, max_error_rate=0.01), None),
        (Criteria(max_latency_ms=20.0, min_improvement=0.09), None),
        (Criteria(min_requests=1_001), "it has 1000 of at least 1001 requests"),
        (Criteria(max_error_rate=0.009), "its error rate is 0.01, and at most 0.009 is borne"),
        (
            Criteria(max_latency_ms=19.0),
            "its mean latency in ms is 20, and at most 19 is borne",
        ),
        (
            Criteria(min_improvement=0.11),
            "its improvement is 10.00%, and at least 11.00% is asked for",
        ),
    ],
)
def test_a_winner_must_fulfil_the_criteria(criteria: Criteria, lack: str | None) -> None:
    found = won(experiment(metrics=MEASURED, criteria=criteria))
    if lack is None:
        assert found.kind is DecisionKind.SHIP
        assert ("all criteria are fulfilled" in found.reasons) == (criteria != Criteria())
    else:
        assert found.kind is DecisionKind.KEEP_RUNNING
        assert found.reasons == (f"challenger has won, but {lack}",)


def test_a_winner_that_lacks_something_is_told_at_the_end() -> None:
    stopping = Stopping(horizon=2_000, min_sample=100)
    criteria = Criteria(min_requests=1_001)
    found = won(experiment(metrics=MEASURED, criteria=criteria, stopping=stopping))
    assert found.kind is DecisionKind.INCONCLUSIVE
    assert found.reasons[-1] == "challenger has won, but it has 1000 of at least 1001 requests"


def test_what_nobody_has_seen_is_not_fulfilled() -> None:
    one = experiment(metrics=MEASURED, criteria=Criteria(max_error_rate=0.5))
    assert won(one, requests=0, errors=0).reasons == (
        "challenger has won, but its error rate is not known, and at most 0.5 is borne",
    )


def test_a_latency_that_is_not_measured_is_refused() -> None:
    with pytest.raises(InvalidInput, match="does not measure latency_ms; name it"):
        design(criteria=Criteria(max_latency_ms=20.0))


def test_the_best_of_those_that_fulfil_them() -> None:
    one = experiment(
        variants=THREE, metrics=Metrics("brier"), criteria=Criteria(max_error_rate=0.1)
    )
    seen = statistics(
        {
            "control": {"brier": (1_200, 0.3, 0.1)},
            "a": {"brier": (900, 0.1, 0.1)},
            "b": {"brier": (900, 0.2, 0.1)},
        }
    )
    rows = [
        replace(row, requests=100, errors=12 if row.variant == "a" else 0) for row in seen.counts
    ]
    found = decided(one, replace(seen, counts=rows))
    assert (found.kind, found.variant) == (DecisionKind.SHIP, "b")


# -- kept


@pytest.mark.parametrize("limit", [STOP_LOSS, DRAWDOWN, ERROR_RATE])
def test_a_limit_once_hit_is_kept(limit: str) -> None:
    known = [crossing(Verdict.WORSE, limit)]
    found = decided(experiment(metrics=GAIN), gains(0.0, 0.0), known=known)
    assert found.kind is DecisionKind.ROLLBACK
    assert found.reasons == (f"challenger hit the {limit.removeprefix('limit:')} at event 3",)


def test_a_limit_is_kept_by_the_look_that_sees_it() -> None:
    later = START + timedelta(seconds=5)
    _, fresh = report_of(limited(), gains(-0.5, -0.5), later)
    assert [(one.metric, one.variant, one.at) for one in fresh if one.metric == STOP_LOSS] == [
        (STOP_LOSS, "control", later),
        (STOP_LOSS, "challenger", later),
    ]
