"""``palio models combine``: versions become an ensemble, here and on a server."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.e2e.worlds import World

Cli = Callable[..., tuple[int, str, str]]
COMBINE = ("models", "combine", "credit", "--members", "credit:v1,credit:v2")


def test_what_is_asked_for_is_kept(told: Callable[..., Any], home: str) -> None:
    made = told("--store", home, *COMBINE, "--version", "e1", "--combine", "soft_vote",
                "--weights", "0.75,0.25", "--on-member-error", "skip", "--min-members", 2,
                "--tag", "team=risk", "--description", "both")  # fmt: skip
    assert made["training"]["ensemble"] == {
        "members": ["credit:v1", "credit:v2"],
        "combine": "soft_vote",
        "weights": [0.75, 0.25],
        "on_member_error": "skip",
        "min_members": 2,
    }
    assert (made["flavor"], made["tags"], made["description"]) == (
        *("ensemble", {"team": "risk"}),
        "both",
    )


def test_it_is_told_to_people_and_answers(cli: Cli, home: str) -> None:
    given = ("--store", home, *COMBINE, "--version", "e1", "--combine", "mean")
    code, out, err = cli(*given)
    assert (code, err) == (0, "")
    assert "credit:e1 is registered, an ensemble of credit:v1, credit:v2" in " ".join(out.split())
    rows = json.dumps([[1, 2, 3]])
    code, out, _ = cli("--store", home, "predict", "credit", rows, "--version", "e1", "--json")
    assert code == 0
    assert json.loads(out)["version"] == "e1"


def test_on_a_server_too(told: Callable[..., Any], world: World) -> None:
    given = (*COMBINE, "--version", "e1", "--combine", "hard_vote")
    made = told("--store", world.address, *given)
    assert made["training"]["ensemble"]["min_members"] == 2


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (("--combine", "mean", "--members", "credit:v1,credit@champion"), "is an alias"),
        (("--combine", "mean", "--members", "credit:v1"), "has 1; an ensemble has 2 to 32"),
        (("--combine", "mean", "--weights", "0.5,x"), "weights: 'x' is no number"),
        (("--combine", "soft_vote", "--weights", "0.5,0.6"), "sums to 1.1"),
        (("--combine", "vote"), "'vote' is not one of"),
    ],
)
def test_what_cannot_be_ends_with_2(cli: Cli, home: str, given: tuple[str, ...], why: str) -> None:
    code, out, err = cli("--store", home, *COMBINE, "--version", "e1", *given)
    assert (code, out) == (2, "")
    assert why in " ".join(err.split())
