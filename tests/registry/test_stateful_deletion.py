"""Deleting, clearing, adopting and asking for a day, over any sequence of verbs.

Plain tables are the model; after every step the store says the same as they do.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from palio.errors import NotFound, PalioError
from palio.registry.domain import CHAMPION, effective_history
from palio.registry.lifecycle import Lifecycle
from palio.testing.steps import assert_chain
from palio.testing.wired import Wired

VERSIONS = ["1", "2", "3"]
LONG = Lifecycle(
    name="line",
    initial="new",
    production="live",
    retired="old",
    transitions={
        "new": ("tried", "live"),
        "tried": ("live", "gone"),
        "live": ("old",),
        "old": ("live", "gone"),
        "gone": (),
    },
)
SHORT = replace(  # without a place for what is gone
    LONG,
    revision=2,
    transitions={"new": ("tried", "live"), "tried": ("live",), "live": ("old",), "old": ("live",)},
)
TURNED = Lifecycle(  # where another stage means production
    name="turned",
    initial="new",
    production="tried",
    retired="old",
    transitions={
        "new": ("tried", "live"),
        "live": ("tried",),
        "tried": ("old",),
        "old": ("tried", "new"),
    },
)
FOLLOWED = [LONG, SHORT, TURNED]
some = st.sampled_from(VERSIONS)
alias_names = st.sampled_from(["next", "shadow"])


class Deleting(RuleBasedStateMachine):
    """``stage``, ``fate``, ``reign`` and ``points`` are the model, ``days`` what was when."""

    numbers = itertools.count()

    def __init__(self, wired: Wired) -> None:
        super().__init__()
        self.wired = wired
        self.name = f"m{next(self.numbers)}"
        self.there = True
        self.follows = SHORT
        self.stage = dict.fromkeys(VERSIONS, "new")
        self.fate = dict.fromkeys(VERSIONS, "live")
        self.reign: list[str] = []
        self.points: dict[str, str] = {}
        self.days: dict[str, list[tuple[datetime, str | None]]] = {
            alias: [] for alias in (CHAMPION, "next", "shadow")
        }
        wired.models.create(self.name, lifecycle="line")
        wired.register(*(self.ref(version) for version in VERSIONS))
        self.entries = wired.audit.verify().entries

    def ref(self, version: str) -> str:
        return f"{self.name}:{version}"

    @property
    def champion(self) -> str | None:
        return self.reign[-1] if self.reign else None

    def alive(self, version: str) -> bool:
        return self.there and self.fate[version] == "live"

    def steps(self, version: str) -> tuple[str, ...]:
        return self.follows.transitions.get(self.stage[version], ())

    def done(self, allowed: bool, verb: str, *given: Any, told: int = 1) -> bool:
        """Call a verb, which must be refused unless it is allowed; tell whether it was."""
        self.wired.clock.advance(1)
        call = attrgetter(verb)(self.wired)
        if not allowed:
            with pytest.raises(PalioError):
                call(*given)
            return False
        call(*given)
        self.entries += told
        return True

    def pointed(self, alias: str, version: str | None) -> None:
        self.days[alias].append((self.wired.clock.now, version))

    def crown(self, version: str) -> None:
        if self.champion is not None:
            self.stage[self.champion] = self.follows.retired
        self.stage[version] = self.follows.production
        self.pointed(CHAMPION, version)

    @rule(version=some)
    def promote(self, version: str) -> None:
        ready = self.alive(version) and self.follows.production in self.steps(version)
        if self.done(ready, "versions.promote", self.ref(version)):
            self.crown(version)
            self.reign.append(version)

    @rule()
    def rollback(self) -> None:
        back = self.reign[-2] if len(self.reign) > 1 else None
        ready = (
            back is not None and self.alive(back) and self.follows.production in self.steps(back)
        )
        if self.done(ready, "models.rollback", self.name) and back is not None:
            self.crown(back)
            self.reign.pop()

    @rule(version=some, stage=st.sampled_from(LONG.stages))
    def move(self, version: str, stage: str) -> None:
        guarded = self.follows.production in (stage, self.stage[version])
        ready = self.alive(version) and stage in self.steps(version) and not guarded
        if self.done(ready, "versions.move", self.ref(version), stage):
            self.stage[version] = stage

    @rule(version=some, alias=alias_names)
    def point(self, version: str, alias: str) -> None:
        if self.done(self.alive(version), "models.set_alias", self.name, alias, version):
            self.points[alias] = version
            self.pointed(alias, version)

    @rule(alias=alias_names)
    def clear(self, alias: str) -> None:
        if self.done(self.there and alias in self.points, "models.clear_alias", self.name, alias):
            del self.points[alias]
            self.pointed(alias, None)

    @rule(version=some)
    def delete(self, version: str) -> None:
        named = version in (self.champion, *self.points.values())
        if self.done(self.alive(version) and not named, "versions.delete", self.ref(version)):
            self.fate[version] = "deleted"

    @rule(version=some)
    def restore(self, version: str) -> None:
        stage = self.stage[version]
        place = stage in self.follows.stages and stage != self.follows.production
        ready = self.there and self.fate[version] == "deleted" and place
        if self.done(ready, "versions.restore", self.ref(version)):
            self.fate[version] = "live"

    @rule(version=some)
    def purge(self, version: str) -> None:
        again = self.fate[version] == "purged"
        ready = again or self.fate[version] == "deleted" or not self.there
        if self.done(ready, "versions.purge", self.ref(version), told=0 if again else 1):
            self.fate[version] = "purged"

    @rule()
    def delete_model(self) -> None:
        champion = self.champion
        if self.done(self.there and not self.points, "models.delete", self.name):
            self.there = False
            if champion is not None:
                self.stage[champion] = self.follows.retired
                self.pointed(CHAMPION, None)
            self.reign.clear()

    @rule()
    def restore_model(self) -> None:
        if self.done(not self.there, "models.restore", self.name):
            self.there = True

    @rule(wanted=st.sampled_from(FOLLOWED))
    def adopt(self, wanted: Lifecycle) -> None:
        fits = all(
            self.stage[version] in wanted.stages
            and (self.stage[version] == wanted.production) is (version == self.champion)
            for version in VERSIONS
            if self.fate[version] == "live"
        )
        ready = self.there and fits and wanted != self.follows
        if self.done(ready, "models.adopt", self.name, wanted.name, wanted.revision):
            self.follows = wanted

    @rule(version=some)
    def succeed_and_go_back(self, version: str) -> None:
        """What chance would seldom find: the way back leads to a deleted version."""
        former = self.champion
        self.promote(version)
        if former is not None:
            self.delete(former)
            self.rollback()

    @rule(version=some, wanted=st.sampled_from(FOLLOWED))
    def come_back_elsewhere(self, version: str, wanted: Lifecycle) -> None:
        """The lifecycle has changed between a deletion and its undoing."""
        self.delete(version)
        self.adopt(wanted)
        self.restore(version)

    @rule(alias=alias_names | st.just(CHAMPION), seconds=st.integers(0, 20))
    def ask(self, alias: str, seconds: int) -> None:
        asked = self.wired.clock.now - timedelta(seconds=seconds)
        before = [version for moment, version in self.days[alias] if moment <= asked]
        if not before:
            with pytest.raises(NotFound):
                self.wired.models.at(self.name, asked, alias)
            return
        assert self.wired.models.at(self.name, asked, alias).version == before[-1]

    @invariant()
    def versions_are_as_the_model_says(self) -> None:
        found = self.wired.versions.list(self.name, deleted=True)
        assert {one.version: one.stage for one in found} == self.stage
        assert {one.version: fate_of(one) for one in found} == self.fate
        for version, fate in self.fate.items():
            assert (self.ref(version) in self.wired.files.kept) is (fate != "purged")

    @invariant()
    def what_is_found_is_what_lives(self) -> None:
        if not self.there:
            assert self.wired.models.get(self.name, deleted=True).deleted_at is not None
            with pytest.raises(NotFound):
                self.wired.versions.list(self.name)
            return
        found = [one.version for one in self.wired.versions.list(self.name)]
        assert found == [version for version in VERSIONS if self.alive(version)]
        champion = {} if self.champion is None else {CHAMPION: self.champion}
        assert self.wired.models.aliases(self.name) == self.points | champion
        assert self.wired.models.lifecycle(self.name) == self.follows

    @invariant()
    def nothing_points_at_what_is_deleted(self) -> None:
        named = [*self.points.values(), *filter(None, [self.champion])]
        assert all(self.fate[version] == "live" for version in named)
        producing = [
            version
            for version in VERSIONS
            if self.fate[version] == "live" and self.stage[version] == self.follows.production
        ]
        assert producing == [*filter(None, [self.champion])]

    @invariant()
    def histories_are_chains(self) -> None:
        for alias, days in self.days.items():
            moves = self.wired.models.history(self.name, alias)
            assert_chain(moves)
            assert [(move.at, move.version) for move in moves] == days
        assert effective_history(self.wired.models.history(self.name)) == self.reign

    @invariant()
    def the_log_holds_and_has_no_refusal(self) -> None:
        checked = self.wired.audit.verify()
        assert (checked.entries, checked.broken) == (self.entries, None)


def fate_of(version: Any) -> str:
    if version.purged_at is not None:
        return "purged"
    return "live" if version.deleted_at is None else "deleted"


@pytest.mark.parametrize(
    ("store", "examples"), [("memory_store", 60), ("sqlite_store", 8), ("postgres_store", 8)]
)
def test_deletions_hold_over_any_sequence(
    request: pytest.FixtureRequest, store: str, examples: int
) -> None:
    wired = Wired(request.getfixturevalue(store))
    for one in FOLLOWED:
        wired.lifecycles.declare(one)
    run_state_machine_as_test(
        lambda: Deleting(wired),
        settings=settings(max_examples=examples, stateful_step_count=30, deadline=None),
    )
