"""Whatever happens to deployments: traffic stays whole, goes to no one unready, and comes back."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from palio.delivery.deployments.domain import ALLOWED, OPEN, PLACED, Deployment, State
from palio.delivery.deployments.ports import Probe
from palio.delivery.deployments.wanted import Canary
from palio.errors import PalioError
from palio.testing.memory import MemoryStore
from palio.testing.wired import Wired

from .cases import Watched, asked

NAMES, VERSIONS = ("a", "b", "c"), ("1", "2", "3", "4")
PROBES = (Probe(), Probe(reason="it broke"), Probe(loading=True))


class Deploying(RuleBasedStateMachine):
    """People deploy and take back, versions break, champions move, the controller looks."""

    def __init__(self) -> None:
        super().__init__()
        wired = Wired(MemoryStore())
        wired.serve(*VERSIONS)
        self.watched = Watched(wired)
        self.before: dict[str, Deployment] = {}
        self.weights: dict[str, float] | None = None  # without any deployment

    @rule(
        name=st.sampled_from(NAMES),
        version=st.sampled_from(VERSIONS),
        share=st.floats(0.01, 1),
        begins=st.none() | st.floats(0.01, 1),
    )
    def deploy(self, name: str, version: str, share: float, begins: float | None) -> None:
        fields: dict[str, Any] = {"traffic_share": share}
        if begins is not None:
            start = max(0.001, begins * share)
            fields["canary"] = Canary(start_share=start, duration_s=20.0, min_sample=5)
        self._tried(lambda: self.watched.deploy(asked(version, name, **fields)))
        self.watched.wired.clock.advance(1)

    @rule(name=st.sampled_from(NAMES))
    def undeploy(self, name: str) -> None:
        self._tried(lambda: self.watched.wired.deployments.undeploy(name))

    @rule(name=st.sampled_from(NAMES))
    def roll_back(self, name: str) -> None:
        self._tried(lambda: self.watched.wired.deployments.rollback(name))

    @rule(version=st.sampled_from(VERSIONS), probe=st.sampled_from(PROBES))
    def turn(self, version: str, probe: Probe) -> None:
        self.watched.wired.runtime.probes[f"credit:{version}"] = probe

    @rule(version=st.sampled_from(VERSIONS), errors=st.integers(0, 10))
    def serve(self, version: str, errors: int) -> None:
        self.watched.answered(version, 10, errors)

    @rule(version=st.sampled_from(VERSIONS))
    def promote(self, version: str) -> None:
        self._tried(lambda: self.watched.wired.versions.promote(f"credit:{version}"))

    @rule(weights=st.sampled_from([None, {"1": 0.5, "3": 0.5}, {"2": 1.0}]))
    def weigh(self, weights: dict[str, float] | None) -> None:
        if self.open():
            self._tried(lambda: self.watched.wired.endpoints.weigh("credit", weights))
        else:
            self.watched.wired.endpoints.weigh("credit", weights)
            self.weights = weights

    @rule(seconds=st.sampled_from([1.0, 10.0, 30.0, 700.0]))
    def look(self, seconds: float) -> None:
        self.watched.step(seconds)
        entries = len(self.watched.audited())
        self.watched.step(0)
        assert len(self.watched.audited()) == entries  # what was done is not done again

    @rule()
    @precondition(lambda self: not self.open())
    def everything_is_as_it_was(self) -> None:
        endpoint = self.watched.wired.endpoints.get("credit")
        assert (endpoint.held, endpoint.weights) == ((), self.weights)

    def _tried(self, verb: Any) -> None:
        with suppress(PalioError):  # refused: nothing has changed, as the invariants see
            verb()

    def open(self) -> list[Deployment]:
        return list(self.watched.wired.deployments.list())

    @invariant()
    def traffic_is_whole(self) -> None:
        weights = self.watched.wired.endpoints.get("credit").weights
        if weights is not None:
            assert abs(sum(weights.values()) - 1) < 1e-9
        if any(one.state in PLACED for one in self.open()):
            assert weights is not None

    @invariant()
    def nothing_goes_to_one_that_was_never_ready(self) -> None:
        weights = self.watched.wired.endpoints.get("credit").weights or {}
        placed = [one for one in self.open() if one.state in PLACED]
        known = {one.version for one in placed}
        for one in self.open():
            known |= set(one.weights_before or ())
        moves = self.watched.wired.models.history("credit")
        known |= {one.version for one in moves if one.version}  # until the next look
        for one in self.open():
            if one.state is State.PENDING and one.version not in known:
                assert not weights.get(one.version)

    @invariant()
    def what_is_open_is_held(self) -> None:
        held = self.watched.wired.endpoints.get("credit").held
        assert {one.version for one in self.open()} <= set(held)

    @invariant()
    def states_follow_their_table(self) -> None:
        for one in self.watched.wired.deployments.list(ended=True):
            was = self.before.get(one.name)
            if was is not None and was.revision == one.revision and was.state != one.state:
                # a step may take two transitions at most: ready, and then something else
                reached = ALLOWED[was.state]
                assert one.state in reached | {s for r in reached for s in ALLOWED[r]}
            if was is not None and was.state not in OPEN and was.revision == one.revision:
                assert one.state == was.state
            self.before[one.name] = one


TestDeploying = Deploying.TestCase
TestDeploying.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
