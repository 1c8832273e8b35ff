"""Order, pages and their tokens."""

from __future__ import annotations

import base64
import json
from itertools import pairwise

import pytest

from palio.errors import InvalidInput, NotFound
from palio.registry.domain import VersionDraft
from palio.registry.search.pages import Key, Order, Place, parse_order
from palio.testing.wired import Wired


@pytest.fixture
def five(wired: Wired) -> Wired:
    """Five versions: figures with a tie, and two that lack them."""
    for number, auc in enumerate([0.5, None, 0.9, 0.5, None], start=1):
        metrics = {} if auc is None else {"auc": auc}
        draft = VersionDraft(version=f"v{number}", flavor="plain", metrics=metrics)
        wired.versions.register("m", draft, {})
    return wired


def walked(wired: Wired, where: str = "", order: str = "", limit: int = 2) -> str:
    names, token = [], ""
    while True:
        page = wired.versions.search(where, order, limit, token)
        names += [version.version[1:] for version in page.versions]
        assert len(page.versions) == limit or not page.next
        token = page.next
        if not token:
            return "".join(names)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("", "54321"),
        ("metrics.auc", "14325"),
        ("metrics.auc asc", "14325"),
        ("METRICS.auc DESC", "34152"),
        ("metrics.auc, created_at desc", "41352"),
        ("metrics.auc desc, ordinal", "31425"),
        ("metrics.auc, ordinal desc", "41352"),
        ("tags.none desc", "54321"),
        ("tags.none", "12345"),
        ("stage, metrics.auc desc, ordinal desc", "34152"),
    ],
)
@pytest.mark.parametrize("limit", [1, 2, 5, 1_000])
def test_orders(five: Wired, order: str, expected: str, limit: int) -> None:
    """Those that lack the figure come last both ways; ties go by arrival, like the last field."""
    assert walked(five, order=order, limit=limit) == expected


def test_a_full_last_page_has_no_next(five: Wired) -> None:
    assert five.versions.search(limit=5).next == ""
    assert five.versions.search(limit=4).next != ""
    assert five.versions.search("stage = 'none'").versions == ()


def test_pages_neither_repeat_nor_miss_when_versions_come(five: Wired) -> None:
    page = five.versions.search(order="metrics.auc desc", limit=2)
    five.versions.register(
        "m", VersionDraft(version="v6", flavor="plain", metrics={"auc": 0.7}), {}
    )
    rest = five.versions.search(order="metrics.auc desc", after=page.next)
    seen = [version.version for version in (*page.versions, *rest.versions)]
    assert seen == ["v3", "v4", "v1", "v5", "v2"]  # v6 stands on a page that was read


def test_edits_show(five: Wired) -> None:
    five.versions.edit("m:v2", tags={"team": "risk"})
    assert walked(five, "tags.team = 'risk'") == "2"
    five.versions.delete("m:v2", "wrong data")
    assert walked(five, "tags.team = 'risk'") == ""
    assert walked(five, "deleted = true") == "2"
    five.models.set_alias("m", "next", "v3")
    five.models.set_alias("m", "next", "v4")
    assert walked(five, "alias = 'next'") == "4"


@pytest.mark.parametrize("limit", [0, -1, 1_001])
def test_limits(five: Wired, limit: int) -> None:
    with pytest.raises(InvalidInput, match=f"limit is {limit}; a page has 1 to 1000 versions"):
        five.versions.search(limit=limit)


WRONG_ORDERS = {
    "auc": "order: no field is named 'auc'",
    "alias": "order: a version may have several aliases, or none; order by another field",
    "stage,": "order: expected the name of a field, found the end",
    "stage down": "order: expected asc, desc, a comma, or the end, found 'down'",
    "stage, model, version, flavor, type": "order: more than 4 fields to order by",
    "metrics": "order: metrics needs a name",
}


@pytest.mark.parametrize("order", WRONG_ORDERS)
def test_orders_that_are_none(order: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_order(order)
    assert str(caught.value).startswith(WRONG_ORDERS[order])
    assert caught.value.details["field"] == "order"


ORDER = parse_order("metrics.auc desc, tags.`a b`")


def test_a_token_holds_its_place() -> None:
    assert Order((Key("metrics.auc", descending=True), Key("tags.a b"))) == ORDER
    places = [Place((1.5, "ü"), 7), Place((None, None), 0), Place((-0.0, ""), 2**62)]
    for place in places:
        assert ORDER.place_of(ORDER.token(place)) == place
    assert ORDER.place_of("") is None


def token_of(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def test_a_token_of_another_order_is_refused() -> None:
    token = parse_order("metrics.auc").token(Place((1.5,), 7))
    with pytest.raises(InvalidInput, match="after is of a page in another order") as caught:
        ORDER.place_of(token)
    assert caught.value.details["field"] == "after"


MARK = json.loads(base64.urlsafe_b64decode(ORDER.token(Place((1.5, "ü"), 7)) + "=="))[0]


@pytest.mark.parametrize(
    "token",
    ["x", "é", "e30", "!!!!", token_of([]), token_of([MARK, [1.5, "u"]]),
     token_of([MARK, [1.5], 7]), token_of([MARK, ["1.5", "u"], 7]),
     token_of([MARK, [1.5, 2.5], 7]),
     token_of([MARK, [1.5, "u"], -1]), token_of([MARK, [1.5, "u"], 2**63]),
     token_of([MARK, [1.5, "u\0"], 7]), token_of([MARK, [1.5, "u" * 401], 7]),
     token_of([MARK, [[], "u"], 7]), "W1t" * 9_000],
)  # fmt: skip
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidInput, match="after is not what a page gave as next") as caught:
        ORDER.place_of(token)
    assert caught.value.details["field"] == "after"


def test_places_are_in_one_order() -> None:
    places = [Place((2.0, "a"), 2), Place((1.0, "a"), 9), Place((1.0, "b"), 1),
              Place((1.0, None), 3), Place((1.0, None), 4), Place((None, "a"), 0),
              Place((None, None), 0)]  # fmt: skip
    for one, other in pairwise(places):
        assert (ORDER.compare(one, other), ORDER.compare(other, one)) == (-1, 1)
    assert all(ORDER.compare(place, place) == 0 for place in places)


def test_a_model_that_is_not_there_is_no_error(wired: Wired) -> None:
    assert wired.versions.search("model = 'none'").versions == ()
    with pytest.raises(NotFound):
        wired.versions.list("none")
