"""What an ensemble may say of itself."""

from __future__ import annotations

import math
from typing import Any

import pytest

from palio.errors import InvalidInput
from palio.registry.ensembles.spec import Combine, Ensemble, OnMemberError, read_spec
from palio.registry.signature import Task

TWO = ("a:1", "b:2")


def ensemble(**fields: Any) -> Ensemble:
    return Ensemble(**{"members": TWO, "combine": "mean"} | fields)


def test_words_become_what_they_mean_and_references_one_form() -> None:
    made = ensemble(members=["models:/a/1", "b:2"], combine="soft_vote", on_member_error="skip")
    assert made == Ensemble(
        members=TWO, combine=Combine.SOFT_VOTE, on_member_error=OnMemberError.SKIP, min_members=1
    )


def test_what_is_not_said_is_equal_weights_and_all_members() -> None:
    made = ensemble(members=("a:1", "a:2", "a:3", "a:4"))
    assert (made.shares, made.least, made.skips) == ((0.25,) * 4, 4, False)
    assert ensemble(on_member_error="skip").least == 1


def test_the_file_says_it_whole() -> None:
    made = ensemble(
        combine="hard_vote", weights=[0.75, 0.25], on_member_error="skip", min_members=2
    )
    assert read_spec(made.written()) == made
    assert made.document() == {
        "members": ["a:1", "b:2"],
        "combine": "hard_vote",
        "weights": [0.75, 0.25],
        "on_member_error": "skip",
        "min_members": 2,
    }


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"members": ["a:1", "b:2"]}'])
def test_what_is_no_spec_is_told(content: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"ensemble\.json"):
        read_spec(content)


@pytest.mark.parametrize(
    ("fields", "field", "told"),
    [
        ({"members": ("a:1",)}, "members", "has 1; an ensemble has 2 to 32"),
        ({"members": [f"a:{n}" for n in range(33)]}, "members", "has 33"),
        ({"members": "a:1,b:2"}, "members", "is no list of versions"),
        ({"members": ("a:1", "a@champion")}, "members", "is an alias, which moves"),
        ({"members": ("a:1", "b")}, "reference", "is no reference"),
        ({"members": ("a:1", 2)}, "reference", "is no reference"),
        ({"members": ("a:1", "b:2", "models:/a/1")}, "members", "stands there twice"),
        ({"combine": "vote"}, "combine", "take one of mean, weighted_mean, median, soft_vote"),
        ({"on_member_error": "retry"}, "on_member_error", "take one of fail, skip"),
        ({"combine": "weighted_mean"}, "weights", "weighted_mean needs one a member"),
        ({"weights": (0.5, 0.5)}, "weights", "mean takes none"),
        ({"combine": "median", "weights": (0.5, 0.5)}, "weights", "median takes none"),
        ({"min_members": 0}, "min_members", "a whole number from 1 to 2"),
        ({"min_members": 3, "on_member_error": "skip"}, "min_members", "from 1 to 2"),
        ({"min_members": True, "on_member_error": "skip"}, "min_members", "from 1 to 2"),
        ({"min_members": 1}, "min_members", "on_member_error says fail"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, Any], field: str, told: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        ensemble(**fields)
    assert told in caught.value.message
    assert caught.value.details["field"] == field


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ((1.0,), "has 1, for 2 members"),
        ((0.5, 0.5 + 1e-8), "it must be 1 within 1e-9"),
        ((1.0, 0.0), "no positive finite number"),
        ((1.5, -0.5), "no positive finite number"),
        ((math.inf, 0.5), "no positive finite number"),
        ((math.nan, 0.5), "no positive finite number"),
        ((True, 0.5), "no positive finite number"),
        (("0.5", 0.5), "no positive finite number"),
    ],
)
def test_weights_are_a_distribution(weights: Any, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        ensemble(combine="weighted_mean", weights=weights)


def test_weights_may_miss_one_by_rounding() -> None:
    assert ensemble(combine="soft_vote", weights=(0.5, 0.5 + 5e-10)).weights == (0.5, 0.5 + 5e-10)


@pytest.mark.parametrize("combine", Combine)
def test_votes_are_for_classes(combine: Combine) -> None:
    made = ensemble(combine=combine, weights=(0.5, 0.5) if combine.takes_weights else None)
    made.check_task(Task.CLASSIFICATION)
    if combine not in {Combine.SOFT_VOTE, Combine.HARD_VOTE}:
        made.check_task(Task.REGRESSION)
        return
    with pytest.raises(InvalidInput, match="take mean, weighted_mean or median"):
        made.check_task(Task.REGRESSION)
