"""`palio experiments weights`, `reweight` and `refresh`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.e2e import servers

import palio
from palio.experiments.designs.design import Metrics, Type
from palio.experiments.designs.policy import Policy, PolicyKind
from palio.experiments.events import OutcomeDraft


@pytest.fixture
def store(home: str) -> str:
    """A store with an experiment ``e`` by request, and a bandit ``b`` that waits."""
    by_request = servers.design("e", unit="request")
    policy = Policy(kind=PolicyKind.THOMPSON, refresh_rewards=5)
    with palio.connect(home) as opened:
        opened.experiments.draft(by_request)
        opened.experiments.start("e")
        waiting = replace(by_request, key="b", type=Type.BANDIT, policy=policy)
        opened.experiments.draft(replace(waiting, metrics=Metrics("reward:higher")))
    return home


def test_weights_are_changed_and_shown(store: str, cli: Any, told: Any) -> None:
    ask = ("--store", store, "experiments")
    weights = ("--weight", "control=0.8", "--weight", "challenger=0.2")
    code, out, err = cli(*ask, "reweight", "e", *weights, "--reason", "slow")
    assert (code, err) == (0, "")
    assert out == "e splits by control 0.8, challenger 0.2 from epoch 2 on\n"
    code, out, err = cli(*ask, "weights", "e")
    assert (code, err) == (0, "")
    head, first, last = out.splitlines()
    assert head.split() == ["version", "epoch", "when", "by", "rewards", "weights"]
    assert first.split()[:2] == ["0", "1"]
    assert first.endswith("control 0.5, challenger 0.5")
    assert last.split()[:2] == ["1", "2"]
    assert last.endswith("control 0.8, challenger 0.2")
    [row] = told(*ask, "weights", "e", "--limit", 1)
    assert (row["policy_version"], row["weights"]) == (1, {"control": 0.8, "challenger": 0.2})


def test_a_bandit_is_refreshed(store: str, cli: Any, told: Any) -> None:
    ask = ("--store", store, "experiments")
    assert cli(*ask, "weights", "b") == (0, "b has not been started\n", "")
    with palio.connect(store) as opened:
        opened.experiments.stop("e", "enough")
        opened.experiments.start("b")
        ids = [f"r{number}" for number in range(5)]
        for one in ids:
            opened.predict("credit", [[1, 2, 3]], request_id=one)
        opened.outcomes.record([OutcomeDraft(request_id=o, name="reward", value=1) for o in ids])
    code, out, err = cli(*ask, "refresh", "b")
    assert (code, err) == (0, "")
    assert out.startswith("version 1 at 5 rewards: control ")
    assert told(*ask, "refresh", "b")["policy_version"] == 1
    code, _, err = cli(*ask, "refresh", "e")
    assert code == 4
    assert "no policy moves its weights" in err


@pytest.mark.parametrize("weight", ["control", "control=much", "=0.5"])
def test_a_weight_that_cannot_be_read(store: str, cli: Any, weight: str) -> None:
    ask = ("--store", store, "experiments", "reweight", "e", "--weight", weight)
    code, _, err = cli(*ask, "--reason", "why")
    assert code == 2
    assert "weight" in err
