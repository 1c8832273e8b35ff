"""Answers become one: beside scikit-learn's voting, beside numpy, and what always holds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import VotingClassifier, VotingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from palio.registry.ensembles.combining import answered, combined, scores_of
from palio.registry.ensembles.spec import Combine
from palio.registry.signature import Feature, FeatureType, Predictions, Signature, Task

X = (Feature("x", FeatureType.NUMBER),)
NUMBERS = Signature(X, Task.REGRESSION)
ABC = Signature(X, Task.CLASSIFICATION, ("a", "b", "c"))
RANDOM = np.random.default_rng(7)
ROWS = RANDOM.normal(size=(300, 3))
CLASSES = np.array(["a", "b", "c"])[
    np.digitize(ROWS[:, 0] + 0.3 * RANDOM.normal(size=300), [-1, 1])
]
VALUES = ROWS @ [1.0, -2.0, 0.5] + RANDOM.normal(size=300)


def classified(model: Any) -> Predictions:
    return Predictions(model.predict(ROWS).tolist(), model.predict_proba(ROWS).tolist())


def together(
    answers: list[Predictions],
    signature: Signature,
    rule: Combine,
    shares: Any = None,
) -> Predictions:
    n_rows = len(answers[0].values)
    scores = [scores_of(one, signature, of=signature, rule=rule, n_rows=n_rows) for one in answers]
    shares = shares or [1 / len(answers)] * len(answers)
    return answered(combined(np.stack(scores), rule, shares), rule, signature)


CLASSIFIERS = [
    LogisticRegression().fit(ROWS, CLASSES),
    GaussianNB().fit(ROWS, CLASSES),
    DecisionTreeClassifier(max_depth=2, random_state=0).fit(ROWS, CLASSES),
]
NAMED = [(f"m{at}", model) for at, model in enumerate(CLASSIFIERS)]


@pytest.mark.parametrize("shares", [None, [0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
@pytest.mark.parametrize("voting", ["soft", "hard"])
def test_votes_are_those_of_scikit_learn(voting: str, shares: list[float] | None) -> None:
    witness = VotingClassifier(NAMED, voting=voting, weights=shares).fit(ROWS, CLASSES)
    made = together([*map(classified, CLASSIFIERS)], ABC, Combine(f"{voting}_vote"), shares)
    assert made.values == witness.predict(ROWS).tolist()
    if voting == "hard":
        assert made.probabilities is None  # nor has scikit-learn any
    else:
        np.testing.assert_allclose(made.probabilities, witness.predict_proba(ROWS), rtol=1e-12)


@pytest.mark.parametrize("shares", [None, [0.25, 0.75]])
def test_means_are_those_of_scikit_learn(shares: list[float] | None) -> None:
    models = [LinearRegression(), DecisionTreeRegressor(max_depth=3, random_state=0)]
    named = [(f"m{at}", model) for at, model in enumerate(models)]
    witness = VotingRegressor(named, weights=shares).fit(ROWS, VALUES)
    answers = [Predictions(model.fit(ROWS, VALUES).predict(ROWS).tolist()) for model in models]
    rule = Combine.WEIGHTED_MEAN if shares else Combine.MEAN
    made = together(answers, NUMBERS, rule, shares)
    np.testing.assert_allclose(made.values, witness.predict(ROWS), rtol=1e-12)
    assert made.probabilities is None


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_the_median_is_that_of_numpy(count: int) -> None:
    values = RANDOM.normal(size=(count, 50))
    made = together([Predictions(one.tolist()) for one in values], NUMBERS, Combine.MEDIAN)
    np.testing.assert_allclose(made.values, np.median(values, axis=0), rtol=1e-15)


def test_the_median_of_probabilities_sums_to_one() -> None:
    made = together([*map(classified, CLASSIFIERS)], ABC, Combine.MEDIAN)
    middle = np.median([model.predict_proba(ROWS) for model in CLASSIFIERS], axis=0)
    expected = middle / middle.sum(axis=1, keepdims=True)  # as the module says
    np.testing.assert_allclose(made.probabilities, expected, rtol=1e-12)


def test_where_no_class_has_half_of_the_members_the_median_is_the_mean() -> None:
    sure = [
        Predictions([label], [row]) for label, row in zip("abc", np.eye(3).tolist(), strict=True)
    ]
    made = together(sure, ABC, Combine.MEDIAN)
    np.testing.assert_allclose(made.probabilities, [[1 / 3] * 3], rtol=1e-15)
    assert made.values == ["a"]


def test_mean_of_probabilities_is_the_soft_vote() -> None:
    answers = [*map(classified, CLASSIFIERS)]
    assert together(answers, ABC, Combine.MEAN) == together(answers, ABC, Combine.SOFT_VOTE)
    shares = [0.2, 0.3, 0.5]
    assert together(answers, ABC, Combine.WEIGHTED_MEAN, shares) == together(
        answers, ABC, Combine.SOFT_VOTE, shares
    )


def test_of_a_tie_the_first_class_wins() -> None:
    split = [Predictions(["c"]), Predictions(["b"])]
    assert together(split, ABC, Combine.HARD_VOTE).values == ["b"]
    # 0.1 + 0.2 is more than 0.3 in floats, and no more in votes
    three = [Predictions(["b"]), Predictions(["b"]), Predictions(["a"]), Predictions(["c"])]
    made = together(three, ABC, Combine.HARD_VOTE, [0.1, 0.2, 0.3, 0.4 - 1e-4])
    assert made.values == ["c"]
    made = together(three[:3], ABC, Combine.HARD_VOTE, [1 / 6, 1 / 3, 0.5])
    assert made.values == ["a"]


def test_classes_are_matched_by_label() -> None:
    other = Signature(X, Task.CLASSIFICATION, ("c", "a", "b"))
    told = Predictions(["c"], [[0.7, 0.2, 0.1]])
    made = scores_of(told, other, of=ABC, rule=Combine.MEAN, n_rows=1)
    assert made.tolist() == [[0.2, 0.1, 0.7]]
    votes = scores_of(told, other, of=ABC, rule=Combine.HARD_VOTE, n_rows=1)
    assert votes.tolist() == [[0, 0, 1]]


def test_true_is_not_one_and_one_is_one_point_nought() -> None:
    numbered = Signature(X, Task.CLASSIFICATION, (0, 1))
    votes = scores_of(Predictions([1.0]), numbered, of=numbered, rule=Combine.HARD_VOTE, n_rows=1)
    assert votes.tolist() == [[0, 1]]
    with pytest.raises(ValueError, match="answered True, which is no class"):
        scores_of(Predictions([True]), numbered, of=numbered, rule=Combine.HARD_VOTE, n_rows=1)


@pytest.mark.parametrize(
    ("told", "signature", "rule", "why"),
    [
        (Predictions([1.0]), NUMBERS, Combine.MEAN, "1 answers to 2 rows"),
        (Predictions([1.0] * 3), NUMBERS, Combine.MEAN, "3 answers to 2 rows"),
        (Predictions(["x", "y"]), NUMBERS, Combine.MEAN, "could not convert"),
        (Predictions(["a", "b"]), ABC, Combine.MEAN, "gave no probabilities, and mean needs them"),
        (Predictions(["a", "b"]), ABC, Combine.MEDIAN, "median needs them"),
        (Predictions(["a", "b"]), ABC, Combine.SOFT_VOTE, "soft_vote needs them"),
        (Predictions(["a", "b"], [[1, 0]] * 2), ABC, Combine.MEAN, r"probabilities \(2, 2\)"),
        (Predictions(["a", "b"], [[1, 0, 0]]), ABC, Combine.MEAN, r"probabilities \(1, 3\)"),
        (Predictions(["a", "d"]), ABC, Combine.HARD_VOTE, "'d', which is no class"),
    ],
)
def test_answers_that_cannot_be_used(
    told: Predictions, signature: Signature, rule: Combine, why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        scores_of(told, signature, of=signature, rule=rule, n_rows=2)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_fails(value: float) -> None:
    plain = Predictions([0.0])
    plain.values[0] = value  # a predictor that goes round the check of the record
    with pytest.raises(ValueError, match="no finite number"):
        scores_of(plain, NUMBERS, of=NUMBERS, rule=Combine.MEAN, n_rows=1)


# -- what always holds

MEANS = [Combine.MEAN, Combine.WEIGHTED_MEAN, Combine.MEDIAN]
finite = st.floats(-1e300, 1e300)


@st.composite
def members(draw: st.DrawFn, *, classes: bool = False) -> tuple[Any, list[float]]:
    """Return scores of 2 to 6 members on 1 to 4 rows, and their shares."""
    count, rows = draw(st.integers(2, 6)), draw(st.integers(1, 4))
    columns = draw(st.integers(2, 4)) if classes else 1
    cell = st.floats(0.001, 1) if classes else finite
    cells = draw(st.lists(cell, min_size=count * rows * columns, max_size=count * rows * columns))
    scores = np.array(cells).reshape(count, rows, columns)
    if classes:
        scores /= scores.sum(axis=2, keepdims=True)
    parts = draw(st.lists(st.floats(0.01, 1), min_size=count, max_size=count))
    return scores, [part / math.fsum(parts) for part in parts]


@given(members(), st.sampled_from(MEANS))
def test_it_lies_between_the_members(drawn: Any, rule: Combine) -> None:
    scores, shares = drawn
    made = combined(scores, rule, shares)
    assert (scores.min(axis=0) <= made).all()
    assert (made <= scores.max(axis=0)).all()


@given(members(classes=True), st.sampled_from([*MEANS, Combine.SOFT_VOTE]))
def test_probabilities_stay_probabilities(drawn: Any, rule: Combine) -> None:
    scores, shares = drawn
    made = combined(scores, rule, shares)
    assert ((made >= 0) & (made <= 1)).all()
    np.testing.assert_allclose(made.sum(axis=1), 1, rtol=1e-12)


@given(members(classes=True), st.sampled_from(Combine), st.randoms(use_true_random=False))
def test_the_order_of_members_changes_nothing(drawn: Any, rule: Combine, random: Any) -> None:
    scores, shares = drawn
    if rule is Combine.HARD_VOTE:
        scores = (scores == scores.max(axis=2, keepdims=True)).astype(float)
    order = random.sample(range(len(shares)), len(shares))
    other = combined(scores[order], rule, [shares[at] for at in order])
    assert np.array_equal(combined(scores, rule, shares), other)


@given(members(), st.sampled_from(MEANS))
def test_equal_members_give_their_own_answer(drawn: Any, rule: Combine) -> None:
    scores, shares = drawn
    same = np.repeat(scores[:1], len(shares), axis=0)
    assert np.array_equal(combined(same, rule, shares), scores[0])


@given(members(), st.floats(0.01, 100))
def test_weights_count_by_their_proportion(drawn: Any, factor: float) -> None:
    scores, shares = drawn
    scaled = combined(scores, Combine.WEIGHTED_MEAN, [one * factor for one in shares])
    plain = combined(scores, Combine.WEIGHTED_MEAN, shares)
    bound = 1e-14 * np.abs(scores).max(axis=0)
    assert (np.abs(scaled - plain) <= bound).all()


@given(members(classes=True))
def test_the_class_answered_is_the_most_probable(drawn: Any) -> None:
    scores, shares = drawn
    labels = tuple(range(scores.shape[2]))
    made = combined(scores, Combine.SOFT_VOTE, shares)
    told = answered(made, Combine.SOFT_VOTE, Signature(X, Task.CLASSIFICATION, labels))
    for row, value in zip(made, told.values, strict=True):
        assert row[int(value)] >= row.max() - 1e-9
