"""References, names, drafts and the effective history of an alias."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palio.errors import InvalidInput
from palio.registry.domain import (
    AliasMove,
    MoveKind,
    Reference,
    VersionDraft,
    check_name,
    effective_history,
)

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)


@given(names, names)
def test_every_form_of_a_reference(model: str, name: str) -> None:
    by_version, by_alias = Reference(model, version=name), Reference(model, alias=name)
    assert Reference.parse(f"{model}:{name}") == by_version
    assert Reference.parse(f"models:/{model}/{name}") == by_version
    assert Reference.parse(f"{model}@{name}") == by_alias
    assert Reference.parse(f"models:/{model}@{name}") == by_alias


@pytest.mark.parametrize(
    "text",
    [
        "",
        "model",
        ":v",
        "@a",
        "model:",
        "model@",
        "models:/",
        "models:/m",
        "m:v\n",
        "m\n:v",
        "m/v",
        "m:a@b",
        "m v:1",
    ],
)
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(InvalidInput, match="write name:version, name@alias") as caught:
        Reference.parse(text)
    assert caught.value.details == {"field": "reference", "value": text}


@given(st.text())
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    try:
        found = Reference.parse(text)
    except InvalidInput:
        return
    assert found.model
    assert (found.version is None) != (found.alias is None)


@given(names)
def test_a_name(name: str) -> None:
    assert check_name("model", name) == name


@pytest.mark.parametrize(
    "name", ["", ".hidden", "-x", "a/b", "a b", "é", "a" * 129, "a\n", "../x"]
)
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(InvalidInput, match="is no name; use 1 to 128 letters"):
        check_name("model", name)


def test_metrics_of_a_draft_are_plain_numbers() -> None:
    draft = VersionDraft(version="1", flavor="x", metrics={"auc": np.float32(0.5), "n": 3})
    assert draft.metrics == {"auc": 0.5, "n": 3.0}
    assert {type(value) for value in draft.metrics.values()} == {float}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float64("-inf")])
def test_metrics_of_a_draft_are_finite(value: float) -> None:
    with pytest.raises(InvalidInput, match="leave it out, or measure it again"):
        VersionDraft(version="1", flavor="x", metrics={"auc": value})


def moves(text: str) -> list[AliasMove]:
    """Return moves of which each letter is a version, and ``<`` a rollback."""
    made: list[AliasMove] = []
    for seq, letter in enumerate(text, start=1):
        kind = MoveKind.ROLLBACK if letter == "<" else MoveKind.SET
        made.append(
            AliasMove(
                model="m",
                alias="champion",
                seq=seq,
                kind=kind,
                version=letter,
                previous=None,
                at=datetime(2026, 1, 1, tzinfo=UTC),
                actor="ann",
            )
        )
    return made


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("a", "a"),
        ("abc", "abc"),
        ("abc<", "ab"),
        ("abc<<", "a"),  # twice goes two steps back, it does not swing
        ("abc<d", "abd"),
        ("abc<d<", "ab"),
        ("aba<", "ab"),
        ("ab<b<c", "ac"),
    ],
)
def test_effective_history(text: str, expected: str) -> None:
    assert effective_history(moves(text)) == list(expected)
