"""What may be edited, with audit; all else is frozen."""

from __future__ import annotations

from typing import Any

import pytest

from palio.errors import InvalidInput, NotFound
from palio.testing.wired import Wired


@pytest.fixture(params=["memory_store", "sqlite_store", "postgres_store"])
def everywhere(request: pytest.FixtureRequest) -> Wired:
    """A version on each kind of store, in turn."""
    made = Wired(request.getfixturevalue(request.param))
    made.register("m:1")
    return made


@pytest.fixture
def one(wired: Wired) -> Wired:
    wired.register("m:1")
    return wired


def test_a_version_is_edited(everywhere: Wired) -> None:
    versions = everywhere.versions
    versions.edit("m:1", tags={"a": "1", "b": "2"}, card="# ü")
    made = versions.edit("m:1", description="who pays", tags={"b": "3"}, reason="tidied")
    assert made == versions.get("m:1")
    assert (made.description, made.tags, made.card) == ("who pays", {"b": "3"}, "# ü")
    last = everywhere.audit.list()[-1]
    assert (last.action, last.subject, last.actor, last.reason) == (
        "version.edit", "m:1", "ann", "tidied"
    )  # fmt: skip
    assert last.before == {"description": "", "tags": {"a": "1", "b": "2"}}
    assert last.after == {"description": "who pays", "tags": {"b": "3"}}
    assert everywhere.audit.verify().broken is None


def test_a_model_is_edited(everywhere: Wired) -> None:
    made = everywhere.models.edit("m", tags={"team": "risk"}, reason="why")
    assert made == everywhere.models.get("m")
    assert (made.tags, made.description) == ({"team": "risk"}, "")
    last = everywhere.audit.list()[-1]
    assert (last.action, last.subject, last.reason) == ("model.edit", "m", "why")
    assert (last.before, last.after) == ({"tags": {}}, {"tags": {"team": "risk"}})


def test_an_alias_names_a_version_too(one: Wired) -> None:
    one.versions.promote("m:1")
    assert one.versions.edit("m@champion", external_ref="run:1").external_ref == "run:1"
    assert one.audit.list()[-1].subject == "m:1"


def test_an_edit_that_changes_nothing_is_no_entry(one: Wired) -> None:
    one.versions.edit("m:1", description="x", tags={"a": "b"})
    before = one.audit.list()
    one.versions.edit("m:1", description="x", tags={"a": "b"}, reason="again")
    one.versions.edit("m:1")
    one.models.edit("m", description="")
    assert one.audit.list() == before


def test_only_what_differs_is_in_the_entry(one: Wired) -> None:
    one.versions.edit("m:1", description="x", card="c")
    one.versions.edit("m:1", description="x", card="d")
    last = one.audit.list()[-1]
    assert (last.before, last.after) == ({"card": "c"}, {"card": "d"})


def test_texts_and_tags_are_cleared(one: Wired) -> None:
    one.versions.edit("m:1", description="x", tags={"a": "b"})
    made = one.versions.edit("m:1", description="", tags={})
    assert (made.description, made.tags) == ("", {})


@pytest.mark.parametrize(
    "given",
    [{"tags": {"a": 1}}, {"description": "\x00"}, {"card": "x" * 100_001}, {"external_ref": 7}],
)
def test_what_could_not_be_registered_is_no_edit_either(one: Wired, given: Any) -> None:
    before = one.versions.get("m:1"), one.audit.list()
    with pytest.raises(InvalidInput, match=next(iter(given))):
        one.versions.edit("m:1", **given)
    assert (one.versions.get("m:1"), one.audit.list()) == before


def test_a_model_is_created_with_what_it_could_be_edited_to(wired: Wired) -> None:
    with pytest.raises(InvalidInput, match=r"description: .* holds the character"):
        wired.models.create("m", "\x1b[31mred")
    assert wired.models.list() == []


def test_what_does_not_exist_is_not_edited(one: Wired) -> None:
    with pytest.raises(NotFound, match="m has no version '9'"):
        one.versions.edit("m:9", description="x")
    with pytest.raises(NotFound, match="no model is named 'x'"):
        one.models.edit("x", description="x")


@pytest.mark.parametrize("field", ["metrics", "policy", "parent", "stage", "nothing"])
def test_all_else_is_frozen(one: Wired, field: str) -> None:
    with pytest.raises(TypeError, match=field):
        one.versions.edit("m:1", **{field: {}})
