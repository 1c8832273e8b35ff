"""A bandit's refresh: when it is due, what it publishes, and that one of many wins."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from tests.experiments.bandit_cases import Traffic, bandit

from palio import bandits
from palio.delivery.ports import DeliveryUnit
from palio.errors import Conflict, InvalidInput
from palio.experiments.designs.design import Metrics, Variant
from palio.experiments.designs.metrics import Direction, Metric
from palio.experiments.designs.policy import Belief, PolicyKind
from palio.experiments.designs.risk import StopLoss
from palio.experiments.judging.decision import DecisionKind
from palio.experiments.weights.published import Published
from palio.experiments.weights.refreshing import is_due, refresh_within, weights_from
from palio.ports import Store
from palio.storage.store import SqlStore
from palio.testing.memory import MemoryStore
from palio.testing.records import design
from palio.testing.wired import Wired

THREE = tuple(Variant(key, str(place + 1), 1 / 3) for place, key in enumerate("abc"))


@pytest.fixture
def serving(wired: Wired) -> Wired:
    wired.serve("1", "2", "3")
    return wired


def latest(wired: Wired, key: str = "exp") -> Published:
    return wired.experiments.weights(key)[-1]


def play(wired: Wired, traffic: Traffic, rounds: int, each: int = 50) -> Published:
    """Serve, reward and refresh so many times."""
    for _ in range(rounds):
        traffic.reward(traffic.serve(each))
        made = wired.experiments.refresh(traffic.key)
    return made


# -- when


def test_a_bandit_starts_with_the_declared_weights(serving: Wired) -> None:
    started = serving.run(bandit())
    [first] = serving.experiments.weights("exp")
    assert first.weights == started.weights == {"control": 0.5, "challenger": 0.5}
    assert (first.policy_version, first.epoch, first.by) == (0, 1, "ann")
    assert (first.evidence, first.totals, first.rewards) == ({}, {}, 0)


def test_nothing_is_due_without_a_reward(serving: Wired) -> None:
    serving.run(bandit())
    Traffic(serving).serve(60)
    serving.clock.advance(1e6)
    assert serving.experiments.refresh("exp").policy_version == 0


def test_due_after_so_many_rewards(serving: Wired) -> None:
    serving.run(bandit())
    traffic = Traffic(serving)
    ids = traffic.serve(50)
    traffic.reward(ids[:49])
    assert serving.experiments.refresh("exp").policy_version == 0
    traffic.reward(ids[49:])
    made = serving.experiments.refresh("exp")
    assert (made.policy_version, made.rewards, made.by, made.epoch) == (1, 50, "thompson", 1)
    with serving.store.read() as unit:
        assert made.watermark == unit.log.head() == 100
    found = serving.experiments.get("exp")
    assert (found.policy_version, found.weights, found.epoch) == (1, made.weights, 1)
    assert serving.experiments.refresh("exp") == made  # nothing is new


def test_due_after_so_many_seconds_if_anything_is_new(serving: Wired) -> None:
    serving.run(bandit(policy={"refresh_s": 10.0}))
    traffic = Traffic(serving)
    traffic.reward(traffic.serve(1))
    serving.clock.advance(9.9)
    assert serving.experiments.refresh("exp").policy_version == 0
    serving.clock.advance(0.1)
    made = serving.experiments.refresh("exp")
    assert (made.policy_version, made.rewards, made.at) == (1, 1, serving.clock.now)


def test_a_correction_is_new(serving: Wired) -> None:
    """Its reward counts as corrected, in totals, evidence and guesses alike."""
    serving.run(bandit(policy={"refresh_rewards": 10}))
    traffic = Traffic(serving)
    ids = traffic.serve(10)
    traffic.reward(ids, 1.0)
    first = serving.experiments.refresh("exp")
    corrected = next(one for one in ids if traffic.given[one] == "control")
    traffic.reward([corrected], 8.0)
    assert serving.experiments.refresh("exp") == first  # no second has passed
    serving.clock.advance(1)
    second = serving.experiments.refresh("exp")
    n, mean, squares = first.totals["control"]
    assert (mean, squares) == (1.0, 0.0)
    expected = ((n - 1) + 8.0) / n
    assert second.rewards == first.rewards == 10
    assert second.totals["control"] == pytest.approx((n, expected, 49 * (1 - 1 / n)))
    assert second.evidence["control"] == pytest.approx(second.totals["control"])
    assert second.guesses["reward"]["control"] == pytest.approx(expected)


def test_a_paused_bandit_publishes_nothing(serving: Wired) -> None:
    """What arrives meanwhile counts once it runs again."""
    experiment = serving.run(bandit())
    traffic = Traffic(serving)
    ids = traffic.serve(60)
    serving.experiments.pause("exp")
    traffic.reward(ids)
    serving.clock.advance(60)
    with pytest.raises(Conflict, match=r"exp is paused; only a running bandit .* resume it"):
        serving.experiments.refresh("exp")
    serving.experiments.analyze("exp")
    with serving.store.write() as unit:
        assert not is_due(unit, serving.experiments.get("exp"), serving.clock())
        assert refresh_within(unit, experiment, serving.clock()) is None
    serving.experiments.resume("exp")
    assert serving.experiments.refresh("exp").rewards == 60


@pytest.mark.parametrize("started", [True, False])
def test_what_is_no_bandit_is_refused(serving: Wired, started: bool) -> None:
    serving.experiments.draft(design())
    if started:
        serving.experiments.start("exp")
    with pytest.raises(Conflict, match="exp is of type ab: no policy moves its weights"):
        serving.experiments.refresh("exp")


def test_drafts_and_ended_bandits_are_refused(serving: Wired) -> None:
    serving.experiments.draft(bandit())
    assert list(serving.experiments.weights("exp")) == []
    with pytest.raises(Conflict, match="exp is draft; only a running bandit"):
        serving.experiments.refresh("exp")
    serving.experiments.start("exp")
    serving.experiments.stop("exp", "enough")
    with pytest.raises(Conflict, match="exp is stopped; only a running bandit"):
        serving.experiments.refresh("exp")


# -- what


def test_weights_follow_from_what_is_published(serving: Wired) -> None:
    """Weights are made again from the rows alone, read anew, and lean to the better arm."""
    serving.run(bandit())
    play(serving, Traffic(serving), 12)
    again = Wired(serving.store)
    experiment = again.experiments.get("exp")
    rows = again.experiments.weights("exp")
    assert [one.policy_version for one in rows] == list(range(13))
    for one in rows[1:]:
        assert weights_from(experiment, one) == one.weights
    assert rows[-1].weights["challenger"] > 0.9
    assert serving.experiments.verify("exp").differences == ()


def test_bounds_hold(serving: Wired) -> None:
    """At a difference of 5 standard deviations the better arm has all that is allowed."""
    serving.run(bandit(policy={"min_weight": 0.1, "max_weight": 0.7}))
    play(serving, Traffic(serving, means={"control": 0.0, "challenger": 5.0}), 4)
    for one in serving.experiments.weights("exp"):
        assert all(0.1 <= weight <= 0.7 for weight in one.weights.values())
    assert latest(serving).weights == pytest.approx({"control": 0.3, "challenger": 0.7})


def test_forced_pulls_come_first(serving: Wired) -> None:
    """Until every arm has so many known rewards all share evenly, whatever is known."""
    serving.run(bandit(policy={"forced_pulls": 30}))
    traffic = Traffic(serving, means={"control": 0.0, "challenger": 50.0})
    ids = traffic.serve(200)
    of = {key: [one for one in ids if traffic.given[one] == key] for key in traffic.means}
    traffic.reward(of["challenger"][:60] + of["control"][:29])
    assert serving.experiments.refresh("exp").weights == {"control": 0.5, "challenger": 0.5}
    traffic.reward(of["control"][29:30])
    serving.clock.advance(1)
    assert serving.experiments.refresh("exp").weights["challenger"] > 0.9


def test_lower_is_better(serving: Wired) -> None:
    """Losses are rewards with their sign changed; guesses stay in the metric's own units."""
    serving.run(bandit(metrics=Metrics("reward:lower")))
    made = play(serving, Traffic(serving, means={"control": 1.0, "challenger": 4.0}), 4)
    assert made.weights["control"] > 0.9
    assert made.totals["control"][1] == pytest.approx(-made.guesses["reward"]["control"])
    assert made.guesses["reward"]["challenger"] == pytest.approx(4, abs=0.5)


def test_evidence_fades(serving: Wired) -> None:
    """After k refreshes the evidence is the sum of what each brought, times 0.5 per refresh."""
    serving.run(bandit(policy={"discount": 0.5, "refresh_rewards": 20}))
    traffic = Traffic(serving)
    expected = dict.fromkeys(traffic.means, bandits.Rewards(0.0, 0.0, 0.0))
    before = dict.fromkeys(traffic.means, (0.0, 0.0, 0.0))
    for _ in range(5):
        ids = traffic.serve(20)
        traffic.reward(ids)
        made = serving.experiments.refresh("exp")
        for key in traffic.means:
            fresh = _less(made.totals[key], before[key])
            expected[key] = _rewards(
                bandits.merged(bandits.discounted(expected[key], 0.5), bandits.Rewards(*fresh))
            )
            own = expected[key]
            assert made.evidence[key] == pytest.approx((own.n, own.mean, own.squares), rel=1e-9)
        before = dict(made.totals)
    assert sum(n for n, _, _ in made.totals.values()) == 100
    assert sum(n for n, _, _ in made.evidence.values()) == pytest.approx(20 * (2 - 2**-4))


def _rewards(evidence: bandits.Evidence) -> bandits.Rewards:
    assert isinstance(evidence, bandits.Rewards)
    return evidence


def _less(now: tuple[float, ...], then: tuple[float, ...]) -> tuple[float, float, float]:
    """Return the moments of what is in ``now`` and not in ``then``, by Chan's merge backwards."""
    n = now[0] - then[0]
    if n == 0:
        return (0.0, 0.0, 0.0)
    mean = (now[0] * now[1] - then[0] * then[1]) / n
    between = (mean - then[1]) ** 2 * n * then[0] / now[0]
    return (n, mean, max(0.0, now[2] - then[2] - between))


@pytest.mark.parametrize(
    "kind", [PolicyKind.UCB, PolicyKind.EPSILON_GREEDY, PolicyKind.TOP_TWO_THOMPSON]
)
@pytest.mark.parametrize("belief", list(Belief))
def test_every_policy_takes_successes(serving: Wired, kind: PolicyKind, belief: Belief) -> None:
    goal = Metric("reward", Direction.HIGHER, limits=(0.0, 1.0))
    metrics = Metrics("reward", declared=(goal,))
    serving.run(bandit(metrics=metrics, policy={"kind": kind, "belief": belief}))
    made = play(serving, Traffic(serving, means={"control": 0.1, "challenger": 0.9}, sd=0), 6)
    assert made.policy_version == 6
    assert made.weights["challenger"] >= 0.5
    assert weights_from(serving.experiments.get("exp"), made) == made.weights


def test_a_win_rate_may_be_the_goal(serving: Wired) -> None:
    """Beta beliefs of returns are named: then the arm that wins more often leads, though it earns
    less, and its interval is of the win rate."""
    policy = {"belief": Belief.BETA}
    serving.run(bandit(metrics=Metrics("win_rate(reward):higher"), policy=policy))
    traffic = Traffic(serving)
    for _ in range(12):
        for one in traffic.serve(50):
            wins = (
                traffic.random.random() < {"control": 0.8, "challenger": 0.3}[traffic.given[one]]
            )
            losing = {"control": -9.0, "challenger": -0.1}[traffic.given[one]]
            traffic.reward([one], 1.0 if wins else losing)
        made = serving.experiments.refresh("exp")
    assert made.weights["control"] > 0.9
    report = serving.experiments.analyze("exp")
    contrast = report.goal("challenger")
    assert contrast.lower is not None
    assert contrast.upper is not None
    assert contrast.lower < 0.3 - 0.8 < contrast.upper
    assert serving.experiments.verify("exp").differences == ()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"policy": {"belief": Belief.BETA}},
            r"beta counts successes, and reward is no share.*win_rate\(reward\)",
        ),
        ({"metrics": Metrics("p95(reward):higher")}, "goal of a bandit is a mean a unit"),
        ({"unit": "user"}, "randomise requests"),
        (
            {"variants": (Variant("control", "1", 0.99), Variant("challenger", "2", 0.01))},
            "control starts with the weight 0.99",
        ),
        (
            {"variants": (Variant("challenger", "2", 0.01), Variant("control", "1", 0.99))},
            "challenger starts with the weight 0.01, outside of the policy's bounds 0.05 to 0.9",
        ),
    ],
)
def test_designs_that_are_refused(fields: dict[str, Any], message: str) -> None:
    fields.setdefault("policy", {"max_weight": 0.9})
    with pytest.raises(InvalidInput, match=message):
        bandit(**fields)


# -- arms that retire


def test_an_arm_that_is_shown_to_be_worse_gets_nothing_any_more(serving: Wired) -> None:
    """It is told to the audit log, once; refreshes themselves are not."""
    serving.run(bandit(variants=THREE, policy={"eliminate": True}))
    before = len(serving.audit.list())
    traffic = Traffic(serving, means={"a": 1.0, "b": 1.05, "c": -1.0})
    made = play(serving, traffic, 40)
    assert made.retired == ("c",)
    assert made.weights["c"] == 0
    first = next(one for one in serving.experiments.weights("exp", limit=100) if one.retired)
    [entry] = serving.audit.list()[before:]
    assert (entry.action, entry.subject, entry.actor) == ("experiment.retire", "exp", "thompson")
    assert entry.after == {"retired": ("c",), "policy_version": first.policy_version}
    later = [one for one in traffic.given if int(one.split("-")[1]) >= first.rewards]
    assert Counter(traffic.given[one] for one in later)["c"] == 0
    report = serving.experiments.analyze("exp")
    assert report.decision.kind is not DecisionKind.INVALID
    assert report.sample_ratio.p_value > 0.05


def test_an_arm_that_has_hit_a_limit_gets_nothing_any_more(serving: Wired) -> None:
    """Seen at a look, and due at once, whatever has become known since."""
    loss = StopLoss(metric="reward", max_drawdown=5.0)
    serving.run(bandit(variants=THREE, stop_loss=loss))
    traffic = Traffic(serving, means={"a": 1.0, "b": 1.0, "c": -1.0})
    made = play(serving, traffic, 2)
    assert made.retired == ()
    serving.experiments.analyze("exp")
    made = serving.experiments.refresh("exp")
    assert (made.retired, made.weights["c"]) == (("c",), 0.0)
    assert serving.experiments.refresh("exp") == made


def test_the_control_never_retires(serving: Wired) -> None:
    serving.run(bandit(policy={"eliminate": True}))
    made = play(serving, Traffic(serving, means={"control": -5.0, "challenger": 5.0}), 40)
    assert made.retired == ()
    assert made.weights["control"] == pytest.approx(0.05, abs=1e-3)


# -- warm starts


def test_a_warm_start_takes_over_a_share_of_what_is_known(serving: Wired) -> None:
    """Evidence goes by version, not by key; it is read once, and no test counts it."""
    serving.run(design("old", unit="request", metrics=Metrics("reward:higher")))
    traffic = Traffic(serving, "old", means={"control": 2.0, "challenger": 6.0})
    traffic.reward(traffic.serve(400))
    serving.experiments.stop("old", "enough")
    arms = (Variant("new", "3", 0.4), Variant("known", "2", 0.6))
    serving.run(bandit(variants=arms, policy={"warm_start": "old", "warm_share": 0.25}))
    [first] = serving.experiments.weights("exp")
    figures = serving.experiments.record("old").report.arms[1].metrics["reward"]
    squares = figures.sd**2 * (figures.n - 1)
    assert dict(first.evidence) == {
        "known": pytest.approx((0.25 * figures.n, figures.mean, 0.25 * squares))
    }
    own = Traffic(serving, means={"new": 5.0, "known": 5.0})
    made = play(serving, own, 1)
    n = sum(key == "known" for key in own.given.values())
    assert made.evidence["known"][0] == pytest.approx(n + 0.25 * figures.n)
    assert (made.totals["known"][0], made.rewards) == (n, 50)


@pytest.mark.parametrize(
    ("old", "message"),
    [
        (None, "is no experiment; name another in policy.warm_start"),
        ({"metrics": Metrics("reward:lower")}, "has the goal reward, lower_is_better"),
        ({"metrics": Metrics("brier")}, "has the goal brier"),
        (
            {"variants": (Variant("a", "3", 0.5), Variant("b", "4", 0.5))},
            "none of the versions 1, 2",
        ),
    ],
)
def test_warm_starts_that_are_refused(
    serving: Wired, old: dict[str, Any] | None, message: str
) -> None:
    serving.register("credit:4")
    if old is not None:
        serving.run(design("old", **{"metrics": Metrics("reward:higher"), **old}))
        serving.experiments.stop("old", "enough")
    serving.experiments.draft(bandit(policy={"warm_start": "old"}))
    with pytest.raises(Conflict, match=f"exp cannot start warm from old: it .*{message}"):
        serving.experiments.start("exp")


def test_a_warm_start_from_a_draft_is_refused(serving: Wired) -> None:
    serving.experiments.draft(design("old", metrics=Metrics("reward:higher")))
    serving.experiments.draft(bandit(policy={"warm_start": "old"}))
    with pytest.raises(Conflict, match="it has not been started"):
        serving.experiments.start("exp")


# -- who


def test_a_process_that_starts_again_changes_nothing() -> None:
    """With a new process for every refresh the weights are those of one process."""
    found = []
    for anew in (False, True):
        wired = Wired(MemoryStore())
        wired.serve("1", "2")
        wired.run(bandit())
        traffic = Traffic(wired)
        for _ in range(8):
            traffic.reward(traffic.serve(50))
            (Wired(wired.store) if anew else wired).experiments.refresh("exp")
        found.append([one.weights for one in wired.experiments.weights("exp")])
    assert found[0] == found[1]
    assert len(found[0]) == 9


def two_at_once(store: Store[DeliveryUnit]) -> None:
    """Of eight refreshes at once one publishes, and all see it."""
    wired = Wired(store)
    wired.serve("1", "2")
    wired.run(bandit())
    traffic = Traffic(wired)
    for version in range(1, 4):
        traffic.reward(traffic.serve(50))
        with ThreadPoolExecutor(8) as pool:
            seen = list(pool.map(lambda _: Wired(store).experiments.refresh("exp"), range(8)))
        assert {one.policy_version for one in seen} == {version}
        assert all(one == seen[0] for one in seen)
    assert [one.policy_version for one in wired.experiments.weights("exp")] == [0, 1, 2, 3]


def test_two_refreshes_at_once(memory_store: MemoryStore) -> None:
    two_at_once(memory_store)


def test_two_refreshes_at_once_on_databases(sql_store: SqlStore) -> None:
    two_at_once(sql_store)


def test_a_refresh_that_was_read_before_another_publishes_nothing(serving: Wired) -> None:
    """Who comes late with what was read earlier finds nothing due."""
    stale = serving.run(bandit())
    traffic = Traffic(serving)
    traffic.reward(traffic.serve(50))
    serving.experiments.refresh("exp")
    with serving.store.write() as unit:
        assert refresh_within(unit, stale, serving.clock()) is None
        assert refresh_within(unit, replace(stale, key="other"), serving.clock()) is None
    assert latest(serving).policy_version == 1


def test_limits_of_the_answer(serving: Wired) -> None:
    serving.run(bandit())
    play(serving, Traffic(serving), 3)
    assert [one.policy_version for one in serving.experiments.weights("exp", limit=2)] == [2, 3]
    with pytest.raises(InvalidInput, match=r"limit must be in \[1, 10000\], got 0"):
        serving.experiments.weights("exp", limit=0)


# -- inference


def test_the_interval_covers_under_thompson_sampling() -> None:
    """Two arms, rewards 100 requests late, 60 runs, seeds 1 to 60: the interval at the end holds
    the truth. At 95 % fewer than 53 of 60 do with a chance of 0.7 % (binomial); the interval holds
    at all looks together, so that at one of them it covers more."""
    covered = 0
    for seed in range(1, 61):
        wired = Wired(MemoryStore())
        wired.serve("1", "2")
        wired.run(bandit())
        traffic = Traffic(wired, means={"control": 0.0, "challenger": 0.3}, seed=seed, key="exp")
        traffic.served = seed * 10_000  # other requests, so other draws
        waiting: list[str] = []
        for _ in range(12):
            waiting += traffic.serve(50)
            traffic.reward(waiting[:-100])
            waiting = waiting[-100:]
            wired.experiments.refresh("exp")
        traffic.reward(waiting)
        contrast = wired.experiments.analyze("exp").goal("challenger")
        assert contrast.rule == "horizon"
        assert contrast.lower is not None
        assert contrast.upper is not None
        covered += contrast.lower <= 0.3 <= contrast.upper
    assert covered >= 53
