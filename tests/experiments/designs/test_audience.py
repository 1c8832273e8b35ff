"""Whom an experiment is for: every test on every kind of value, and what is refused."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palio.errors import InvalidInput
from palio.experiments.designs.audience import Condition, Test, check_attributes, value_of

SOMEBODY = {"country": "NL", "age": 41, "score": 0.5, "pro": True, "one": 1}
values = st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | st.sampled_from(["a", "b", "5"])


@pytest.mark.parametrize(
    ("said", "met"),
    [
        ("country = NL", True),
        ("country=BE", False),
        ("country = nl", False),
        ("country in BE, NL", True),
        ("country in BE,FR", False),
        ("age = 41", True),
        ("age = 41.0", True),
        ("age in 40,41", True),
        ("age >= 41", True),
        ("age > 41", False),
        ("age <= 41", True),
        ("age < 41", False),
        ("score < 5e-1", False),
        ("score <= 0.5", True),
        ("country < O", True),
        ("country > 5", False),  # a text is no number
        ("age > A", False),
        ("pro = true", True),
        ("pro = false", False),
        ("pro = 1", False),  # true is not 1
        ("one = true", False),
        ("pro >= 0", False),
        ("pro exists", True),
        ("nothing exists", False),
        ("nothing = NL", False),
        ("nothing in NL", False),
        ("nothing < 5", False),
    ],
)
def test_conditions_as_people_write_them(said: str, *, met: bool) -> None:
    condition = Condition.parse(said)
    assert condition.met_by(SOMEBODY) is met
    assert msgspec.json.decode(msgspec.json.encode(condition), type=Condition) == condition


def test_what_must_not_be_there() -> None:
    absent = Condition("pro", Test.EXISTS, value=False)
    assert not absent.met_by(SOMEBODY)
    assert absent.met_by({})


@given(values, values)
def test_order_is_pythons_where_both_are_texts_or_numbers(one: Any, other: Any) -> None:
    def kind(value: Any) -> str:
        return (
            "bool" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"
        )

    same = kind(one) == kind(other)
    said = {"x": one}
    assert Condition("x", Test.IS, other).met_by(said) is (same and one == other)
    assert Condition("x", Test.IN, (other,)).met_by(said) is (same and one == other)
    if kind(other) != "bool":
        assert Condition("x", Test.BELOW, other).met_by(said) is (same and one < other)
        assert Condition("x", Test.AT_MOST, other).met_by(said) is (same and one <= other)
        assert Condition("x", Test.ABOVE, other).met_by(said) is (same and one > other)
        assert Condition("x", Test.AT_LEAST, other).met_by(said) is (same and one >= other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("x", Test.IN, "NL"), "x in needs a list of 1 to 1000 values, got 'NL'"),
        (("x", Test.IN, ()), "needs a list of 1 to 1000 values"),
        (("x", Test.IN, (1,) * 1_001), "needs a list of 1 to 1000 values"),
        (("x", Test.IS, ("a",)), "x = needs one value"),
        (("x", Test.BELOW, True), "x < needs a text or a number, got True"),
        (("x", Test.BELOW, ("a",)), "x < needs a text or a number"),
        (("x", Test.EXISTS, "yes"), "x exists needs true or false"),
        (("x", Test.ABOVE, nan), "x must be a number of at most"),
        (("x", Test.ABOVE, 2**63), "x must be a number of at most 9223372036854775807"),
        (("x", Test.IN, (inf,)), "x must be a number of at most"),
        (("", Test.EXISTS), "name must have 1 to 256 characters"),
        (("x", Test.IS, "a" * 257), "x must have at most 256 characters, got 257"),
    ],
)
def test_conditions_that_are_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InvalidInput, match=f"audience: .*{message}"):
        Condition(*arguments)


@pytest.mark.parametrize(
    "said", ["", "country", "country NL", "in NL", "= 5", "a b = 5", "exists"]
)
def test_words_that_are_no_condition(said: str) -> None:
    with pytest.raises(InvalidInput, match="is no condition; write as in 'country in NL,BE'"):
        Condition.parse(said)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("NL", "NL"),
        ("", ""),
        ("true", True),
        ("True", "True"),
        ("-7", -7),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("nan", "nan"),
        ("1_000", "1_000"),
        ("9" * 400, "9" * 400),
    ],
)
def test_values_as_people_write_them(text: str, value: object) -> None:
    found = value_of(text)
    assert (found, type(found)) == (value, type(value))


def test_attributes_that_are_taken() -> None:
    check_attributes({})
    check_attributes(SOMEBODY)
    check_attributes({"a" * 256: "b" * 256, "largest": 2**63 - 1})
    check_attributes({str(number): number for number in range(64)})


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({str(number): number for number in range(65)}, "65 attributes were sent; .* at most 64"),
        ({"": 1}, "name must have 1 to 256 characters"),
        ({"a" * 257: 1}, "name must have 1 to 256 characters"),
        ({5: 1}, "name must have 1 to 256 characters"),
        ({"x": "a" * 257}, "x must have at most 256 characters"),
        ({"x": nan}, "x must be a number of at most"),
        ({"x": 10**400}, "x must be a number of at most"),
        ({"x": None}, "x must be a text, a number or a truth value, got NoneType"),
        ({"x": ["a"]}, "x must be a text, a number or a truth value, got list"),
    ],
)
def test_attributes_that_are_refused(said: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=f"attributes: .*{message}") as caught:
        check_attributes(said)
    assert caught.value.details["field"] == "attributes"


@pytest.mark.parametrize("text", ["country in NL,BE", "age >= 18", "plan = pro", "email exists"])
def test_a_condition_reads_as_it_was_written(text: str) -> None:
    assert str(Condition.parse(text)) == text
    assert Condition.parse(str(Condition.parse(text))) == Condition.parse(text)
