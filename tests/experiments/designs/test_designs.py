"""What a design may not say, field by field, and what its digest covers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from palio.errors import InvalidInput
from palio.experiments.designs.covariates import Covariate, Segment
from palio.experiments.designs.design import ExperimentDraft, Metrics, Stopping, Type, Variant
from palio.experiments.designs.metric_forms import Kind, form_of
from palio.experiments.designs.metrics import Direction, Metric, Source, metric_named
from palio.experiments.designs.policy import Policy, PolicyKind
from palio.experiments.designs.risk import Criteria, StopLoss
from palio.testing.records import design

THREE = tuple(Variant(key, key, 1 / 3) for key in "abc")
THOMPSON = Policy(kind=PolicyKind.THOMPSON)
REVENUE = Metrics("revenue:higher")


def test_types_and_kinds_may_be_written_as_words() -> None:
    made = design(type="bandit", unit="request", policy=Policy(kind="ucb"))  # type: ignore[arg-type]
    assert (made.type, made.policy.kind) == (Type.BANDIT, PolicyKind.UCB)
    assert design(type="ab") == design()


REFUSED: list[tuple[Mapping[str, Any], str, str]] = [
    ({"type": "abc"}, "type", "type must be one of ab, aa, paired, bandit, got 'abc'"),
    ({"type": Type.PAIRED}, "label_independent", "a rejected loan has no label"),
    ({"type": Type.PAIRED, "serves": False}, "serves", "where variants score each request"),
    (
        {"type": Type.PAIRED, "label_independent": True, "metrics": REVENUE},
        "metrics", "it depends on the version that answered",
    ),
    (
        {"type": Type.PAIRED, "label_independent": True, "metrics": Metrics("p9(error):lower")},
        "metrics", "cannot be measured in a paired experiment",
    ),
    ({"type": Type.BANDIT}, "policy", "a bandit needs one that moves weights"),
    ({"policy": THOMPSON}, "policy", "the other types the fixed one"),
    ({"type": Type.BANDIT, "policy": THOMPSON}, "sticky", "randomise requests (unit: request)"),
    (
        {
            "type": Type.BANDIT, "unit": "request", "variants": THREE,
            "policy": Policy(kind=PolicyKind.UCB, min_weight=0.4),
        },
        "policy", "min_weight must be at most 1/3",
    ),
    (
        {
            "type": Type.BANDIT, "sticky": True, "policy": THOMPSON,
            "metrics": Metrics("sharpe(return):higher"),
        },
        "metrics", "the goal of a bandit is a mean a unit",
    ),
    (
        {
            "type": Type.BANDIT, "sticky": True, "policy": THOMPSON,
            "metrics": Metrics("revenue:higher", (), ("p95(latency_ms):lower",)),
        },
        "metrics", "only means can be judged where a policy moves weights",
    ),
    ({"label_delay_s": -1.0}, "label_delay_s", "must be in [0, 1e+09]"),
    ({"label_delay_s": float("nan")}, "label_delay_s", "must be in [0, 1e+09]"),
    ({"segments": (Segment("a", ("x",)),) * 2}, "segments", "named twice: a"),
    ({"covariates": (Covariate(name="a"),) * 2}, "covariates", "named twice: a"),
    (
        {"segments": tuple(Segment(f"a{n}", ("x",)) for n in range(5))},
        "segments", "at most 4 segments",
    ),
    (
        {
            "type": Type.PAIRED, "label_independent": True, "covariates": (Covariate(name="a"),),
        },
        "covariates", "have no place in an experiment of type paired",
    ),
    (
        {"stop_loss": StopLoss(metric="revenue", threshold=0.0)},
        "stop_loss", "which is no outcome that this design measures",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "field", "message"), REFUSED)
def test_what_does_not_fit_together_is_refused(
    fields: Mapping[str, Any], field: str, message: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        design(**fields)
    assert message in str(caught.value)
    assert caught.value.details["field"] == field


@pytest.mark.parametrize(
    ("made", "field"),
    [
        (lambda: Policy(min_weight=1.5), "min_weight"),
        (lambda: Policy(max_weight=float("nan")), "max_weight"),
        (lambda: Policy(epsilon=0.0), "epsilon"),
        (lambda: Policy(discount=1.1), "discount"),
        (lambda: Policy(refresh_rewards=0), "refresh_rewards"),
        (lambda: Policy(refresh_s=0.0), "refresh_s"),
        (lambda: Policy(forced_pulls=-1), "forced_pulls"),
        (lambda: Policy(halves_at=0.0), "halves_at"),
        (lambda: Policy(warm_share=0.0), "warm_share"),
        (lambda: Policy(warm_start="no name"), "experiment"),
        (lambda: StopLoss(metric="a"), "stop_loss"),
        (lambda: StopLoss(metric="a", threshold=float("inf")), "threshold"),
        (lambda: StopLoss(metric="a", max_drawdown=0.0), "max_drawdown"),
        (lambda: StopLoss(metric="a", threshold=0.0, alpha=0.5), "alpha"),
        (lambda: Criteria(min_requests=-1), "min_requests"),
        (lambda: Criteria(max_error_rate=1.5), "max_error_rate"),
        (lambda: Criteria(max_latency_ms=0.0), "max_latency_ms"),
        (lambda: Criteria(min_improvement=-0.1), "min_improvement"),
        (lambda: Segment("a b", ("x",)), "attribute"),
        (lambda: Segment("a", ()), "segments"),
        (lambda: Segment("a", ("x", "x")), "segments"),
        (lambda: Segment("a", ("other",)), "segments"),
        (lambda: Segment.parse("country"), "segments"),
        (lambda: Covariate(name="a", window_s=0.0), "window_s"),
        (lambda: Stopping(futility=0.9), "futility"),
        (lambda: Stopping(futility=0.1, horizon=None), "futility"),
        (lambda: Stopping(early_stop=False, horizon=None), "early_stop"),
        (lambda: metric_named("p100(revenue):higher"), "metric"),
        (lambda: Metric("revenue/visits", Direction.HIGHER, Source.SCORING), "metric"),
    ],
)
def test_what_is_out_of_its_range_is_refused(made: Callable[[], object], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        made()
    assert caught.value.details["field"] == field


@pytest.mark.parametrize(
    ("name", "kind", "of", "q"),
    [
        ("revenue", Kind.MEAN, ("revenue",), None),
        ("revenue/visits", Kind.RATIO, ("revenue", "visits"), None),
        ("p99.9(latency_ms)", Kind.QUANTILE, ("latency_ms",), 0.999),
        ("sharpe(return)", Kind.SHARPE, ("return",), None),
        ("win_rate(return)", Kind.WIN_RATE, ("return",), None),
        ("a/b/c", Kind.MEAN, ("a/b/c",), None),
    ],
)
def test_a_metrics_name_says_what_it_is_made_of(
    name: str, kind: Kind, of: tuple[str, ...], q: float | None
) -> None:
    found = form_of(name)
    assert (found.kind, found.of) == (kind, of)
    assert found.q == (None if q is None else pytest.approx(q))


def test_built_in_names_are_what_they_are_inside_of_others() -> None:
    of = {base.name: base.source for base in metric_named("brier/requests:lower").bases}
    assert of == {"brier": Source.SCORING, "requests": Source.PREDICTION}
    assert metric_named("score:higher").source is Source.PREDICTION
    assert metric_named("p95(latency_ms):lower").waits is False


# SHA-256 of the canonical JSON of designs drafted before these fields came; a change of it would
# make experiments that run look as if their design had been changed.
OLD_DIGEST = "68d5371821a0ac9ae18dcdb18a563d8dfd3c203f10ddc2826c227bccb2483d9d"


def old() -> ExperimentDraft:
    return design(stopping=Stopping(horizon=4_000, min_sample=100))


def test_fields_that_are_not_used_leave_the_digest_as_it_was() -> None:
    assert old().digest == OLD_DIGEST


@pytest.mark.parametrize(
    "fields",
    [
        {"sticky": True},
        {"automatic": True},
        {"ships": False},
        {"serves": False},
        {"label_delay_s": 1.0},
        {"segments": (Segment("a", ("x",)),)},
        {"covariates": (Covariate(name="a"),)},
        {"criteria": Criteria(min_requests=1)},
        {"stopping": Stopping(horizon=4_000, min_sample=100, futility=0.1)},
        {"stopping": Stopping(horizon=4_000, min_sample=100, early_stop=False)},
        {"policy": Policy(min_weight=0.1)},
    ],
)
def test_each_of_them_counts_where_it_is_used(fields: Mapping[str, Any]) -> None:
    assert replace(old(), **fields).digest != OLD_DIGEST
