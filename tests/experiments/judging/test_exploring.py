"""Metrics that no design named, from the events: what a declared one would have shown."""

from __future__ import annotations

from typing import Any

import pytest

from palio.errors import InvalidInput
from palio.experiments.designs.design import Metrics, Type
from palio.experiments.designs.policy import Policy, PolicyKind
from palio.experiments.events import OutcomeDraft
from palio.experiments.judging.analysis import MetricRole
from palio.testing.memory import MemoryStore
from palio.testing.records import design, exposure
from palio.testing.wired import Wired

ASKED = ("stars:higher", "p50(stars):higher", "stars/visits:higher")


def lived(draft: Any) -> Wired:
    wired = Wired(MemoryStore())
    wired.serve("1", "2")
    experiment = wired.run(draft)
    split = experiment.split()
    units = [f"u{number}" for number in range(600)]
    with wired.store.write() as unit:
        unit.log.append([exposure(one, variant=split.assign(one)) for one in units])
    wired.outcomes.record(
        [
            OutcomeDraft(unit=one, name=name, value=float(hash_of(one, name)))
            for one in units
            for name in ("stars", "visits")
        ]
    )
    return wired


def hash_of(unit: str, name: str) -> int:
    return 1 + (int(unit[1:]) * 7 + len(name)) % 11


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"type": Type.BANDIT, "sticky": True, "policy": Policy(kind=PolicyKind.THOMPSON)},
    ],
)
def test_it_is_what_a_declared_metric_shows(fields: dict[str, Any]) -> None:
    undeclared = lived(design(metrics=Metrics("visits:higher"), **fields))
    declared = lived(design(metrics=Metrics("stars:higher", ASKED[1:]), **fields))
    expected = declared.experiments.analyze("exp").contrasts
    found = undeclared.experiments.explore("exp", ASKED)
    assert [row.effect for row in found] == pytest.approx([row.effect for row in expected])
    assert [row.lower for row in found] == pytest.approx([row.lower for row in expected])
    assert [row.role for row in found] == [MetricRole.GOAL, *[MetricRole.SECONDARY] * 2]


def test_nothing_asked_is_refused() -> None:
    with pytest.raises(InvalidInput, match="name one at least"):
        lived(design()).experiments.explore("exp", [])
