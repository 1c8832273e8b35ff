"""Weights changed by hand: where that is allowed, and that epochs are never mixed."""

from __future__ import annotations

from typing import Any

import pytest
from tests.experiments.bandit_cases import Traffic, bandit

from palio.access.domain import Role
from palio.errors import Conflict, Forbidden, InvalidInput, InvalidWeights
from palio.experiments.designs.design import Metrics, Variant
from palio.experiments.judging.analysis import Verdict
from palio.testing.records import design
from palio.testing.wired import Wired

EIGHTY = {"control": 0.8, "challenger": 0.2}


@pytest.fixture
def serving(wired: Wired) -> Wired:
    wired.serve("1", "2", "3")
    return wired


def by_request(**fields: Any) -> Any:
    return design(**{"unit": "request", "metrics": Metrics("reward:higher"), **fields})


@pytest.mark.parametrize("fields", [{"unit": "request"}, {"sticky": True}])
def test_another_epoch_begins(serving: Wired, fields: dict[str, Any]) -> None:
    """The frozen design stays; the weights, their version and the epoch are new, and audited."""
    before = serving.run(design(**fields))
    serving.clock.advance(60)
    moved = serving.acting("bea", Role.OPERATOR).experiments.reweight("exp", EIGHTY, "slow")
    assert serving.experiments.get("exp") == moved
    assert (moved.weights, moved.epoch, moved.policy_version) == (EIGHTY, 2, 1)
    assert (moved.design, moved.frozen) == (before.design, before.design.digest)
    first, last = serving.experiments.weights("exp")
    assert (first.weights, first.epoch) == ({"control": 0.5, "challenger": 0.5}, 1)
    assert (last.weights, last.epoch, last.by, last.at) == (EIGHTY, 2, "bea", serving.clock.now)
    entry = serving.audit.list()[-1]
    assert (entry.action, entry.actor, entry.reason) == ("experiment.reweight", "bea", "slow")
    assert entry.before == {"weights": first.weights, "epoch": 1}
    assert entry.after == {"weights": EIGHTY, "epoch": 2}


def test_a_paused_experiment_is_reweighted(serving: Wired) -> None:
    serving.run(by_request())
    serving.experiments.pause("exp")
    serving.experiments.reweight("exp", EIGHTY, "why")
    assert serving.experiments.resume("exp").weights == EIGHTY


def test_the_watermark_is_how_far_the_log_was_folded(serving: Wired) -> None:
    serving.run(by_request())
    Traffic(serving).serve(7)
    serving.experiments.analyze("exp")
    serving.experiments.reweight("exp", EIGHTY, "why")
    assert serving.experiments.weights("exp")[-1].watermark == 7


def test_weights_in_force_change_nothing(serving: Wired) -> None:
    """Asked twice, it is done once; the order of the weights does not matter."""
    serving.run(by_request())
    moved = serving.experiments.reweight("exp", EIGHTY, "why")
    entries = len(serving.audit.list())
    again = serving.experiments.reweight("exp", dict(reversed(EIGHTY.items())), "why")
    assert again == moved
    assert len(serving.audit.list()) == entries


@pytest.mark.parametrize(
    ("weights", "kind", "message"),
    [
        ({"control": 0.5, "challenger": 0.4}, InvalidWeights, "must sum to 1"),
        ({"control": 1.5, "challenger": -0.5}, InvalidWeights, "finite and >= 0"),
        ({"control": 1.0}, InvalidInput, "each variant of exp once: control, challenger"),
        ({**EIGHTY, "x": 0.0}, InvalidInput, "got control, challenger, x"),
        ({}, InvalidInput, "got none"),
    ],
)
def test_weights_that_are_refused(
    serving: Wired, weights: dict[str, float], kind: type[Exception], message: str
) -> None:
    before = serving.run(by_request())
    with pytest.raises(kind, match=message):
        serving.experiments.reweight("exp", weights, "why")
    assert serving.experiments.get("exp") == before
    assert len(serving.experiments.weights("exp")) == 1


def test_a_reason_is_needed(serving: Wired) -> None:
    serving.run(by_request())
    with pytest.raises(InvalidInput, match="reason is empty; say why the weights are changed"):
        serving.experiments.reweight("exp", EIGHTY, " ")


def test_units_that_would_move_are_refused(serving: Wired) -> None:
    serving.run(design())
    with pytest.raises(Conflict, match=r"units that would move .*sticky: true.*unit: request"):
        serving.experiments.reweight("exp", EIGHTY, "why")


def test_a_bandit_is_moved_by_its_policy(serving: Wired) -> None:
    serving.run(bandit())
    with pytest.raises(Conflict, match="exp is a bandit: its policy thompson moves the weights"):
        serving.experiments.reweight("exp", EIGHTY, "why")


def test_only_what_is_open_is_reweighted(serving: Wired) -> None:
    serving.experiments.draft(by_request())
    with pytest.raises(Conflict, match="exp is draft; only weights of a running or paused"):
        serving.experiments.reweight("exp", EIGHTY, "why")
    serving.experiments.start("exp")
    serving.experiments.stop("exp", "enough")
    with pytest.raises(Conflict, match="exp is stopped; only weights"):
        serving.experiments.reweight("exp", EIGHTY, "why")


def test_viewers_look_and_do_not_touch(serving: Wired) -> None:
    serving.run(by_request())
    viewer = serving.acting("eve", Role.VIEWER).experiments
    assert len(viewer.weights("exp")) == 1
    with pytest.raises(Forbidden):
        viewer.reweight("exp", EIGHTY, "why")
    with pytest.raises(Forbidden):
        viewer.refresh("exp")


def test_epochs_are_not_mixed(serving: Wired) -> None:
    """Simpson's paradox: the challenger is better by 0.5 in each epoch, and the second epoch, in
    which it gets most units, is worse for all by 4. Merged, it would look worse by far."""
    variants = (Variant("control", "1", 0.9), Variant("challenger", "2", 0.1))
    serving.run(by_request(variants=variants))
    traffic = Traffic(serving, means={"control": 4.0, "challenger": 4.5}, sd=0.5)
    traffic.reward(traffic.serve(1_500))
    serving.experiments.reweight("exp", {"control": 0.1, "challenger": 0.9}, "ramp")
    traffic.means = {"control": 0.0, "challenger": 0.5}
    traffic.reward(traffic.serve(1_500))
    report = serving.experiments.analyze("exp")
    control, challenger = (arm.metrics["reward"].mean for arm in report.arms)
    assert challenger - control < -2  # as observed, epochs together
    contrast = report.goal("challenger")
    assert contrast.effect == pytest.approx(
        0.5, abs=0.1
    )  # 3 standard errors: 0.5 / sqrt(2 150) each epoch
    assert contrast.verdict is Verdict.BETTER
    assert serving.experiments.verify("exp").differences == ()


def test_an_epoch_in_which_nothing_is_compared_takes_nothing_away(serving: Wired) -> None:
    """When the challenger gets nobody any more, what is known of it stays."""
    serving.run(by_request())
    traffic = Traffic(serving, means={"control": 0.0, "challenger": 1.0})
    traffic.reward(traffic.serve(400))
    before = serving.experiments.analyze("exp").goal("challenger")
    serving.experiments.reweight("exp", {"control": 1.0, "challenger": 0.0}, "stop")
    traffic.reward(traffic.serve(600))
    after = serving.experiments.analyze("exp").goal("challenger")
    assert (after.effect, after.verdict) == (before.effect, Verdict.BETTER)


@pytest.mark.parametrize("wrong", [False, True])
def test_the_sample_ratio_takes_each_epoch_by_its_own_weights(serving: Wired, wrong: bool) -> None:
    """Units are split as designed in both epochs, though as neither epoch says of them together;
    where the second epoch is split by the weights of the first, that is found."""
    serving.run(by_request())
    traffic = Traffic(serving)
    traffic.reward(traffic.serve(1_000))
    old = serving.experiments.get("exp").split()
    serving.experiments.reweight("exp", {"control": 0.95, "challenger": 0.05}, "why")
    served = traffic.serve(1_000)
    if wrong:
        with serving.store.write() as unit:
            experiment = serving.experiments.get("exp")
            names = [f"w{number}" for number in range(1_000)]
            unit.log.append(
                [traffic.prediction_of(experiment, one, old.assign(one)) for one in names]
            )
    traffic.reward(served)
    report = serving.experiments.analyze("exp")
    assert report.sample_ratio.mismatch is wrong
    assert report.label_share is not None
    assert not report.label_share.differs


def test_a_bandits_units_are_held_against_their_propensities(serving: Wired) -> None:
    """Split by the weights in force there is no mismatch; half of an arm's lost is one."""
    for key, lost in (("all", 0.0), ("lossy", 0.5)):
        serving.run(bandit(key))
        traffic = Traffic(serving, key, lost={"challenger": lost})
        for _ in range(20):
            traffic.reward(traffic.serve(50))
            serving.experiments.refresh(key)
        report = serving.experiments.analyze(key)
        assert report.sample_ratio.mismatch is bool(lost)
        assert report.label_share is None
        serving.experiments.stop(key, "enough")
