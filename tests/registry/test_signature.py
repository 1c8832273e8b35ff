"""Rows against a signature: what fits becomes a table, what does not is named."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palio.errors import InvalidInput, InvalidRows
from palio.registry.signature import Feature, FeatureType, Predictions, Signature, Task

NUMBER, INTEGER = FeatureType.NUMBER, FeatureType.INTEGER
BOOLEAN, STRING = FeatureType.BOOLEAN, FeatureType.STRING
SIGNATURE = Signature(
    (
        Feature("x", NUMBER),
        Feature("n", INTEGER),
        Feature("b", BOOLEAN),
        Feature("s", STRING, nullable=True),
    ),
    Task.REGRESSION,
)
ROW = {"x": 1.5, "n": 2, "b": True, "s": "a"}


def test_rows_come_out_in_the_order_of_features() -> None:
    rows: list[object] = [ROW, {"s": None, "b": False, "n": 3.0, "x": 1}, [1.5, 2, True, "a"]]
    assert SIGNATURE.table(rows) == [
        [1.5, 2, True, "a"],
        [1, 3.0, False, None],
        [1.5, 2, True, "a"],
    ]


cells = {
    NUMBER: st.floats(allow_nan=False, allow_infinity=False) | st.integers(),
    INTEGER: st.integers() | st.integers(-(2**50), 2**50).map(float),
    BOOLEAN: st.booleans(),
    STRING: st.text(),
}
features = st.lists(
    st.builds(Feature, st.text(), st.sampled_from(FeatureType), st.booleans()),
    min_size=1,
    max_size=4,
    unique_by=lambda feature: feature.name,
)


@given(features, st.data())
def test_what_fits_is_kept_as_it_is(some: list[Feature], data: st.DataObject) -> None:
    signature = Signature(tuple(some), Task.REGRESSION)
    missing = st.none() | st.just(math.nan)
    table = data.draw(
        st.lists(
            st.tuples(
                *(cells[one.type] | missing if one.nullable else cells[one.type] for one in some)
            ),
            min_size=1,
            max_size=3,
        )
    )
    by_name = [dict(zip([one.name for one in some], row, strict=True)) for row in table]
    expected = [list(map(repr, row)) for row in table]
    for rows in (table, by_name):
        found = signature.table(rows)
        assert [list(map(repr, row)) for row in found] == expected


def row(**changed: Any) -> dict[str, Any]:
    return {**ROW, **changed}


@pytest.mark.parametrize(
    ("bad", "field", "message"),
    [
        (row(x="1"), "x", "row 1, field 'x': '1' is no number"),
        (row(x=True), "x", "row 1, field 'x': True is no number"),
        (row(x=math.inf), "x", "row 1, field 'x': inf is no number"),
        (row(x=[1]), "x", "row 1, field 'x': [1] is no number"),
        (row(n=1.5), "n", "row 1, field 'n': 1.5 is no integer"),
        (row(n=True), "n", "row 1, field 'n': True is no integer"),
        (row(n=math.inf), "n", "row 1, field 'n': inf is no integer"),
        (row(b=1), "b", "row 1, field 'b': 1 is no boolean"),
        (row(b="true"), "b", "row 1, field 'b': 'true' is no boolean"),
        (row(s=1), "s", "row 1, field 's': 1 is no string"),
        (row(s=b"a"), "s", "row 1, field 's': b'a' is no string"),
        (row(x=None), "x", "row 1, field 'x': is missing, and this field must be given"),
        (row(x=math.nan), "x", "row 1, field 'x': nan is missing, and this field must be given"),
        (row(b=math.nan), "b", "row 1, field 'b': nan is missing, and this field must be given"),
        ({"x": 1.5, "n": 2, "b": True}, "s", "row 1, field 's': is not in the row"),
        ({}, "x", "row 1, field 'x': is not in the row"),
        (row(y=7), "y", "row 1, field 'y': 7 is unknown to this version"),
        ([1.5, 2, True], None, "row 1: 3 values were sent, and 4 are expected"),
        ([1.5, 2, True, "a", 1], None, "row 1: 5 values were sent, and 4 are expected"),
        (["a", 2, True, "a"], "x", "row 1, field 'x': 'a' is no number"),
        ("abcd", None, "row 1: 'abcd' is neither an object nor an array"),
        (7, None, "row 1: 7 is neither an object nor an array"),
        (None, None, "row 1: is neither an object nor an array"),
    ],
)
def test_what_does_not_fit_is_named(bad: object, field: str | None, message: str) -> None:
    with pytest.raises(InvalidRows) as caught:
        SIGNATURE.table([ROW, bad, ROW])
    assert str(caught.value) == message
    assert (caught.value.details["row"], caught.value.details["field"]) == (1, field)


@pytest.mark.parametrize("more", [1, None])  # None: nothing is told of the row as a whole
def test_integers_are_let_in_as_far_as_they_have_a_float(more: int | None) -> None:
    loose = Signature((Feature("x", NUMBER), Feature("y", NUMBER, nullable=True)), Task.REGRESSION)
    largest = 2**1024 - 2**970 - 1  # rounds to the largest float, 2^1024 - 2^971
    for fits in (largest, -largest):
        assert loose.table([[fits, more]]) == [[fits, more]]
    for large in (largest + 1, -largest - 1):
        with pytest.raises(InvalidRows, match="is no number"):
            loose.table([[large, more]])


def test_infinities_do_not_cancel_out() -> None:
    wide = Signature(tuple(Feature(name, NUMBER) for name in "xyz"), Task.REGRESSION)
    largest = 1.7976931348623157e308  # two of them add up to more than any float
    assert wide.table([[largest, largest, 1]]) == [[largest, largest, 1]]
    for cells in ([math.inf, -math.inf, 1], [1, 2, math.inf], [largest, math.nan, -largest]):
        with pytest.raises(InvalidRows):
            wide.table([cells])


def test_a_number_that_is_none_is_not_in_the_details() -> None:
    with pytest.raises(InvalidRows) as caught:
        SIGNATURE.table([row(x=math.nan)])
    assert caught.value.details["value"] is None


def test_no_rows() -> None:
    with pytest.raises(InvalidRows, match="send at least one row"):
        SIGNATURE.table([])


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=8,
)


@given(st.lists(junk, max_size=3))
def test_anything_fits_or_is_refused(rows: list[object]) -> None:
    try:
        found = SIGNATURE.table(rows)
    except InvalidRows:
        return
    assert all(len(row) == len(SIGNATURE.features) for row in found)


def test_numeric_and_shape() -> None:
    assert not SIGNATURE.numeric
    plain = Signature((Feature("x", NUMBER), Feature("b", BOOLEAN)), Task.REGRESSION)
    assert plain.numeric
    looser = Signature((Feature("x", NUMBER, nullable=True), plain.features[1]), Task.REGRESSION)
    assert looser.shape == plain.shape
    assert Signature(plain.features, Task.CLASSIFICATION, (0, 1)).shape != plain.shape
    assert Signature(plain.features[::-1], Task.REGRESSION).shape != plain.shape


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_model_answers_numbers(bad: float) -> None:
    with pytest.raises(ValueError, match="which is no number"):
        Predictions([1.0, bad])
    with pytest.raises(ValueError, match="which is no number"):
        Predictions(["a"], [[0.5, bad]])
    assert Predictions(["nan", 1, True, 0.5], [[0.0, 1.0]]).values == ["nan", 1, True, 0.5]


SOUND = Signature((Feature("sound", NUMBER, size=3), Feature("gain", NUMBER)), Task.REGRESSION)


def test_an_array_is_as_many_columns_of_the_table() -> None:
    rows: list[object] = [
        {"gain": 2.0, "sound": [0.5, 1, -1.5]},
        [(0.0, 0.0, 0.0), 1],
    ]
    assert SOUND.table(rows) == [[0.5, 1, -1.5, 2.0], [0.0, 0.0, 0.0, 1]]
    assert SOUND.width == 4
    assert [one.name for one in SOUND.columns] == ["sound[0]", "sound[1]", "sound[2]", "gain"]
    assert SOUND.numeric


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ([0.1, 0.2], "an array of 3 values of type number is expected, got 2"),
        (0.1, "an array of 3 values of type number is expected, got a float"),
        ("abc", "an array of 3 values of type number is expected, got a str"),
        ([0.1, "x" * 500, 0.2], "the one at 1 is 'x"),
        ([0.1, 0.2, math.nan], "the one at 2 is 'nan'"),
        ([0.1, None, 0.2], "the one at 1 is 'None'"),
    ],
)
def test_what_is_no_such_array_is_refused_in_few_words(cell: object, why: str) -> None:
    with pytest.raises(InvalidRows, match=re.escape(why)) as refused:
        SOUND.table([{"sound": cell, "gain": 1.0}])
    assert refused.value.details["field"] == "sound"
    assert len(refused.value.message) < 200


def test_cells_of_an_array_may_be_missing_where_it_says_so() -> None:
    loose = Signature((Feature("sound", NUMBER, nullable=True, size=2),), Task.REGRESSION)
    assert loose.table([[[None, 1.0]]]) == [[None, 1.0]]


def test_arrays_of_other_sizes_are_other_rows() -> None:
    other = replace(SOUND, features=(Feature("sound", NUMBER, size=4), Feature("gain", NUMBER)))
    assert other.shape != SOUND.shape


@pytest.mark.parametrize("size", [0, -1, 1_000_001])
def test_a_size_that_no_request_holds_is_refused(size: int) -> None:
    with pytest.raises(InvalidInput, match="size of sound"):
        Feature("sound", NUMBER, size=size)
