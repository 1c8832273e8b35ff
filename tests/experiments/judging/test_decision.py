"""The decision: a table of what was seen and what follows, in the order of the design."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palio.experiments.designs.design import Metrics, Stopping, Type, Variant
from palio.experiments.designs.metrics import Direction, Metric, Source
from palio.experiments.domain import Experiment, State
from palio.experiments.folding.statistics import MetricSums, VariantCounts
from palio.experiments.judging.analysis import (
    Crossing,
    Decision,
    DecisionKind,
    MetricRole,
    Statistics,
    Verdict,
)
from palio.experiments.judging.decision import SAMPLE_RATIO, report_of
from palio.experiments.judging.limits import ERROR_RATE, STOP_LOSS
from palio.testing.records import design

START = datetime(2026, 1, 1, tzinfo=UTC)
THREE = (Variant("control", "1", 0.4), Variant("a", "2", 0.3), Variant("b", "3", 0.3))
GUARDED = Metrics("brier", ("accuracy",), ("error",))
Arm = tuple[int, float, float]  # units, mean, standard deviation


def experiment(**fields: Any) -> Experiment:
    return Experiment(
        key="exp",
        design=design(**{"metrics": GUARDED, **fields}),
        model="credit",
        salt="s",
        state=State.RUNNING,
        created_at=START,
        created_by="ann",
        started_at=START,
    )


def statistics(arms: dict[str, dict[str, Arm]], crossovers: int = 0) -> Statistics:
    """Return sums that have the units, means and standard deviations given, by variant."""
    sums = [
        MetricSums(
            experiment="exp",
            epoch=1,
            variant=variant,
            metric=metric,
            n=n,
            shift=(mean,),
            sums=(0.0,),
            products=(sd**2 * (n - 1),),
        )
        for variant, metrics in arms.items()
        for metric, (n, mean, sd) in metrics.items()
    ]
    counts = [
        VariantCounts(
            experiment="exp",
            epoch=1,
            variant=variant,
            units=max(arm[0] for arm in metrics.values()),
            crossovers=crossovers,
        )
        for variant, metrics in arms.items()
    ]
    return Statistics(7, sums, counts)


def two(n: int, effect: float = 0.0, harm: float = 0.0, other_n: int | None = None) -> Statistics:
    """Return two arms: the challenger's Brier score and error rate differ by so much."""
    other = n if other_n is None else other_n
    return statistics(
        {
            "control": {"brier": (n, 0.2, 0.1), "error": (n, 0.05, 0.2)},
            "challenger": {
                "brier": (other, 0.2 + effect, 0.1),
                "error": (other, 0.05 + harm, 0.2),
            },
        }
    )


def decided(
    one: Experiment, seen: Statistics, *, age_s: float = 60.0, known: list[Crossing] | None = None
) -> Decision:
    report, _ = report_of(one, seen, START + timedelta(seconds=age_s), known=known or [])
    assert report.watermark == 7
    return report.decision


# name: statistics, the decision, and what its reasons say in order
TABLE: dict[str, tuple[Experiment, Statistics, DecisionKind, list[str]]] = {
    "nothing yet": (
        experiment(),
        Statistics(7, [], []),
        DecisionKind.KEEP_RUNNING,
        ["0 of at least 100 units with brier", "no difference on brier is shown yet"],
    ),
    "too few": (
        experiment(),
        two(50, -0.1),
        DecisionKind.KEEP_RUNNING,
        ["50 of at least 100 units", "no difference"],
    ),
    "nothing shown": (experiment(), two(500), DecisionKind.KEEP_RUNNING, ["no difference"]),
    "won": (
        experiment(),
        two(1_000, -0.1),
        DecisionKind.SHIP,
        [
            "challenger is better than control on brier: -0.1, interval",
            "no harm shown on error",
            "1000 units in the smallest variant",
        ],
    ),
    "won and harmed": (
        experiment(),
        two(1_000, -0.1, 0.2),
        DecisionKind.ROLLBACK,
        ["guardrail error is harmed in challenger"],
    ),
    "lost": (
        experiment(),
        two(1_000, 0.1),
        DecisionKind.ROLLBACK,
        ["challenger is worse than control on brier"],
    ),
    "lost and harmed": (
        experiment(),
        two(1_000, 0.1, 0.2),
        DecisionKind.ROLLBACK,
        ["guardrail error is harmed", "challenger is worse"],
    ),
    "harmed before the minimum": (
        experiment(stopping=Stopping(min_sample=10_000)),
        two(2_000, 0, 0.3),
        DecisionKind.ROLLBACK,
        ["guardrail error"],
    ),
    "won on a broken split": (
        experiment(),
        two(1_000, -0.1, other_n=1_800),
        DecisionKind.INVALID,
        ["units are not split as designed (sample ratio mismatch, p ="],
    ),
    "lost on a broken split": (
        experiment(),
        two(1_000, 0.1, other_n=1_800),
        DecisionKind.ROLLBACK,
        ["challenger is worse"],
    ),
    "won at the horizon": (experiment(), two(2_000, -0.1), DecisionKind.SHIP, ["challenger is"]),
    "horizon": (
        experiment(),
        two(2_000),
        DecisionKind.INCONCLUSIVE,
        ["the horizon of 4000 units is reached without a winner"],
    ),
    "won before the minimum": (
        experiment(stopping=Stopping(horizon=4_000, min_sample=1_001)),
        two(1_000, -0.1),
        DecisionKind.KEEP_RUNNING,
        ["1000 of at least 1001 units with brier in the smallest variant"],
    ),
    "won too soon": (
        experiment(stopping=Stopping(horizon=4_000, min_sample=100, min_duration_s=61)),
        two(1_000, -0.1),
        DecisionKind.KEEP_RUNNING,
        ["60 of at least 61 s have passed"],
    ),
    "too old": (
        experiment(stopping=Stopping(horizon=None, min_sample=100, max_duration_s=60)),
        two(500),
        DecisionKind.INCONCLUSIVE,
        ["the maximum duration of 60 s is reached"],
    ),
    "too old but won": (
        experiment(stopping=Stopping(horizon=4_000, min_sample=100, max_duration_s=60)),
        two(1_000, -0.1),
        DecisionKind.SHIP,
        ["challenger is better"],
    ),
    "won by an arm of weight 0": (
        experiment(variants=(Variant("control", "1", 1.0), Variant("challenger", "2", 0.0))),
        two(1_000, other_n=0),
        DecisionKind.KEEP_RUNNING,
        ["no difference"],
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_table(name: str) -> None:
    one, seen, kind, reasons = TABLE[name]
    decision = decided(one, seen)
    assert decision.kind is kind, decision
    for said, expected in zip(decision.reasons, reasons, strict=False):
        assert said.startswith(expected)
    assert len(decision.reasons) >= len(reasons)
    assert decision.variant == ("challenger" if kind is DecisionKind.SHIP else None)


def test_crossovers_make_it_invalid() -> None:
    seen = two(1_000, -0.1)
    counts = [replace(row, crossovers=2) for row in seen.counts]
    decision = decided(experiment(), replace(seen, counts=counts))
    assert decision.kind is DecisionKind.INVALID
    assert "4 requests came from units that had been given another variant" in decision.reasons


def three_arms(a: float, b: float) -> Statistics:
    return statistics(
        {
            "control": {"brier": (1_200, 0.3, 0.1)},
            "a": {"brier": (900, 0.3 + a, 0.1)},
            "b": {"brier": (900, 0.3 + b, 0.1)},
        }
    )


@pytest.mark.parametrize(
    ("a", "b", "kind", "variant"),
    [
        (-0.1, -0.2, DecisionKind.SHIP, "b"),
        (-0.2, -0.1, DecisionKind.SHIP, "a"),
        (-0.2, 0.2, DecisionKind.SHIP, "a"),
        (0.2, 0.2, DecisionKind.ROLLBACK, None),
        (0.0, 0.2, DecisionKind.KEEP_RUNNING, None),
    ],
)
def test_of_several_winners_the_best(a: float, b: float, kind: Any, variant: str | None) -> None:
    one = experiment(variants=THREE, metrics=Metrics("brier"))
    decision = decided(one, three_arms(a, b))
    assert (decision.kind, decision.variant) == (kind, variant)


def test_where_higher_is_better() -> None:
    one = experiment(metrics=Metrics("accuracy"))
    arms = {"control": {"accuracy": (900, 0.5, 0.1)}, "challenger": {"accuracy": (900, 0.7, 0.1)}}
    assert decided(one, statistics(arms)).kind is DecisionKind.SHIP
    arms["challenger"]["accuracy"] = (900, 0.3, 0.1)
    assert decided(one, statistics(arms)).kind is DecisionKind.ROLLBACK


def test_a_guardrail_may_lose_its_margin() -> None:
    latency = Metric("latency_ms", Direction.LOWER, Source.PREDICTION, margin=0.2)
    one = experiment(metrics=Metrics("brier", (), ("latency_ms",), (latency,)))

    def slower(ms: float) -> DecisionKind:
        arms = {
            "control": {"brier": (900, 0.2, 0.1), "latency_ms": (900, 100.0, 10.0)},
            "challenger": {"brier": (900, 0.2, 0.1), "latency_ms": (900, 100.0 + ms, 10.0)},
        }
        return decided(one, statistics(arms)).kind

    assert slower(15.0) is DecisionKind.KEEP_RUNNING
    assert slower(25.0) is DecisionKind.ROLLBACK


def crossing(verdict: Verdict, metric: str = "brier", variant: str = "challenger") -> Crossing:
    return Crossing(
        experiment="exp", metric=metric, variant=variant, verdict=verdict, at=START, watermark=3
    )


@pytest.mark.parametrize(
    ("known", "kind"),
    [
        (crossing(Verdict.BETTER), DecisionKind.SHIP),
        (crossing(Verdict.WORSE), DecisionKind.ROLLBACK),
        (crossing(Verdict.WORSE, "error"), DecisionKind.ROLLBACK),
        (crossing(Verdict.WORSE, SAMPLE_RATIO, ""), DecisionKind.INVALID),
    ],
)
def test_a_crossing_once_seen_is_kept(known: Crossing, kind: DecisionKind) -> None:
    assert decided(experiment(), two(500)).kind is DecisionKind.KEEP_RUNNING
    assert decided(experiment(), two(500), known=[known]).kind is kind


def test_only_new_crossings_are_handed_back() -> None:
    seen, later = two(1_000, -0.1), START + timedelta(seconds=60)
    _, fresh = report_of(experiment(), seen, later)
    assert [(one.metric, one.verdict, one.at, one.watermark) for one in fresh] == [
        ("brier", Verdict.BETTER, later, 7)
    ]
    _, again = report_of(experiment(), seen, later, known=fresh)
    assert again == []


def test_secondary_metrics_decide_nothing() -> None:
    arms = {
        "control": {"brier": (900, 0.2, 0.1), "accuracy": (900, 0.9, 0.1)},
        "challenger": {"brier": (900, 0.2, 0.1), "accuracy": (900, 0.1, 0.1)},
    }
    report, fresh = report_of(experiment(), statistics(arms), START)
    assert report.decision.kind is DecisionKind.KEEP_RUNNING
    assert fresh == []
    [row] = [row for row in report.contrasts if row.role is MetricRole.SECONDARY]
    assert row.verdict is Verdict.WORSE


AA = (Variant("control", "1", 0.5), Variant("challenger", "1", 0.5))


@pytest.mark.parametrize("effect", [-0.1, 0.1])
def test_aa_that_differs_is_invalid(effect: float) -> None:
    decision = decided(experiment(type=Type.AA, variants=AA), two(1_000, effect, harm=0.2))
    assert decision.kind is DecisionKind.INVALID
    assert decision.reasons == (
        "challenger differs from control on brier, and both are one version",
    )


@given(
    st.integers(0, 5_000),
    st.floats(-0.2, 0.2),
    st.floats(-0.05, 0.2),
    st.sets(st.tuples(st.sampled_from(["brier", "error"]), st.sampled_from(["better", "worse"]))),
)
def test_aa_never_ships(n: int, effect: float, harm: float, crossed: set[tuple[str, str]]) -> None:
    known = [crossing(Verdict(verdict), metric) for metric, verdict in crossed]
    one = experiment(type=Type.AA, variants=AA)
    kind = decided(one, two(n, effect, harm), known=known, age_s=1e9).kind
    assert kind not in (DecisionKind.SHIP, DecisionKind.ROLLBACK)


@given(st.integers(0, 99), st.floats(-0.2, 0.2), st.floats(0, 1e6))
def test_nothing_is_shipped_before_the_minimum(n: int, effect: float, age_s: float) -> None:
    known = [crossing(Verdict.BETTER)]
    assert decided(experiment(), two(n, effect), known=known, age_s=age_s).kind is not (
        DecisionKind.SHIP
    )


FACTS = {
    "lost": ("brier", Verdict.WORSE),
    "won": ("brier", Verdict.BETTER),
    "harmed": ("error", Verdict.WORSE),
    "stopped": (STOP_LOSS, Verdict.WORSE),
    "failing": (ERROR_RATE, Verdict.WORSE),
}


def expected(facts: set[str], *, broken: bool, early: bool, over: bool, waits: bool) -> Any:
    """Return the decision that design.md, section 4, gives for what is known."""
    if facts & {"lost", "harmed", "stopped", "failing"}:
        return DecisionKind.ROLLBACK
    if broken:
        return DecisionKind.INVALID
    if "won" in facts and not early and (over or not waits):
        return DecisionKind.SHIP
    return DecisionKind.INCONCLUSIVE if over else DecisionKind.KEEP_RUNNING


@given(
    facts=st.sets(st.sampled_from(sorted(FACTS))),
    broken=st.booleans(),
    early=st.booleans(),
    over=st.booleans(),
    waits=st.booleans(),
)
def test_the_order_holds_for_every_combination(
    *, facts: set[str], broken: bool, early: bool, over: bool, waits: bool
) -> None:
    stopping = Stopping(
        horizon=10_000,
        min_sample=501 if early else 500,
        max_duration_s=60 if over else 61,
        early_stop=not waits,
    )
    known = [crossing(verdict, metric) for metric, verdict in map(FACTS.__getitem__, facts)]
    known += [crossing(Verdict.WORSE, SAMPLE_RATIO, "")] if broken else []
    found = decided(experiment(stopping=stopping), two(500), known=known)
    assert found.kind is expected(facts, broken=broken, early=early, over=over, waits=waits)
    assert (found.variant == "challenger") == (found.kind is DecisionKind.SHIP)
    assert found.reasons


ARM = st.tuples(st.integers(0, 3_000), st.floats(-0.2, 0.2), st.floats(-0.05, 0.5))


@given(st.lists(ARM, min_size=1, max_size=6), st.booleans())
def test_more_evidence_takes_nothing_back(looks: list[tuple[int, float, float]], aa: bool) -> None:
    """What one look has seen stays; a rollback stays one, and so does what is invalid."""
    one = experiment(type=Type.AA, variants=AA) if aa else experiment()
    known: list[Crossing] = []
    worst = len(RANKS)
    for k, (n, effect, harm) in enumerate(looks):
        report, fresh = report_of(one, two(n, effect, harm), START + k * HOUR, known=known)
        places = [(found.metric, found.variant, found.verdict) for found in (*known, *fresh)]
        assert len(set(places)) == len(places)
        known += fresh
        rank = RANKS.index(report.decision.kind)
        assert rank <= worst
        worst = min(worst, rank if rank < 2 else worst)
    assert all(found.at >= START for found in known)


HOUR = timedelta(hours=1)
RANKS = list(DecisionKind)  # in the order of precedence


@given(st.sets(st.sampled_from(["won", "early", "young"])), st.integers(2_000, 5_000))
def test_a_winner_that_is_too_young_is_waited_for(facts: set[str], n: int) -> None:
    """At the horizon nothing is given up that has won and only lacks time."""
    stopping = Stopping(horizon=4_000, min_sample=100, min_duration_s=61 if facts else 0)
    known = [crossing(Verdict.BETTER)] if "won" in facts else []
    kind = decided(experiment(stopping=stopping), two(n), known=known).kind
    assert kind is (DecisionKind.KEEP_RUNNING if "won" in facts else DecisionKind.INCONCLUSIVE)


@pytest.mark.parametrize(
    ("stopping", "kind"),
    [
        (Stopping(horizon=4_000, min_sample=100, early_stop=False), DecisionKind.KEEP_RUNNING),
        (Stopping(horizon=2_000, min_sample=100, early_stop=False), DecisionKind.SHIP),
        (
            Stopping(horizon=4_000, min_sample=100, early_stop=False, max_duration_s=60),
            DecisionKind.SHIP,
        ),
    ],
)
def test_without_early_stop_a_winner_waits_for_the_end(stopping: Stopping, kind: Any) -> None:
    found = decided(experiment(stopping=stopping), two(1_000, -0.1))
    assert found.kind is kind
    if kind is DecisionKind.KEEP_RUNNING:
        assert found.reasons == (
            "challenger has won, and early_stop is off: it waits for the end",
        )
    harmed = decided(experiment(stopping=stopping), two(1_000, -0.1, 0.2))
    assert harmed.kind is DecisionKind.ROLLBACK


def test_the_smallest_p_value_stays() -> None:
    report, _ = report_of(experiment(), two(500), START, smallest_p={"challenger": 0.001})
    assert report.goal("challenger").p_value == 0.001


def test_the_error_budget_is_shared() -> None:
    # Bonferroni (design.md, section 4): over two challengers, and over two guardrails
    metrics = Metrics("brier", (), ("error", "latency_ms"))
    one = experiment(variants=THREE, metrics=metrics, stopping=Stopping(alpha=0.04))
    report, _ = report_of(one, three_arms(0, 0), START)
    alphas = {(row.role, row.metric): row.alpha for row in report.contrasts}
    assert alphas[MetricRole.GOAL, "brier"] == 0.02
    assert alphas[MetricRole.GUARDRAIL, "error"] == 0.01
    assert alphas[MetricRole.GUARDRAIL, "latency_ms"] == 0.01
