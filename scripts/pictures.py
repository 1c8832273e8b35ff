"""Draw the pictures of docs/experiments.md: ``python scripts/pictures.py``.

Two versions for fourteen days, rewards two days late, from fixed seeds: half and half, and by
a bandit. The charts are those of their records; the power curve is the one of ``palio plan``.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from palio.dashboard.record_text import record_charts
from palio.experiments.designs.design import ExperimentDraft, Metrics, Stopping, Type, Variant
from palio.experiments.designs.policy import Policy, PolicyKind
from palio.experiments.events import OutcomeDraft
from palio.testing.memory import MemoryStore
from palio.testing.wired import Wired

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
STEPS, STEP_S, UNITS, DELAY = 56, 6 * 3_600, 80, 8  # of 14 days; rewards come 8 steps late
EARNS = {"control": 1.0, "challenger": 1.12}
HALF_AND_HALF = ExperimentDraft(
    key="pricing",
    endpoint="credit",
    unit="request",
    variants=(Variant("control", "1", 0.5), Variant("challenger", "2", 0.5)),
    metrics=Metrics("revenue:higher"),
    stopping=Stopping(horizon=5_000, min_sample=200),
)
BANDIT = replace(HALF_AND_HALF, type=Type.BANDIT, policy=Policy(kind=PolicyKind.THOMPSON))


def lived(design: ExperimentDraft) -> Mapping[str, bytes]:
    """Let it live: units come, rewards follow, weights are refreshed, somebody looks."""
    wired = Wired(MemoryStore())
    wired.serve("1", "2")
    experiment = wired.run(design)
    rng = np.random.default_rng(20261128)
    given: list[Sequence[OutcomeDraft]] = []
    for step in range(STEPS):
        wired.clock.advance(STEP_S)
        names = [f"u{step}-{number}" for number in range(UNITS)]
        assigned = wired.experiments.assign_many("pricing", names, record=True)
        given.append(
            [
                OutcomeDraft(
                    unit=one.unit,
                    name="revenue",
                    value=float(rng.normal(EARNS[one.variant or ""], 1.0)),
                )
                for one in assigned
            ]
        )
        if step >= DELAY:
            wired.outcomes.record(given[step - DELAY])
        if design.policy.moves:
            wired.experiments.refresh("pricing")
        wired.experiments.analyze("pricing")
    return record_charts(experiment, wired.experiments.looks("pricing"))


def main() -> None:
    """Draw them all."""
    apart, bandit = lived(HALF_AND_HALF), lived(BANDIT)
    drawn = {
        "interval": apart["plots/interval-challenger.png"],
        "known": apart["plots/known.png"],
        "traffic": bandit["plots/traffic.png"],
        "weights": bandit["plots/weights.png"],
    }
    for name, image in drawn.items():
        (PICTURES / f"{name}.png").write_bytes(image)
    plan = "plan --rate 0.05 --effect 0.005 --units-per-day 5000 --chart"
    palio = Path(sys.executable).with_name("palio")
    subprocess.run([palio, *plan.split(), PICTURES / "power.png"], check=True)  # noqa: S603


if __name__ == "__main__":
    main()
