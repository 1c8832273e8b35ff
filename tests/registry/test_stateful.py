"""Production over any sequence of verbs, against a plain list as the model."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from palio.access.audit import first_break
from palio.errors import Conflict, IllegalTransition
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
            self.wired.models.promote(f"m:{version}", expected)
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
        allowed = stage in steps and "production" not in (stage, self.stage[version])
        if not allowed:
            with pytest.raises(Conflict) as refused:
                self.wired.models.move(f"m:{version}", stage)
            if isinstance(refused.value, IllegalTransition):
                assert refused.value.details["allowed"] == list(steps)
            return
        self.wired.models.move(f"m:{version}", stage)
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
        found = {one.version: one.stage for one in self.wired.models.versions("m")}
        assert found == self.stage

    @invariant()
    def stage_and_alias_agree(self) -> None:
        if not self.done:
            return
        ruling = self.wired.models.aliases("m").get(CHAMPION)
        producing = [
            one.version
            for one in self.wired.models.versions("m")
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
