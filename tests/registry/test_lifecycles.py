"""Lifecycles by name: declared, revised, found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from palio.errors import NotFound
from palio.registry.lifecycle import BUILTIN, STANDARD, Lifecycle
from palio.storage.store import SqlStore
from palio.testing.steps import in_threads
from palio.testing.wired import Wired

OWN = Lifecycle(
    name="own",
    initial="new",
    production="live",
    retired="old",
    transitions={"new": ("live",), "live": ("old",), "old": ("live",)},
)
LATER = replace(OWN, requires={"live": ({"metric": "auc", "at_least": 0.5},)})


def test_another_content_is_the_next_revision(wired: Wired) -> None:
    assert wired.lifecycles.declare(OWN) == OWN
    later = wired.lifecycles.declare(LATER)
    assert later == replace(LATER, revision=2)
    assert wired.lifecycles.get("own") == later
    assert wired.lifecycles.get("own", 1) == OWN
    assert wired.lifecycles.revisions("own") == [OWN, later]
    assert wired.lifecycles.list() == [*BUILTIN.values(), later]
    entries = [one for one in wired.audit.list() if one.action == "lifecycle.declare"]
    assert [(one.subject, (one.after or {})["revision"]) for one in entries] == [
        ("own", 1),
        ("own", 2),
    ]


@pytest.mark.parametrize("revision", [1, 7])
def test_the_same_content_is_what_is_there(wired: Wired, revision: int) -> None:
    wired.lifecycles.declare(OWN)
    entries = wired.audit.verify().entries
    assert wired.lifecycles.declare(replace(OWN, revision=revision)) == OWN
    assert wired.audit.verify().entries == entries
    assert wired.lifecycles.revisions("own") == [OWN]


def test_a_content_from_before_is_a_new_revision(wired: Wired) -> None:
    for one in (OWN, LATER, OWN):
        wired.lifecycles.declare(one)
    assert [one.revision for one in wired.lifecycles.revisions("own")] == [1, 2, 3]
    assert wired.lifecycles.get("own") == replace(OWN, revision=3)


def test_the_order_of_stages_is_content(wired: Wired) -> None:
    wired.lifecycles.declare(OWN)
    turned = replace(OWN, transitions=dict(reversed(OWN.transitions.items())))
    assert wired.lifecycles.declare(turned).revision == 2


def test_built_in_ones_have_one_revision(wired: Wired) -> None:
    assert wired.lifecycles.revisions("standard") == [STANDARD]
    assert wired.lifecycles.get("standard", 1) == STANDARD
    with pytest.raises(NotFound, match="'standard' has no revision 2; its newest is 1"):
        wired.lifecycles.get("standard", 2)


def test_what_is_not_there(wired: Wired) -> None:
    wired.lifecycles.declare(OWN)
    with pytest.raises(NotFound, match="'own' has no revision 0; its newest is 1"):
        wired.lifecycles.get("own", 0)
    for call in (wired.lifecycles.get, wired.lifecycles.revisions):
        with pytest.raises(NotFound, match="no lifecycle is named 'x'"):
            call("x")


def test_revisions_declared_at_once_are_all_kept(sql_store: SqlStore) -> None:
    """Eight threads declare, each something else, under a name that is new: none is lost."""
    wired = Wired(sql_store)
    figures = [place / 10 for place in range(8)]

    def declare(place: int) -> None:
        bound = {"metric": "auc", "at_least": figures[place]}
        wired.lifecycles.declare(replace(OWN, requires={"live": (bound,)}))

    in_threads([declare] * 8)
    found = wired.lifecycles.revisions("own")
    assert [one.revision for one in found] == [*range(1, 9)]
    assert sorted(one.requires["live"][0]["at_least"] for one in found) == figures
    assert wired.audit.verify().entries == 8
