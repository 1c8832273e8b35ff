"""Draw the pictures of docs/experiments.md and delivery.md: ``python scripts/pictures.py``.

Two versions for fourteen days, rewards two days late, from fixed seeds: half and half, and by
a bandit. The charts are those of their records; the power curve is the one of ``palio plan``.
A canary does well for ten minutes, fails from then on, and is taken back by the controller.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import altair as alt
import numpy as np

from palio.charts.render import to_png
from palio.charts.theme import HARM, MUTED, SERIES, Drawing, chart_of, titled
from palio.dashboard.record_text import record_charts
from palio.delivery.deployments.control import Kind
from palio.delivery.deployments.controller import CONTROLLER
from palio.delivery.deployments.looking import Looking
from palio.delivery.deployments.wanted import Canary, DeploymentDraft
from palio.delivery.traffic import TrafficCounts, TrafficSums
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
FAILS_AT, RATE, BORNE = 600, 10, 0.05  # seconds, requests a second, share of failures
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


def canary() -> bytes:
    """Let a canary fail after ten minutes, and draw what its whole mean says meanwhile."""
    wired = Wired(MemoryStore())
    wired.serve("1", "2")
    asked = DeploymentDraft(
        name="d", model="credit", version="2", canary=Canary(start_share=0.1, duration_s=3_600)
    )
    wired.deployments.deploy(asked)
    looking = Looking(
        store=wired.store, clock=wired.clock, runtime=wired.runtime, actor=CONTROLLER
    )
    rng, rows, ended = np.random.default_rng(20261128), [], 0
    failures: list[int] = []
    for second in range(1, FAILS_AT + 241):
        wired.clock.advance(1)
        failed = int(rng.binomial(RATE, 0.4 if second > FAILS_AT else 0.01))
        failures.append(failed)
        with wired.store.write() as unit:
            unit.traffic.put_many([_counts(wired.clock().timestamp(), failed)])
        if second % 5 == 0 and not ended:
            done = looking.look("d")
            ended = second if done is not None and done.kind is Kind.ROLL_BACK else 0
        of_late, since = (np.mean(one) / RATE for one in (failures[-10:], failures))
        if second % 2 == 0:
            rows.append({"second": second, "rate": of_late, "name": "of the last ten seconds"})
            rows.append({"second": second, "rate": since, "name": "since it began"})
    return to_png(_drawn(rows, ended))


def _counts(moment: float, failed: int) -> TrafficCounts:
    return TrafficCounts(
        second=int(moment),
        process="p",
        endpoint="credit",
        model="credit",
        version="2",
        sums=TrafficSums(requests=RATE, rows=RATE, errors=failed),
    )


def _drawn(rows: Sequence[Mapping[str, object]], ended: int) -> Drawing:
    late = next(
        row["second"]
        for row in rows
        if row["name"] == "since it began"
        and int(str(row["second"])) > FAILS_AT
        and float(str(row["rate"])) > BORNE
    )
    lines = chart_of(rows).mark_line().encode(
        x=alt.X("second:Q", title="Seconds since the canary began", axis=alt.Axis(grid=False)),
        y=alt.Y("rate:Q", title="Requests that fail", axis=alt.Axis(format="%")),
        color=alt.Color("name:N", scale=alt.Scale(range=list(SERIES[:2]))),
    )  # fmt: skip
    borne = (
        chart_of([{"rate": BORNE}]).mark_rule(color=MUTED, strokeDash=[4, 4]).encode(y="rate:Q")
    )
    back = chart_of([{"second": ended}]).mark_rule(color=HARM, strokeWidth=2).encode(x="second:Q")
    return titled(
        lines + borne + back,
        "A canary that begins to fail after ten minutes",
        f"It is taken back {ended - FAILS_AT} s later; the mean of all its requests would have "
        f"passed {BORNE:.0%} after {int(str(late)) - FAILS_AT} s",
        width=680,
        height=300,
    )


def main() -> None:
    """Draw them all."""
    apart, bandit = lived(HALF_AND_HALF), lived(BANDIT)
    drawn = {
        "interval": apart["plots/interval-challenger.png"],
        "known": apart["plots/known.png"],
        "traffic": bandit["plots/traffic.png"],
        "weights": bandit["plots/weights.png"],
        "canary": canary(),
    }
    for name, image in drawn.items():
        (PICTURES / f"{name}.png").write_bytes(image)
    plan = "plan --rate 0.05 --effect 0.005 --units-per-day 5000 --chart"
    palio = Path(sys.executable).with_name("palio")
    subprocess.run([palio, *plan.split(), PICTURES / "power.png"], check=True)  # noqa: S603


if __name__ == "__main__":
    main()
