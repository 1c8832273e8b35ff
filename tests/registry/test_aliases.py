"""Aliases that point nowhere, and where they pointed on a day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palio.access.domain import Role
from palio.errors import Conflict, Forbidden, InvalidInput, NotFound
from palio.registry.domain import CHAMPION, AliasMove, MoveKind, effective_history
from palio.registry.lifecycle import Lifecycle
from palio.testing.wired import Wired

GUARDED = Lifecycle(
    name="guarded",
    initial="a",
    production="b",
    retired="c",
    transitions={"a": ("b",), "b": ("c",), "c": ()},
    aliases={"shadow": Role.ADMIN},
)
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
def three(wired: Wired) -> Wired:
    wired.register("m:1", "m:2", "m:3")
    return wired


# -- clearing


def test_a_cleared_alias_points_nowhere(three: Wired) -> None:
    three.models.set_alias("m", "next", "2")
    cleared = three.models.clear_alias("m", "next", expected="2", reason="over")
    assert (cleared.kind, cleared.version, cleared.previous) == (MoveKind.CLEARED, None, "2")
    assert three.models.aliases("m") == {}
    with pytest.raises(NotFound, match="m has no alias 'next'"):
        three.versions.get("m@next")
    last = three.audit.list(limit=1_000)[-1]
    assert (last.action, last.subject, last.reason) == ("alias.clear", "m@next", "over")
    assert (last.before, last.after) == ({"version": "2"}, {"version": None})
    again = three.models.set_alias("m", "next", "3", expected="")
    assert (again.seq, again.previous) == (3, None)


def test_clearing_is_refused_where_setting_would_be(three: Wired) -> None:
    three.models.set_alias("m", "next", "2")
    entries = three.audit.verify().entries
    with pytest.raises(Conflict, match="m@next points at 2, not at 1"):
        three.models.clear_alias("m", "next", expected="1")
    with pytest.raises(Conflict, match="m@other points nowhere; nothing to clear"):
        three.models.clear_alias("m", "other")
    with pytest.raises(Conflict, match="promote another version, or delete the model"):
        three.models.clear_alias("m", CHAMPION)
    with pytest.raises(NotFound, match="no model is named 'x'"):
        three.models.clear_alias("x", "next")
    assert three.audit.verify().entries == entries
    assert three.models.aliases("m") == {"next": "2"}


def test_clearing_needs_the_role_that_setting_needs(wired: Wired) -> None:
    wired.lifecycles.declare(GUARDED)
    wired.models.create("m", lifecycle="guarded")
    wired.register("m:1")
    wired.models.set_alias("m", "shadow", "1")
    operator = wired.acting("bob", Role.OPERATOR).models
    with pytest.raises(Forbidden, match="clearing m@shadow needs admin"):
        operator.clear_alias("m", "shadow")
    assert wired.models.clear_alias("m", "shadow").version is None


moves_drawn = st.lists(st.sampled_from(["1", "2", "3", "back", "clear"]), max_size=20)


@given(moves_drawn)
def test_there_is_no_way_back_behind_a_cleared_alias(drawn: list[str]) -> None:
    made: list[AliasMove] = []
    known: list[str] = []  # since it was cleared, and not rolled back from
    for kind in drawn:
        if kind == "clear":
            known = []
        elif kind == "back":
            if len(known) < 2:
                continue
            known = known[:-1]
        else:
            known = [*known, kind]
        names = {"clear": MoveKind.CLEARED, "back": MoveKind.ROLLBACK}
        made.append(
            AliasMove(
                model="m",
                alias="champion",
                seq=len(made) + 1,
                kind=names.get(kind, MoveKind.SET),
                version=known[-1] if known else None,
                previous=made[-1].version if made else None,
                at=NOON,
                actor="ann",
            )
        )
    assert effective_history(made) == known


# -- on a day


def test_what_was_production_on_a_day(three: Wired) -> None:
    start = three.clock.now
    for version in ("1", "2"):
        three.versions.promote(f"m:{version}", reason=f"why {version}")
        three.clock.advance(3_600)
    three.models.rollback("m")
    at = three.models.at
    assert at("m", start).version == "1"
    assert at("m", start + timedelta(seconds=3_599)).version == "1"
    found = at("m", start + timedelta(hours=1))
    assert (found.version, found.previous, found.actor) == ("2", "1", "ann")
    assert (found.reason, found.at) == ("why 2", start + timedelta(hours=1))
    assert at("m", start + timedelta(days=400)).version == "1"
    tokyo = timezone(timedelta(hours=9))
    assert at("m", (start + timedelta(hours=1)).astimezone(tokyo)) == found


def test_before_the_first_move_there_was_nothing(three: Wired) -> None:
    moment = three.clock.now - timedelta(seconds=1)
    three.versions.promote("m:1")
    match = (
        r"m@champion pointed nowhere at 2025-12-31T23:59:59\+00:00: it first moved at "
        r"2026-01-01T00:00:00\+00:00; `palio models history m champion`"
    )
    with pytest.raises(NotFound, match=match):
        three.models.at("m", moment)
    with pytest.raises(NotFound, match=r"m@next pointed nowhere at .*: it has never moved"):
        three.models.at("m", moment, "next")
    with pytest.raises(NotFound, match="no model is named 'x'"):
        three.models.at("x", moment)


def test_a_moment_without_a_zone_is_refused(three: Wired) -> None:
    match = "at is 2026-11-01T12:00:00, which has no zone; write 2026-11-01T12:00:00Z"
    with pytest.raises(InvalidInput, match=match):
        three.models.at("m", NOON.replace(tzinfo=None))


def test_after_clearing_the_answer_is_nothing_and_who_did_it(three: Wired) -> None:
    three.models.set_alias("m", "next", "1")
    three.clock.advance(60)
    three.models.clear_alias("m", "next", reason="over")
    found = three.models.at("m", three.clock.now, "next")
    assert (found.version, found.previous, found.reason) == (None, "1", "over")
