"""A process of ``test_bandit_processes``: serves, learns late what it earned, and refreshes.

It writes down what was acknowledged, and the weights it saw. Started again it sends the outcomes
that it had not been acknowledged before, so that nothing waits for ever.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import select
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from palio.access.domain import Identity, Role
from palio.experiments.domain import Experiment
from palio.experiments.events import OutcomeDraft, Prediction
from palio.experiments.outcomes import Outcomes
from palio.experiments.service import Experiments
from palio.storage.store import SqlStore, engine_for
from palio.testing.records import prediction

_EACH = 10  # requests served together
_PAUSE_S = 0.05
_LATE_S = (0.2, 1.5)  # how long outcomes take


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - a process of its own, by the real clock


def ids(prefix: str) -> str:
    return prefix + secrets.token_hex(8)


@dataclass
class Worker:
    """One process; ``waiting`` are requests whose outcome is not known yet, with their time."""

    store: SqlStore
    notes: Path
    name: str
    means: Mapping[str, float]
    waiting: list[tuple[float, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        actor = Identity(self.name, Role.OPERATOR)
        self.experiments = Experiments(store=self.store, clock=now, ids=ids, actor=actor)
        self.outcomes = Outcomes(store=self.store, clock=now, ids=ids, actor=actor)
        self.random = random.Random(secrets.randbits(64))
        self.file = os.open(self.notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(self, **line: object) -> None:
        """Write a line whole: what is written survives the death of the process."""
        os.write(self.file, json.dumps(line).encode() + b"\n")

    def remember(self) -> None:
        """Take up what an earlier process of this name had not finished."""
        given: dict[str, str] = {}
        for line in map(json.loads, self.notes.read_text().splitlines()):
            given |= dict(zip(line.get("predictions", []), line.get("variants", []), strict=True))
            for one in line.get("outcomes", []):
                given.pop(one.removeprefix("o-"), None)
        self.waiting = [(0.0, request, variant) for request, variant in given.items()]

    def turn(self) -> None:
        """Serve some requests, send the outcomes that are known by now, refresh."""
        experiment = self.experiments.get("exp")
        self.note(version=experiment.policy_version, weights=experiment.weights)
        self.serve(experiment)
        self.learn(time.monotonic())
        made = self.experiments.refresh("exp")
        self.note(version=made.policy_version, weights=made.weights)

    def serve(self, experiment: Experiment) -> None:
        assigner = experiment.assigner()
        requests = [ids("r") for _ in range(_EACH)]
        given = {one: assigner.assign(one) or "" for one in requests}
        with self.store.write() as unit:
            unit.log.append([_prediction(experiment, one, given[one]) for one in requests])
        self.note(predictions=requests, variants=[given[one] for one in requests])
        for one in requests:
            due = time.monotonic() + self.random.uniform(*_LATE_S)
            self.waiting.append((due, one, given[one]))

    def learn(self, moment: float) -> None:
        known = [one for one in self.waiting if one[0] <= moment]
        self.waiting = [one for one in self.waiting if one[0] > moment]
        drafts = [
            OutcomeDraft(
                request_id=request,
                outcome_id=f"o-{request}",
                name="reward",
                value=_reward(request, self.means[variant]),
            )
            for _, request, variant in known
        ]
        if drafts:
            self.outcomes.record(drafts)
            self.note(outcomes=[one.outcome_id for one in drafts])


def _reward(request: str, mean: float) -> float:
    """Return the same reward whenever it is asked for: what is sent again is a repeat."""
    return random.Random(request).gauss(mean, 1.0)


def _prediction(experiment: Experiment, request: str, variant: str) -> Prediction:
    return prediction(
        request,
        at=now(),
        experiment=experiment.key,
        variant=variant,
        version=experiment.variant(variant).version,
        epoch=experiment.epoch,
        policy_version=experiment.policy_version,
        propensity=experiment.weights[variant],
    )


def main(url: str, notes: str, name: str, means: str) -> None:
    store = SqlStore(engine_for(url))
    worker = Worker(store, Path(notes), name, json.loads(means))
    worker.remember()
    while not select.select([sys.stdin], [], [], _PAUSE_S)[0]:  # until its input has ended
        worker.turn()
    worker.learn(float("inf"))
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
