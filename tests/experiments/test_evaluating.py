"""What happens by itself: one process at a time, once, and never more than was asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from palio.access.domain import Role
from palio.errors import Conflict
from palio.experiments.designs.design import Metrics, Stopping, Type, Variant
from palio.experiments.designs.policy import Policy, PolicyKind
from palio.experiments.designs.risk import StopLoss
from palio.experiments.domain import State
from palio.experiments.evaluating import EVALUATOR, Act, Evaluator
from palio.experiments.events import OutcomeDraft
from palio.experiments.judging.analysis import DecisionKind
from palio.storage.store import SqlStore
from palio.testing.records import design, prediction
from palio.testing.steps import in_threads
from palio.testing.wired import Wired

from .test_end_to_end import send, traffic

GUARDED = Metrics("brier", (), ("error",))


@pytest.fixture
def serving(wired: Wired) -> Wired:
    wired.serve("1", "2")
    return wired


@dataclass
class Watched:
    """An evaluator in a process of its own, and what it has logged."""

    wired: Wired
    holder: str = "one"
    lines: list[str] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.evaluator = Evaluator(
            store=self.wired.store,
            experiments=self.wired.acting(EVALUATOR, Role.OPERATOR).experiments,
            clock=self.wired.clock,
            holder=self.holder,
            log=self.lines.append,
            **self.fields,
        )

    def step(self) -> list[tuple[str, DecisionKind, bool]]:
        acts = self.evaluator.step()
        return [(act.experiment, act.decision.kind, act.acted) for act in acts]


def evaluator(wired: Wired, holder: str = "one", **fields: Any) -> Watched:
    return Watched(wired, holder, fields=fields)


def automatic(key: str = "exp", **fields: Any) -> Any:
    given = {"metrics": GUARDED, "automatic": True, **fields}
    return design(key, **given)


def win(wired: Wired) -> None:
    """Let the challenger know more, as the tests of the whole way do."""
    send(wired, traffic(wired, 1_200))


def errors(wired: Wired, *, of: str, requests: int = 20, key: str = "exp") -> None:
    """Let the requests of one variant fail."""
    events = [
        prediction(
            f"{key}-{variant}{k}",
            experiment=key,
            variant=variant,
            epoch=1,
            error="it broke" if variant == of else None,
        )
        for variant in ("control", "challenger")
        for k in range(requests)
    ]
    with wired.store.write() as unit:
        unit.log.append(events)


def split_badly(wired: Wired) -> None:
    events = [
        prediction(f"x{k}", experiment="exp", variant="control", epoch=1) for k in range(200)
    ]
    with wired.store.write() as unit:
        unit.log.append(events)


def audited(wired: Wired) -> list[tuple[str, str]]:
    return [(one.actor, one.action) for one in wired.audit.list(limit=1_000)]


# -- acting


def test_a_winner_is_shipped_once(serving: Wired) -> None:
    serving.run(automatic())
    win(serving)
    watched = evaluator(serving)
    assert watched.step() == [("exp", DecisionKind.SHIP, True)]
    assert serving.models.aliases("credit") == {"champion": "2"}
    shipped = serving.experiments.get("exp")
    assert (shipped.state, shipped.winner) == (State.COMPLETED, "challenger")
    assert shipped.reason.startswith("ship: challenger is better than control on brier: ")
    entry = serving.audit.list()[-1]
    assert (entry.actor, entry.action) == (EVALUATOR, "experiment.ship")
    assert entry.reason == shipped.reason
    assert len(watched.lines) == 1
    assert watched.lines[0].startswith("exp was acted on: ship: challenger is better")
    before = audited(serving)
    serving.clock.advance(30)
    assert watched.step() == []
    assert audited(serving) == before


def test_a_winner_ends_it_and_ships_nothing_where_the_design_says_so(serving: Wired) -> None:
    serving.run(automatic(ships=False))
    win(serving)
    assert evaluator(serving).step() == [("exp", DecisionKind.SHIP, True)]
    ended = serving.experiments.get("exp")
    assert (ended.state, ended.winner, ended.chosen) == (State.COMPLETED, None, "challenger")
    assert serving.experiments.record("exp").report.decision.variant == "challenger"
    assert serving.models.aliases("credit") == {"champion": "1"}
    assert audited(serving)[-1] == (EVALUATOR, "experiment.complete")


def test_harm_is_rolled_back(serving: Wired) -> None:
    serving.run(automatic())
    errors(serving, of="challenger")
    assert evaluator(serving).step() == [("exp", DecisionKind.ROLLBACK, True)]
    ended = serving.experiments.get("exp")
    assert (ended.state, ended.winner) == (State.COMPLETED, None)
    assert ended.reason == "rollback: guardrail error is harmed in challenger"
    assert audited(serving)[-1] == (EVALUATOR, "experiment.rollback")
    assert serving.models.aliases("credit") == {"champion": "1"}


def test_time_that_is_up_ends_it(serving: Wired) -> None:
    serving.run(automatic(stopping=Stopping(horizon=None, max_duration_s=60)))
    watched = evaluator(serving)
    assert watched.step() == [("exp", DecisionKind.KEEP_RUNNING, False)]
    serving.clock.advance(60)
    assert watched.step() == [("exp", DecisionKind.INCONCLUSIVE, True)]
    ended = serving.experiments.get("exp")
    assert ended.state is State.COMPLETED
    assert ended.reason == "inconclusive: the maximum duration of 60 s is reached"
    assert audited(serving)[-1] == (EVALUATOR, "experiment.complete")


def test_what_is_invalid_is_paused(serving: Wired) -> None:
    serving.run(automatic())
    split_badly(serving)
    watched = evaluator(serving)
    assert watched.step() == [("exp", DecisionKind.INVALID, True)]
    paused = serving.experiments.get("exp")
    assert paused.state is State.PAUSED
    assert paused.reason.startswith("invalid: units are not split as designed")
    serving.clock.advance(30)
    assert watched.step() == []


def test_one_of_several_that_has_lost_enough_is_sent_home_alone(wired: Wired) -> None:
    wired.serve("1", "2", "3")
    shares = {"control": 0.5, "good": 0.3, "bad": 0.2}
    wired.run(
        automatic(
            unit="request",
            metrics=Metrics("revenue:higher"),
            stop_loss=StopLoss(metric="revenue", max_drawdown=5),
            variants=tuple(
                Variant(key, version, shares[key])
                for key, version in zip(shares, "123", strict=True)
            ),
        )
    )
    units = [f"r{number}" for number in range(200)]
    for given in wired.experiments.assign_many("exp", units, record=True):
        value = -1.0 if given.variant == "bad" else 1.0
        wired.outcomes.record([OutcomeDraft(unit=given.unit, name="revenue", value=value)])
    watched = evaluator(wired)
    assert watched.step() == [("exp", DecisionKind.KEEP_RUNNING, True)]
    found = wired.experiments.get("exp")
    assert found.state is State.RUNNING
    # 0.5 and 0.3, as shares of what is left
    assert found.weights == pytest.approx({"control": 0.625, "good": 0.375, "bad": 0.0})
    assert audited(wired)[-1] == (EVALUATOR, "experiment.reweight")
    wired.clock.advance(30)
    assert watched.step() == [("exp", DecisionKind.KEEP_RUNNING, False)]


def test_who_has_lost_enough_stays_where_nobody_else_gets_anything(wired: Wired) -> None:
    wired.serve("1", "2", "3")
    three = tuple(map(Variant, ("control", "good", "bad"), "123", (0.5, 0.3, 0.2)))
    lost = StopLoss(metric="revenue", max_drawdown=5)
    design = automatic(
        unit="request", metrics=Metrics("revenue:higher"), stop_loss=lost, variants=three
    )
    wired.run(design)
    wired.experiments.reweight("exp", {"control": 0.0, "good": 0.0, "bad": 1.0}, "by hand")
    units = [f"r{number}" for number in range(50)]
    for given in wired.experiments.assign_many("exp", units, record=True):
        wired.outcomes.record([OutcomeDraft(unit=given.unit, name="revenue", value=-1.0)])
    assert evaluator(wired).step() == [("exp", DecisionKind.KEEP_RUNNING, False)]
    assert wired.experiments.get("exp").weights["bad"] == 1


def test_what_is_not_automatic_is_only_looked_at(serving: Wired) -> None:
    serving.run(automatic(automatic=False))
    win(serving)
    watched, before = evaluator(serving), audited(serving)
    assert watched.step() == [("exp", DecisionKind.SHIP, False)]
    assert (audited(serving), watched.lines) == (before, [])
    assert len(serving.experiments.looks("exp")) == 1
    assert serving.experiments.get("exp").state is State.RUNNING


def test_a_dry_run_says_what_it_would_do(serving: Wired) -> None:
    serving.run(automatic())
    win(serving)
    done: list[str] = []
    watched = evaluator(serving, dry_run=True, chores=[lambda: done.append("chore")])
    before = audited(serving)
    assert watched.step() == [("exp", DecisionKind.SHIP, False)]
    assert audited(serving) == before
    assert watched.lines[0].startswith("exp would be acted on: ship: challenger is better")
    assert done == []


def test_a_dry_run_stands_in_nobody_s_way(serving: Wired) -> None:
    serving.run(automatic())
    assert evaluator(serving, "dry", dry_run=True).step() != []
    assert evaluator(serving, "real").step() != []
    assert evaluator(serving, "dry again", dry_run=True).step() == []


# -- once an interval


def test_it_looks_once_an_interval(serving: Wired) -> None:
    serving.run(automatic())
    watched = evaluator(serving, interval_s=10)
    looks = []
    for _ in range(12):
        looks.append(len(watched.step()))
        serving.clock.advance(5)
    assert looks == [1, 0] * 6
    assert watched.evaluator.rest_s == 10


def bandit() -> Any:
    policy = Policy(kind=PolicyKind.THOMPSON)
    goal = Metrics("revenue:higher")
    return automatic("bandit", type=Type.BANDIT, policy=policy, unit="request", metrics=goal)


def test_bandits_are_refreshed_at_every_step(serving: Wired) -> None:
    serving.run(bandit())
    watched = evaluator(serving)
    assert watched.evaluator.rest_s == 30
    for number, expected in enumerate((1, 0, 0)):
        given = serving.experiments.assign("bandit", f"r{number}")
        serving.outcomes.record([OutcomeDraft(unit=given.unit, name="revenue", value=1.0)])
        serving.clock.advance(1)
        assert len(watched.step()) == expected
        assert watched.evaluator.rest_s == 1
        assert serving.experiments.get("bandit").policy_version == number + 1
    serving.experiments.stop("bandit", "why")
    watched.step()
    assert watched.evaluator.rest_s == 30


# -- failures


def failing(*, on: str, by: Callable[[], Exception]) -> Any:
    """Return verbs that fail on one experiment."""

    class Failing:
        def __init__(self, verbs: Any) -> None:
            self._verbs = verbs

        def __getattr__(self, name: str) -> Any:
            return getattr(self._verbs, name)

        def analyze(self, key: str) -> Any:
            if key == on:
                raise by()
            return self._verbs.analyze(key)

    return Failing


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Conflict("the champion has moved"), "a: the champion has moved; it is tried again"),
        (ZeroDivisionError("a defect"), "a has failed; it is tried again next time\nTraceback"),
    ],
)
def test_one_failure_never_stops_the_others(serving: Wired, error: Exception, told: str) -> None:
    serving.endpoints.create("other", "credit")
    serving.run(automatic("a", endpoint="other"))
    serving.run(automatic("b"))
    watched = evaluator(serving)
    verbs = watched.evaluator.experiments
    watched.evaluator.experiments = failing(on="a", by=lambda: error)(verbs)
    assert watched.step() == [("b", DecisionKind.KEEP_RUNNING, False)]
    assert watched.lines[0].startswith(told)
    watched.evaluator.experiments = verbs
    serving.clock.advance(30)
    assert [one[0] for one in watched.step()] == ["a", "b"]


def test_a_winner_that_cannot_be_shipped_is_tried_again(serving: Wired) -> None:
    serving.register("credit:3")
    serving.run(automatic())
    win(serving)
    serving.versions.promote("credit:3")
    watched = evaluator(serving)
    assert watched.step() == []
    assert watched.lines[0].startswith("exp: credit@champion points at 3, not at 1")
    assert serving.experiments.get("exp").state is State.RUNNING


def test_chores_are_done_once_an_interval_whatever_fails(serving: Wired) -> None:
    done: list[str] = []

    def broken() -> None:
        done.append("broken")
        raise Conflict("not now")

    watched = evaluator(serving, chores=[broken, lambda: done.append("whole")])
    for _ in range(3):
        watched.step()
        serving.clock.advance(15)
    assert done == ["broken", "whole"] * 2


# -- the lease


def test_one_of_two_processes_does_it(serving: Wired) -> None:
    serving.run(automatic())
    one, two = evaluator(serving, "one"), evaluator(serving, "two")
    for _ in range(5):
        assert len(one.step()) == 1
        assert two.step() == []
        serving.clock.advance(30)
    lease = two.evaluator.leader()
    assert lease is not None
    assert lease.holder == "one"


def test_who_is_gone_is_followed_after_three_intervals(serving: Wired) -> None:
    serving.run(automatic())
    one, two = evaluator(serving, "one"), evaluator(serving, "two")
    one.step()
    serving.clock.advance(89)
    assert two.step() == []
    serving.clock.advance(1)
    assert len(two.step()) == 1
    assert one.step() == []


def test_a_lease_that_is_given_back_is_free(serving: Wired) -> None:
    serving.run(automatic())
    one, two = evaluator(serving, "one"), evaluator(serving, "two")
    one.step()
    two.evaluator.release()  # it is not theirs
    assert two.step() == []
    one.evaluator.release()
    assert len(two.step()) == 1


def test_who_loses_the_lease_in_a_step_does_nothing_more(serving: Wired) -> None:
    serving.endpoints.create("other", "credit")
    serving.run(automatic("a", endpoint="other"))
    serving.run(automatic("b"))
    one, two = evaluator(serving, "one"), evaluator(serving, "two")
    verbs = one.evaluator.experiments

    def slow() -> Exception:
        serving.clock.advance(91)
        assert len(two.step()) == 2
        return Conflict("too slow")

    one.evaluator.experiments = failing(on="a", by=slow)(verbs)
    assert one.step() == []


def test_many_processes_ship_once(sql_store: SqlStore) -> None:
    serving = Wired(sql_store)
    serving.serve("1", "2")
    serving.run(automatic())
    win(serving)
    watched = [evaluator(serving, f"process {k}") for k in range(4)]
    found: list[Any] = []
    in_threads([lambda place: found.extend(watched[place].step())] * 4)
    assert found == [("exp", DecisionKind.SHIP, True)]
    assert [one for one in audited(serving) if one[1] == "experiment.ship"] == [
        (EVALUATOR, "experiment.ship")
    ]


def test_an_act_names_what_was_seen(serving: Wired) -> None:
    serving.run(automatic())
    [act] = evaluator(serving).evaluator.step()
    assert act == Act("exp", serving.experiments.analyze("exp").decision, acted=False)
    assert replace(act, acted=True) != act
