"""Models that come to follow another lifecycle, or another revision of their own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from palio.access.domain import Role
from palio.errors import Conflict, Forbidden, NotFound
from palio.registry.lifecycle import Lifecycle
from palio.storage.store import SqlStore
from palio.testing.wired import Wired

FIRST = Lifecycle(
    name="own",
    initial="new",
    production="live",
    retired="old",
    transitions={
        "new": ("tried",),
        "tried": ("live", "lost"),
        "live": ("old",),
        "old": ("live",),
        "lost": (),
    },
)
SECOND = replace(  # nothing is lost any more, and whoever goes live is measured
    FIRST,
    transitions={"new": ("tried",), "tried": ("live",), "live": ("old",), "old": ("live",)},
    requires={"live": ({"metric": "auc", "at_least": 0.75},)},
    revision=2,
)


@pytest.fixture
def older(wired: Wired) -> Wired:
    """``m`` follows the first of two revisions; m:1 is in ``tried``, m:2 in ``lost``."""
    wired.lifecycles.declare(FIRST)
    wired.models.create("m", lifecycle="own")
    wired.lifecycles.declare(SECOND)
    wired.register("m:1", "m:2")
    wired.versions.move("m:1", "tried")
    wired.versions.move("m:2", "tried")
    wired.versions.move("m:2", "lost")
    return wired


def refused(wired: Wired, match: str, *given: object) -> Conflict:
    entries = wired.audit.verify().entries
    with pytest.raises(Conflict, match=match) as caught:
        wired.models.adopt(*given)  # type: ignore[arg-type]
    assert wired.audit.verify().entries == entries
    return caught.value


def test_a_model_stays_with_its_revision(older: Wired) -> None:
    assert older.models.lifecycle("m") == FIRST
    older.versions.promote("m:1")  # without the figure that the second asks for
    older.models.create("fresh", lifecycle="own")
    assert older.models.lifecycle("fresh") == SECOND


def test_what_stands_where_there_is_no_place_is_named(older: Wired) -> None:
    match = (
        "m cannot adopt revision 2 of own, which has no place for m:2 in lost: its stages are "
        "new, tried, live, old, and live is the champion's; move or delete these versions first"
    )
    assert refused(older, match, "m").details["versions"] == ["m:2 in lost"]
    assert older.models.lifecycle("m") == FIRST


def test_a_model_adopts_what_has_its_stages(older: Wired) -> None:
    older.versions.delete("m:2")
    adopted = older.models.adopt("m", reason="measured from now on")
    assert (adopted.lifecycle, adopted.lifecycle_revision) == ("own", 2)
    assert older.models.lifecycle("m") == SECOND
    with pytest.raises(Conflict, match="metric auc"):
        older.versions.promote("m:1")
    last = older.audit.list(limit=1_000)[-1]
    assert (last.action, last.subject, last.reason) == ("model.adopt", "m", "measured from now on")
    assert last.before == {"lifecycle": "own", "revision": 1}
    assert last.after == {"lifecycle": "own", "revision": 2}
    assert older.models.adopt("m", revision=1).lifecycle_revision == 1


def test_what_was_deleted_is_restored_where_it_has_a_place(older: Wired) -> None:
    older.versions.delete("m:2")
    older.models.adopt("m")
    match = (
        "m:2 cannot be restored to lost: revision 2 of the lifecycle 'own' has no place for it "
        "there; `palio models adopt m` takes the model to one that has"
    )
    with pytest.raises(Conflict, match=match):
        older.versions.restore("m:2")
    older.models.adopt("m", revision=1)
    assert older.versions.restore("m:2").stage == "lost"


def test_production_is_the_champion_s_alone(wired: Wired) -> None:
    turned = replace(FIRST, name="turned", production="tried", retired="old", transitions={
        "new": ("tried", "live"), "live": ("tried",), "tried": ("old",), "old": ("tried",),
    })  # fmt: skip
    wired.lifecycles.declare(FIRST)
    wired.lifecycles.declare(turned)
    wired.models.create("m", lifecycle="own")
    wired.register("m:1", "m:2")
    wired.versions.move("m:1", "tried")
    refused(wired, "no place for m:1 in tried", "m", "turned")
    wired.versions.promote("m:1")
    refused(wired, "no place for m:1 in live", "m", "turned")
    wired.versions.promote(wired.versions.move("m:2", "tried").reference)
    assert wired.versions.get("m:1").stage == "old"
    refused(wired, "no place for m:2 in live", "m", "turned")


def test_what_is_followed_already_is_refused(older: Wired) -> None:
    refused(older, "m follows revision 1 of own already; nothing to do", "m", "own", 1)
    with pytest.raises(NotFound, match="'own' has no revision 3; its newest is 2"):
        older.models.adopt("m", revision=3)
    with pytest.raises(NotFound, match="'standard' has no revision 2; its newest is 1"):
        older.models.adopt("m", "standard", 2)
    with pytest.raises(NotFound, match="no lifecycle is named 'x'"):
        older.models.adopt("m", "x")


def test_adopting_is_for_admins(older: Wired) -> None:
    """Who declares and promotes could else leave the requirements behind alone."""
    with pytest.raises(Forbidden, match="needs admin"):
        older.acting("bob", Role.OPERATOR).models.adopt("m")


def test_on_databases(sql_store: SqlStore) -> None:
    wired = Wired(sql_store)
    assert wired.lifecycles.declare(FIRST).revision == 1
    wired.models.create("m", lifecycle="own")
    assert wired.lifecycles.declare(SECOND) == SECOND
    wired.register("m:1")
    assert wired.models.adopt("m").lifecycle_revision == 2
    assert wired.models.lifecycle("m") == SECOND
    assert wired.lifecycles.revisions("own") == [FIRST, SECOND]
