"""Four processes record and refresh one bandit in one PostgreSQL, and one is killed all the time.

Nothing that was acknowledged is lost or doubled, every process saw the same weights under a policy
version, and these are what the published evidence gives.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.experiments.bandit_cases import bandit

from palio.access.audit import first_break
from palio.experiments.designs.design import Stopping
from palio.experiments.events import Outcome, Prediction
from palio.experiments.service import Experiments
from palio.experiments.weights.refreshing import weights_from
from palio.storage.store import SqlStore
from palio.testing.wired import Wired

from .servers import PATIENCE_S

RUNS_S = 60.0 if os.environ.get("PALIO_CI") else 15.0
KILLS_S = 5.0
PROCESSES = 4
MEANS = {"control": 0.0, "challenger": 0.2}
WORKER = Path(__file__).with_name("bandit_worker.py")


@dataclass(slots=True)
class Told:
    """What the processes wrote down: ids that were acknowledged, weights that they saw."""

    predictions: list[str] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
    seen: dict[int, set[str]] = field(default_factory=dict)
    asked: int = 0

    @classmethod
    def by(cls, folder: Path) -> Told:
        told = cls()
        for path in sorted(folder.glob("*.jsonl")):
            for line in path.read_text().splitlines():
                told.take(json.loads(line))
        return told

    def take(self, line: dict[str, Any]) -> None:
        self.predictions += line.get("predictions", [])
        self.outcomes += line.get("outcomes", [])
        if "version" in line:
            self.asked += 1
            self.seen.setdefault(line["version"], set()).add(json.dumps(line["weights"]))


def start(url: str, folder: Path, number: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(WORKER), url, str(folder / f"{number}.jsonl"), str(number)]
    command += [json.dumps(MEANS)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)


def run(url: str, folder: Path) -> int:
    """Let them work, kill one every few seconds and start it again; return how often."""
    workers = {number: start(url, folder, number) for number in range(PROCESSES)}
    chance, kills = random.Random(5), 0
    end = time.monotonic() + RUNS_S
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(KILLS_S, left))
        if time.monotonic() < end:
            number = chance.randrange(PROCESSES)
            workers[number].send_signal(signal.SIGKILL)
            _, complained = workers[number].communicate()
            assert (workers[number].returncode, complained) == (-signal.SIGKILL, b"")
            workers[number] = start(url, folder, number)
            kills += 1
    for worker in workers.values():
        assert worker.stdin is not None
        worker.stdin.close()  # at the end of its input a worker ends
    for worker in workers.values():
        worker.stdin = None
        _, complained = worker.communicate(timeout=4 * PATIENCE_S)
        assert (worker.returncode, complained) == (0, b"")
    return kills


def check_log(store: SqlStore, told: Told) -> Counter[str]:
    """What was acknowledged is in the log once, and nothing is there twice."""
    with store.read() as unit:
        events = [entry.event for entry in unit.log.after(0, limit=10**7)]
    served = Counter(one.request_id for one in events if isinstance(one, Prediction))
    rewards = Counter(one.outcome_id for one in events if isinstance(one, Outcome))
    assert set(served.values()) == set(rewards.values()) == {1}
    assert len(set(told.predictions)) == len(told.predictions)
    assert set(told.predictions) <= served.keys()
    assert set(told.outcomes) <= rewards.keys()
    assert {one.removeprefix("o-") for one in rewards} <= served.keys()
    return Counter(predictions=len(served), outcomes=len(rewards))


def check_weights(verbs: Experiments, told: Told) -> int:
    """All saw the same weights under a version: those published, which the evidence gives."""
    experiment = verbs.get("exp")
    published = {one.policy_version: one for one in verbs.weights("exp", limit=10_000)}
    assert sorted(published) == list(range(experiment.policy_version + 1))
    for version, seen in told.seen.items():
        assert seen == {json.dumps(dict(published[version].weights))}
    for version, one in published.items():
        if version:
            assert weights_from(experiment, one) == one.weights
    marks = [one.watermark for one in published.values()]
    assert marks == sorted(marks)
    return experiment.policy_version


def test_processes_share_one_bandit(
    postgres_store: SqlStore, postgres_url: str, tmp_path: Path
) -> None:
    """For 15 seconds; for 60 where ``PALIO_CI`` is set."""
    wired = Wired(postgres_store)
    wired.serve("1", "2")
    wired.run(bandit(stopping=Stopping(horizon=10**6, min_sample=100)))
    kills = run(postgres_url, tmp_path)
    told = Told.by(tmp_path)
    verbs = wired.experiments
    counts = check_log(postgres_store, told)
    verification = verbs.verify("exp")
    assert verification.differences == ()
    versions = check_weights(verbs, told)
    report = verbs.analyze("exp")
    assert sum(arm.requests for arm in report.arms) == counts["predictions"]
    assert sum(arm.metrics["reward"].n for arm in report.arms) == counts["outcomes"]
    assert not report.sample_ratio.mismatch
    assert verbs.get("exp").weights["challenger"] > 0.5
    with postgres_store.read() as unit:
        assert first_break(unit.audit.entries()) is None
    sys.stdout.write(
        f"\n{RUNS_S:g} s, {PROCESSES} processes, {kills} kills: {counts['predictions']} "
        f"predictions and {counts['outcomes']} outcomes in the log, {len(told.predictions)} and "
        f"{len(told.outcomes)} acknowledged, each once; {versions} versions of the weights, "
        f"{told.asked} times asked for, {len(told.seen)} versions seen, all alike; "
        f"{verification.compared} figures equal a recomputation; "
        f"sample ratio p {report.sample_ratio.p_value:.3g}\n"
    )
    assert kills == round(RUNS_S / KILLS_S) - 1
    assert versions > RUNS_S / 5
