"""Production over any sequence of verbs, against plain lists and tables as the model."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from tests.registry.guarded import GUARDED, registered_by

from palio.access.audit import first_break
from palio.access.domain import Role
from palio.errors import Conflict, Forbidden, IllegalTransition
from palio.registry.domain import CHAMPION, effective_history
from palio.registry.lifecycle import STANDARD
from palio.testing.memory import MemoryStore
from palio.testing.steps import assert_chain
from palio.testing.wired import Wired

VERSIONS = ["1", "2", "3", "4"]
some = st.sampled_from(VERSIONS)


class Production(RuleBasedStateMachine):
    """``reign`` is the model: champions not rolled back from, the last one rules."""

    def __init__(self) -> None:
        super().__init__()
        self.wired = Wired(MemoryStore())
        self.reign: list[str] = []
        self.stage = dict.fromkeys(VERSIONS, "development")
        self.done = 0

    @initialize()
    def register(self) -> None:
        self.wired.register(*(f"m:{version}" for version in VERSIONS))
        self.done = 1 + len(VERSIONS)  # the model, and its versions

    @property
    def champion(self) -> str:
        return self.reign[-1] if self.reign else ""

    @rule(version=some, expected=st.none() | some | st.just(""))
    def promote(self, version: str, expected: str | None) -> None:
        allowed = "production" in STANDARD.transitions[self.stage[version]]
        right = expected in (None, self.champion)
        try:
            self.wired.versions.promote(f"m:{version}", expected)
        except Conflict:
            assert not (allowed and right)
            return
        assert allowed
        assert right
        self._crown(version)
        self.reign.append(version)

    @rule()
    def rollback(self) -> None:
        back = self.reign[-2] if len(self.reign) > 1 else None
        allowed = back is not None and "production" in STANDARD.transitions[self.stage[back]]
        try:
            self.wired.models.rollback("m")
        except Conflict:
            assert not allowed
            return
        assert back is not None
        self._crown(back)
        self.reign.pop()

    @rule(version=some, stage=st.sampled_from(STANDARD.stages))
    def move(self, version: str, stage: str) -> None:
        steps = STANDARD.transitions[self.stage[version]]
        allowed = stage in steps and stage != "production"
        if not allowed:
            with pytest.raises(Conflict) as refused:
                self.wired.versions.move(f"m:{version}", stage)
            if isinstance(refused.value, IllegalTransition):
                assert refused.value.details["allowed"] == list(steps)
            return
        self.wired.versions.move(f"m:{version}", stage)
        if version == self.champion and self.stage[version] == "production":
            self.reign = []  # behind a time without a champion there is no way back
        self.stage[version] = stage
        self.done += 1

    def _crown(self, version: str) -> None:
        if self.champion:
            self.stage[self.champion] = "deprecated"
        self.stage[version] = "production"
        self.done += 1

    @invariant()
    def versions_stand_where_the_model_says(self) -> None:
        if not self.done:
            return
        found = {one.version: one.stage for one in self.wired.versions.list("m")}
        assert found == self.stage

    @invariant()
    def stage_and_alias_agree(self) -> None:
        if not self.done:
            return
        ruling = self.wired.models.aliases("m").get(CHAMPION)
        producing = [
            one.version
            for one in self.wired.versions.list("m")
            if one.stage == STANDARD.production
        ]
        assert producing == ([] if ruling is None else [ruling])

    @invariant()
    def history_is_a_chain_and_folds_to_the_reign(self) -> None:
        if not self.done:
            return
        moves = self.wired.models.history("m")
        assert_chain(moves)
        assert effective_history(moves) == self.reign

    @invariant()
    def every_change_and_no_refusal_is_in_the_log(self) -> None:
        entries: Any = self.wired.audit.list(limit=1_000)
        assert len(entries) == self.done
        assert first_break(entries) is None


TestProduction = Production.TestCase
TestProduction.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


PEOPLE = {"ann": Role.OPERATOR, "bob": Role.OPERATOR, "cid": Role.ADMIN}
FIGURES = {  # creator, auc, ece: what guarded.py's stages require is met by some only
    "1": ("ann", 0.9, 0.01),
    "2": ("bob", 0.75, 0.05),
    "3": ("ann", 0.9, 0.06),
    "4": ("bob", 0.74, 0.01),
}
person = st.sampled_from(list(PEOPLE))


class Guarded(RuleBasedStateMachine):
    """``stage`` and ``approver`` are the model; ``lacks`` says by plain words who may enter."""

    numbers = itertools.count()

    def __init__(self, wired: Wired) -> None:
        super().__init__()
        self.wired = wired
        self.model = f"m{next(self.numbers)}"
        self.stage = dict.fromkeys(FIGURES, "new")
        self.approver: dict[str, str | None] = dict.fromkeys(FIGURES)
        self.reign: list[str] = []
        self.points: dict[str, str] = {}
        wired.models.create(self.model, lifecycle="guarded")
        for version, (creator, auc, ece) in FIGURES.items():
            registered_by(wired, creator, f"{self.model}:{version}", auc=auc, ece=ece)
        self.entries = wired.audit.verify().entries

    def acting(self, name: str) -> Any:
        return self.wired.acting(name, PEOPLE[name])

    def lacks(self, name: str, version: str, stage: str) -> list[str]:
        creator, auc, ece = FIGURES[version]
        missing = {
            "metric auc": stage == "tried" and auc < 0.75,
            "metric ece": stage == "live" and ece > 0.05,
            "approval": stage == "live" and name == creator,
        }
        return [what for what, is_missing in missing.items() if is_missing]

    @rule(name=person, version=some, stage=st.sampled_from(GUARDED.stages))
    def move(self, name: str, version: str, stage: str) -> None:
        if self.may(name, version, stage) and stage != "live":
            self.acting(name).versions.move(f"{self.model}:{version}", stage)
            if self.stage[version] == "live":
                self.reign = []
            self.stage[version] = stage
            self.entries += 1
            return
        with pytest.raises(Conflict):
            self.acting(name).versions.move(f"{self.model}:{version}", stage)

    @rule(name=person, version=some)
    def promote(self, name: str, version: str) -> None:
        if not self.may(name, version, "live"):
            with pytest.raises(Conflict):
                self.acting(name).versions.promote(f"{self.model}:{version}")
            return
        self.acting(name).versions.promote(f"{self.model}:{version}")
        self._crown(version, name)
        self.reign.append(version)

    @rule(name=person)
    def rollback(self, name: str) -> None:
        back = self.reign[-2] if len(self.reign) > 1 else None
        if back is None or self.stage[back] != "old":
            with pytest.raises(Conflict):
                self.acting(name).models.rollback(self.model)
            return
        self.acting(name).models.rollback(self.model)
        own = FIGURES[back][0] == name
        self._crown(back, self.approver[back] if own else name)
        self.reign.pop()

    @rule(name=person, version=some, stage=st.sampled_from(GUARDED.stages))
    def ask(self, name: str, version: str, stage: str) -> None:
        asked = self.acting(name).versions.requirements(f"{self.model}:{version}", stage)
        missing = [one.what for one in asked.findings if not one.met]
        assert missing == self.lacks(name, version, stage)
        assert asked.ready is self.may(name, version, stage)

    @rule(name=person, version=some, alias=st.sampled_from(["shadow", "next"]))
    def point(self, name: str, version: str, alias: str) -> None:
        if alias == "shadow" and name != "cid":
            with pytest.raises(Forbidden):
                self.acting(name).models.set_alias(self.model, alias, version)
            return
        self.acting(name).models.set_alias(self.model, alias, version)
        self.points[alias] = version
        self.entries += 1

    def may(self, name: str, version: str, stage: str) -> bool:
        step = stage in GUARDED.transitions[self.stage[version]]
        return step and not self.lacks(name, version, stage)

    def _crown(self, version: str, approver: str | None) -> None:
        if self.reign:
            self.stage[self.reign[-1]] = "old"
        self.stage[version], self.approver[version] = "live", approver
        self.entries += 1

    @invariant()
    def all_is_as_the_model_says(self) -> None:
        found = self.wired.versions.list(self.model)
        assert {one.version: one.stage for one in found} == self.stage
        assert {one.version: one.approved_by for one in found} == self.approver
        champion = {CHAMPION: self.reign[-1]} if self.reign else {}
        assert self.wired.models.aliases(self.model) == self.points | champion

    @invariant()
    def nobody_approves_their_own(self) -> None:
        for one in self.wired.versions.list(self.model):
            assert one.approved_by != one.created_by

    @invariant()
    def refusals_leave_no_trace(self) -> None:
        checked = self.wired.audit.verify()
        assert (checked.entries, checked.broken) == (self.entries, None)


@pytest.mark.parametrize(
    ("store", "examples"), [("memory_store", 40), ("sqlite_store", 8), ("postgres_store", 8)]
)
def test_requirements_hold_over_any_sequence(
    request: pytest.FixtureRequest, store: str, examples: int
) -> None:
    wired = Wired(request.getfixturevalue(store))
    wired.lifecycles.declare(GUARDED)
    run_state_machine_as_test(
        lambda: Guarded(wired),
        settings=settings(max_examples=examples, stateful_step_count=25, deadline=None),
    )
