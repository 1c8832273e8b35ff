"""From what the command was given to a design, and what cannot be one."""

from __future__ import annotations

import pytest
from tests.dialects.documented import documents

from palio import Variant
from palio.dialects.credtech.designs import Asked, design, id_of
from palio.errors import InvalidInput
from palio.registry.signature import Task


def variants(ids: str, split: str | None) -> tuple[Variant, ...]:
    asked = Asked("any", "", ids, split)
    return design(asked, key="k", endpoint="e", task=Task.CLASSIFICATION).variants


@documents("credtech:create-experiment-traffic-split")
@pytest.mark.parametrize(
    ("ids", "split", "shares"),
    [
        ("a,b", "80,20", [0.8, 0.2]),
        ("a,b", "5%,95%", [0.05, 0.95]),
        ("a, b ,c", "33.33,33.33,33.34", [0.3333, 0.3333, 0.3334]),
        ("a,b", "100,0", [1.0, 0.0]),  # nobody gets the second one yet
        ("a,b,c,d", None, [0.25] * 4),
        ("a,fraud:v7", "50,50", [0.5, 0.5]),
    ],
)
def test_percentages_become_shares(ids: str, split: str | None, shares: list[float]) -> None:
    made = variants(ids, split)
    assert [one.weight for one in made] == pytest.approx(shares)
    assert [one.version for one in made] == [part.strip() for part in ids.split(",")]


@documents("credtech:experiment-creation-failed")
@pytest.mark.parametrize(
    ("ids", "split", "why"),
    [
        ("a,b", "40,40", "40, 40 sum to 80"),
        ("a,b", "120,-20", "each must be from 0 to 100"),
        ("a,b", "100", "2 model IDs and 1 traffic percentages"),
        ("a,b", "nan,50", "sum to nan"),
        ("a,b", "inf,50", "sum to inf"),
        ("a,b", "0.8,0.2", "sum to 1"),  # shares are no percentages
        ("a,b", "", "2 model IDs and 0 traffic percentages"),
        ("a", "100", "model IDs 'a' name fewer than two models"),
        ("a,a", "50,50", "named twice"),
        (",", None, "fewer than two models"),
    ],
)
def test_what_is_no_split(ids: str, split: str | None, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        variants(ids, split)


@documents("credtech:create-experiment-name", "credtech:experiment-creation-failed")
@pytest.mark.parametrize("name", ["", " "])
def test_an_experiment_has_a_name(name: str) -> None:
    with pytest.raises(InvalidInput, match="has no name; give it one"):
        design(Asked(name, "", "a,b", None), key="k", endpoint="e", task=Task.CLASSIFICATION)


def test_what_decides_goes_with_what_models_answer() -> None:
    asked = Asked("any", "", "a,b", None)
    for task, goal in ((Task.CLASSIFICATION, "brier"), (Task.REGRESSION, "squared_error")):
        assert design(asked, key="k", endpoint="e", task=task).metrics.goal == goal


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("New Features Test", "new-features-test-1f"),
        ("Größe: 2 €!", "gr-e-2-1f"),
        ("…", "experiment-1f"),
        ("x" * 200, "x" * 60 + "-1f"),
    ],
)
def test_ids_tell_the_name(name: str, found: str) -> None:
    assert id_of(name, "1f") == found
