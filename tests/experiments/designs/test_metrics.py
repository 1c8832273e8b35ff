"""Metrics against scikit-learn, and what gives no value."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as witness

from palio.errors import InvalidInput
from palio.experiments.designs.metrics import (
    _KNOWN,
    _PREDICTION_FIELDS,
    _SCORING_RULES,
    BUILTIN,
    Direction,
    Metric,
    Source,
    metric_named,
    overdue,
    request_values,
)
from palio.experiments.events import Outcome, Prediction
from palio.testing.records import outcome, prediction

RNG = np.random.default_rng(11)
LABELS = RNG.integers(0, 2, 40)
SHARES = RNG.uniform(0.01, 0.99, 40)
NUMBERS, TRUTHS = RNG.normal(size=40), RNG.normal(size=40)
THREE = ("cat", "dog", "eel")
DRAWN = RNG.dirichlet([1, 1, 1], 40)
TRUE_THREE = RNG.integers(0, 3, 40)


def classified() -> Prediction:
    return prediction(
        "r",
        values=[int(share > 0.5) for share in SHARES],
        probabilities=[[1 - share, share] for share in SHARES.tolist()],
    )


def regressed(**fields: Any) -> Prediction:
    return prediction(
        "r", **{"values": NUMBERS.tolist(), "probabilities": None, "classes": (), **fields}
    )


def three() -> Prediction:
    return prediction(
        "r",
        values=[THREE[place] for place in DRAWN.argmax(axis=1)],
        probabilities=DRAWN.tolist(),
        classes=THREE,
    )


def label(value: Any) -> Outcome:
    return outcome("o", request_id="r", value=value)


def score(name: str, served: Prediction, *outcomes: Outcome) -> list[float]:
    return request_values(BUILTIN[name], served, outcomes)


def test_brier_of_two_classes() -> None:
    expected = witness.brier_score_loss(LABELS, SHARES)
    assert score("brier", classified(), label(LABELS.tolist())) == [pytest.approx(expected)]


def test_brier_of_more_classes_by_its_formula() -> None:
    # Brier (1950): the sum over classes of (probability - indicator)^2, averaged over cases
    truth = [THREE[place] for place in TRUE_THREE]
    expected = ((DRAWN - np.eye(3)[TRUE_THREE]) ** 2).sum(axis=1).mean()
    assert score("brier", three(), label(truth)) == [pytest.approx(expected)]
    halved = witness.brier_score_loss(truth, DRAWN, labels=THREE, scale_by_half=True)
    assert expected == pytest.approx(2 * halved)


@pytest.mark.parametrize("classes", [2, 3])
def test_log_loss(classes: int) -> None:
    served = classified() if classes == 2 else three()
    truth = LABELS.tolist() if classes == 2 else [THREE[place] for place in TRUE_THREE]
    expected = witness.log_loss(truth, served.probabilities, labels=served.classes)
    assert score("log_loss", served, label(truth)) == [pytest.approx(expected)]


@pytest.mark.parametrize("classes", [2, 3])
def test_accuracy(classes: int) -> None:
    served = classified() if classes == 2 else three()
    truth = LABELS.tolist() if classes == 2 else [THREE[place] for place in TRUE_THREE]
    expected = witness.accuracy_score(truth, served.values)
    assert score("accuracy", served, label(truth)) == [pytest.approx(expected)]


def test_errors_of_a_regression() -> None:
    truth = label(TRUTHS.tolist())
    squared = witness.mean_squared_error(TRUTHS, NUMBERS)
    absolute = witness.mean_absolute_error(TRUTHS, NUMBERS)
    assert score("squared_error", regressed(), truth) == [pytest.approx(squared)]
    assert score("absolute_error", regressed(), truth) == [pytest.approx(absolute)]


def test_a_certain_mistake_has_a_finite_log_loss() -> None:
    served = prediction("r", values=[0], probabilities=[[1.0, 0.0]])
    assert score("log_loss", served, label(1)) == [pytest.approx(-np.log(1e-15))]
    assert score("log_loss", served, label(0)) == [0.0]


def test_boolean_and_number_are_one_label() -> None:
    served = prediction("r", values=[1], probabilities=[[0.25, 0.75]])
    for truth in (1, 1.0, True):
        assert score("brier", served, label(truth)) == [0.0625]
        assert score("accuracy", served, label(truth)) == [1.0]


@pytest.mark.parametrize("name", sorted(_SCORING_RULES))
@pytest.mark.parametrize(
    ("served", "outcomes"),
    [
        (classified(), []),
        (classified(), [outcome("o", request_id="r", name="revenue", value=1.0)]),
        (classified(), [label(1)]),  # 40 rows were served
        (classified(), [label([2] * 40)]),  # no class of the version
        (prediction("r", values=[], probabilities=None, error="boom"), [label(1)]),
    ],
)
def test_what_gives_no_score(name: str, served: Prediction, outcomes: list[Outcome]) -> None:
    if name.endswith("_error") and outcomes and outcomes[0].value == [2] * 40:
        return  # the classes are numbers, and so is their distance
    assert score(name, served, *outcomes) == []


@pytest.mark.parametrize("name", ["squared_error", "absolute_error"])
def test_texts_have_no_distance(name: str) -> None:
    truth = label([THREE[place] for place in TRUE_THREE])
    assert score(name, three(), truth) == []
    assert score(name, regressed(values=[1.0]), label("a")) == []


@pytest.mark.parametrize("name", ["brier", "log_loss"])
def test_without_probabilities(name: str) -> None:
    assert score(name, prediction("r", probabilities=None), label(1)) == []


@pytest.mark.parametrize("value", [1e200, -1e200, 1.7e308])
@pytest.mark.parametrize("name", ["squared_error", "absolute_error"])
def test_what_cannot_be_summed_is_no_score(name: str, value: float) -> None:
    assert score(name, regressed(values=[value]), label(0.0)) == []
    assert score(name, regressed(values=[0.0]), label(value)) == []


def test_of_several_labels_the_last_counts() -> None:
    served = prediction("r", values=[1], probabilities=[[0.25, 0.75]])
    first, last = outcome("a", request_id="r", value=1), outcome("b", request_id="r", value=0)
    assert score("accuracy", served, first, last) == [0.0]


def test_fields_of_a_prediction() -> None:
    failed = prediction("r", values=[], probabilities=None, error="boom", latency_ms=7.5)
    assert score("latency_ms", failed) == [7.5]
    assert score("error", failed) == [1.0]
    assert score("error", classified()) == [0.0]


def test_outcomes_give_a_value_each() -> None:
    revenue = metric_named("revenue:higher")
    outcomes = [
        outcome("a", request_id="r", name="revenue", value=2),
        outcome("b", request_id="r", name="revenue", value=[0.5, True]),
        outcome("c", request_id="r", value=1),
    ]
    assert request_values(revenue, classified(), outcomes) == [2.0, 0.5, 1.0]


@given(st.floats(0, 1), st.sampled_from([0, 1]))
def test_scores_stay_in_their_range(share: float, truth: int) -> None:
    served = prediction("r", values=[1], probabilities=[[1 - share, share]])
    [brier], [loss] = (score(name, served, label(truth)) for name in ("brier", "log_loss"))
    assert 0 <= brier <= 1
    assert 0 <= loss < 35  # -ln(1e-15) is 34.5


@pytest.mark.parametrize(
    ("text", "metric"),
    [
        ("brier", BUILTIN["brier"]),
        ("revenue:higher", Metric("revenue", Direction.HIGHER)),
        ("complaints:lower", Metric("complaints", Direction.LOWER)),
        ("x:higher_is_better", Metric("x", Direction.HIGHER)),
    ],
)
def test_metrics_as_people_write_them(text: str, metric: Metric) -> None:
    assert metric_named(text) == metric


@pytest.mark.parametrize("text", ["", "revenue", "revenue:", ":higher", "revenue:up", "Brier"])
def test_what_is_no_metric(text: str) -> None:
    with pytest.raises(InvalidInput, match="as in revenue:higher"):
        metric_named(text)


@pytest.mark.parametrize("source", [Source.PREDICTION, Source.SCORING])
def test_a_declared_metric_must_exist_in_its_source(source: Source) -> None:
    with pytest.raises(InvalidInput, match=f"is no metric of {source}; there are"):
        Metric("speed", Direction.LOWER, source)


@pytest.mark.parametrize("margin", [-0.1, 1.0, float("nan")])
def test_margins(margin: float) -> None:
    with pytest.raises(InvalidInput, match=r"must be in \[0, 1\)"):
        Metric("x", Direction.LOWER, margin=margin)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"window_s": 0.0}, "window_s of x must be seconds"),
        ({"window_s": float("nan")}, "window_s of x must be seconds"),
        ({"window_s": 1e10}, "window_s of x must be seconds"),
        ({"limits": (1.0, 1.0)}, "limits of x must be two finite numbers"),
        ({"limits": (2.0, 1.0)}, "limits of x"),
        ({"limits": (0.0, float("inf"))}, "limits of x"),
        ({"limits": (float("nan"), 1.0)}, "limits of x"),
        ({"winsorise": True}, "winsorise needs them"),
    ],
)
def test_windows_and_limits_that_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Metric("x", Direction.LOWER, **fields)


def test_what_waits_for_no_outcome_has_neither_window_nor_limits() -> None:
    with pytest.raises(InvalidInput, match="window_s of latency_ms"):
        Metric("latency_ms", Direction.LOWER, Source.PREDICTION, window_s=1)
    with pytest.raises(InvalidInput, match="limits of brier"):
        Metric("brier", Direction.LOWER, Source.SCORING, limits=(0, 1))


def test_a_label_after_the_window_gives_no_score() -> None:
    served = prediction("r")
    late = replace(label(1), at=served.at + timedelta(seconds=61))
    windowed = Metric("brier", Direction.LOWER, Source.SCORING, window_s=60)
    assert request_values(windowed, served, [late]) == []
    assert len(request_values(windowed, served, [label(1)])) == 1
    assert overdue([windowed], [late, label(1)], served.at) == 1


def test_every_metric_has_its_rule() -> None:
    assert set(_KNOWN[Source.PREDICTION]) == set(_PREDICTION_FIELDS)
    assert set(_KNOWN[Source.SCORING]) == set(_SCORING_RULES)
    assert set(BUILTIN) == {*_PREDICTION_FIELDS, *_SCORING_RULES} - {"score", "requests"}


def test_a_built_in_name_takes_no_direction() -> None:
    with pytest.raises(InvalidInput, match="brier is built in and lower_is_better"):
        metric_named("brier:higher")
