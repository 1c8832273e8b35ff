"""What may be written about a version, and what is refused with field, value and remedy."""

from __future__ import annotations

import enum
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palio.errors import InvalidInput
from palio.registry.describing.metadata import (
    check_document,
    check_figures,
    check_text,
    check_texts,
)
from palio.registry.domain import VersionDraft


class Side(enum.StrEnum):
    LONG = "long"


def deep(levels: int) -> Any:
    made: Any = {}
    for _ in range(levels):
        made = {"a": made}
    return made


def test_numbers_and_texts_become_plain() -> None:
    given_ = {"f": np.float64(0.5), "i": np.int64(3), "s": Side.LONG, "t": (1, None, True)}
    made = check_document("policy", given_)
    assert made == {"f": 0.5, "i": 3, "s": "long", "t": [1, None, True]}
    assert [type(value) for value in made.values()] == [float, int, str, list]
    figures = check_figures("metrics", {"auc": np.float32(0.5), "n": 3})
    assert [(value, type(value)) for value in figures.values()] == [(0.5, float), (3.0, float)]


def test_nobody_changes_a_record_from_outside() -> None:
    policy: dict[str, Any] = {"limits": [1]}
    draft = VersionDraft(version="1", flavor="x", policy=policy, tags={})
    policy["limits"].append(2)
    assert draft.policy == {"limits": [1]}


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"a": {"b": [1, math.nan]}}, r"policy\.a\.b\[1\]: nan is no finite number"),
        ({"a": math.inf}, r"policy\.a: inf is no finite number; leave it out"),
        ({"a": 2**63}, "has too many digits; write it as a text"),
        ({"a": {1, 2}}, "is a set; give texts, numbers, true, false, null, lists and mappings"),
        ({"a": b"x"}, "is a bytes; give texts"),
        ({1: "a"}, "a key in policy: 1 is a int; give a text"),
        ({"a": {None: 1}}, r"a key in policy\.a: None is a NoneType"),
        ({"a": "x\x00"}, r"policy\.a: 'x\\x00' holds the character '\\x00'; take it out"),
        ({"\ud800": 1}, "holds the character '.ud800'; take it out"),
        ([1], r"policy: \[1\] is a list; give names with their values"),
        (deep(40), "is nested deeper than 32; make it flatter"),
        ({"a": "x" * 300_000}, "has 300,000 characters; keep it within 262,144"),
        (
            {"a": ["x" * 1000] * 300},
            "bytes as JSON; keep it within 262,144 and the rest in a file",
        ),
    ],
)
def test_policies_that_are_refused(policy: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        VersionDraft(version="1", flavor="x", policy=policy)
    assert "policy" in str(caught.value.details["field"])
    assert len(caught.value.message) < 400


def test_a_mapping_that_holds_itself_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["a"] = endless
    with pytest.raises(InvalidInput, match="nested deeper"):
        check_document("policy", endless)


@pytest.mark.parametrize("field", ["metrics", "backtest"])
@pytest.mark.parametrize("value", [math.nan, -math.inf, "0.9", None, [1], 10**400])
def test_figures_that_are_refused(field: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=rf"{field}\.auc: .*leave it out, or measure it again"):
        VersionDraft(version="1", flavor="x", **{field: {"auc": value}})


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("tags", {"team": 3}, r"tags\.team: 3 is a int; give a text"),
        ("tags", {"": "x"}, "a text that is not empty"),
        ("tags", {"a" * 300: "x"}, "has 300 characters; keep it within 256"),
        ("tags", {str(n): "" for n in range(201)}, "has 201 entries; keep it within 200"),
        ("source", {"run": None}, r"source\.run: None is a NoneType; give a text"),
        ("source", "run-1", "is a str; give names with their values"),
        ("description", "x" * 10_001, "has 10,001 characters; keep it within 10,000"),
        ("description", "\x1b[31mred", "holds the character '.x1b'; take it out"),
        ("card", "x" * 100_001, "keep it within 100,000"),
        ("framework", "x" * 257, "keep it within 256"),
        ("type", None, "type: None is a NoneType; give a text"),
        ("external_ref", 7, "external_ref: 7 is a int; give a text"),
        ("training", {"when": object}, r"training\.when: .* is a type; give texts"),
    ],
)
def test_fields_that_are_refused(field: str, value: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        VersionDraft(version="1", flavor="x", **{field: value})


def test_lines_and_any_script_are_fine() -> None:
    for text in ("one\ntwo\r\n\tthree", "日本 🦉 \u202e", ""):
        assert check_text("card", text) == text
    assert check_texts("tags", {"ü": ""}) == {"ü": ""}


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(ANYTHING)
def test_anything_is_taken_or_refused(value: Any) -> None:
    try:
        made = check_document("policy", {"a": value})
    except InvalidInput:
        return
    assert check_document("policy", made) == made
