"""The whole life of an experiment, with everything that it may measure, in any order.

Outcomes come out of order, repeated, corrected, before their prediction, or never; labels mature
as time goes on. After every fold the statistics equal a recomputation from the events that shares
none of the fold's arithmetic (`palio.experiments.folding.verification`), within its tolerance.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from palio.delivery.ports import DeliveryUnit
from palio.errors import IllegalTransition, InvalidOutcome, PalioError
from palio.experiments.designs.covariates import Covariate, Segment
from palio.experiments.designs.design import ExperimentDraft, Metrics, Stopping, Type, Variant
from palio.experiments.designs.metrics import Direction, Metric
from palio.experiments.designs.policy import Policy, PolicyKind
from palio.experiments.designs.risk import StopLoss
from palio.experiments.domain import State
from palio.experiments.events import Event, OutcomeDraft, Scored
from palio.experiments.folding.folding import read_batch
from palio.experiments.folding.verification import verify_within
from palio.experiments.weights.published import Published
from palio.ports import Store
from palio.storage import schema
from palio.storage.store import SqlStore, engine_for
from palio.storage.tables import metadata
from palio.testing.memory import MemoryStore
from palio.testing.records import design, exposure, prediction
from palio.testing.wired import Wired

VARIANTS = (Variant("control", "1", 0.5), Variant("challenger", "2", 0.5))
REQUESTS = st.sampled_from([f"r{number}" for number in range(6)])
UNITS = st.sampled_from([f"u{number}" for number in range(4)])
NUMBERS = st.floats(-1e3, 1e3, allow_nan=False).map(lambda number: round(number, 3))
SECONDS = st.sampled_from([-7_200, -60, 0, 30, 600, 3_600, 10_000])
COUNTRIES = st.sampled_from(["country=FR", "country=other"])
EVERYTHING = Metrics(
    "brier",
    (
        *("revenue", "revenue/visits:higher", "p50(revenue):higher", "sharpe(revenue):higher"),
        *("win_rate(revenue):higher", "p95(latency_ms):lower", "score:higher"),
    ),
    ("error", "visits/requests:higher"),
    (Metric("revenue", Direction.HIGHER, window_s=3_600),),
)


def everything() -> ExperimentDraft:
    return design(
        metrics=EVERYTHING,
        label_delay_s=600,
        covariates=(Covariate(name="revenue"), Covariate(name="age", window_s=3_600)),
        segments=(Segment("country", ("FR",)),),
        stop_loss=StopLoss(metric="revenue", max_drawdown=1e9),
        stopping=Stopping(horizon=4_000, min_sample=100),
    )


def paired() -> ExperimentDraft:
    return design(
        type=Type.PAIRED,
        label_independent=True,
        metrics=Metrics("brier", ("accuracy",), ("error", "latency_ms")),
        segments=(Segment("country", ("FR",)),),
    )


def bandit() -> ExperimentDraft:
    return design(
        type=Type.BANDIT,
        unit="request",
        metrics=Metrics("revenue:higher", (), ("error",)),
        policy=Policy(kind=PolicyKind.THOMPSON),
        stop_loss=StopLoss(metric="revenue", max_drawdown=1e9),
    )


class Life(RuleBasedStateMachine):
    """An experiment that is drafted, run, paused and ended while events arrive."""

    store: Store[DeliveryUnit]
    draft: Callable[[], ExperimentDraft]

    def __init__(self) -> None:
        super().__init__()
        self.wired = Wired(self.store)
        self.wired.serve("1", "2")
        self.experiment = self.wired.run(type(self).draft())
        self.ended = False

    def append(self, *events: Event) -> None:
        with self.wired.store.write() as unit:
            unit.log.append(events)

    @property
    def version(self) -> int:
        return self.wired.experiments.get("exp").policy_version

    @rule(request=REQUESTS, unit=UNITS, country=COUNTRIES, data=st.data())
    def predict(self, request: str, unit: str, country: str, data: st.DataObject) -> None:
        unit = request if self.experiment.design.by_request else unit
        variant = self.experiment.split().assign(unit)
        share, failed = (
            data.draw(st.floats(0, 1)),
            data.draw(st.sampled_from([False] * 4 + [True])),
        )
        other = "challenger" if variant == "control" else "control"
        others = Scored(
            variant=other, version="2", values=[0], probabilities=[[share / 2, 1 - share / 2]],
            latency_ms=2.0, error=data.draw(st.sampled_from([None, None, "boom"])),
        )  # fmt: skip
        self.append(
            prediction(
                request,
                unit=unit,
                at=self.wired.clock(),
                experiment="exp",
                variant=variant,
                epoch=1,
                values=[] if failed else [int(share > 0.5)],
                probabilities=None if failed else [[1 - share, share]],
                error="boom" if failed else None,
                latency_ms=data.draw(st.floats(0.01, 1e4)),
                policy_version=self.version,
                segments=(country,) if self.experiment.design.segments else (),
                others=(others,) if self.experiment.design.type is Type.PAIRED else (),
            )
        )

    @rule(unit=UNITS, country=COUNTRIES, swapped=st.sampled_from([False] * 6 + [True]))
    def expose(self, unit: str, country: str, swapped: bool) -> None:
        variant = self.experiment.split().assign(unit)
        if swapped:
            variant = "challenger" if variant == "control" else "control"
        self.append(
            exposure(
                unit,
                at=self.wired.clock(),
                variant=variant,
                policy_version=self.version,
                segments=(country,) if self.experiment.design.segments else (),
            )
        )

    @rule(request=REQUESTS, value=st.integers(0, 1))
    def label(self, request: str, value: int) -> None:
        self.tell(OutcomeDraft(request_id=request, value=value))

    @rule(
        subject=REQUESTS | UNITS,
        name=st.sampled_from(["revenue", "visits", "age"]),
        value=NUMBERS,
        number=st.integers(0, 2),
        seconds=SECONDS,
    )
    def happen(self, *, subject: str, name: str, value: float, number: int, seconds: int) -> None:
        """Tell an outcome, or the same one anew: it repeats or corrects."""
        about = {"request_id" if subject.startswith("r") else "unit": subject}
        at = self.wired.clock() + timedelta(seconds=seconds)
        named = f"{subject}-{name}-{number}"
        self.tell(OutcomeDraft(name=name, value=value, outcome_id=named, at=at, **about))

    def tell(self, draft: OutcomeDraft) -> None:
        with suppress(InvalidOutcome):
            self.wired.outcomes.record([draft])

    @rule(weight=st.floats(0.05, 0.95))
    def publish(self, weight: float) -> None:
        """Give a bandit's weights another version, as a refresh does."""
        if self.ended or not self.experiment.design.policy.moves:
            return
        weights = {"control": weight, "challenger": 1 - weight}
        guesses = {"revenue": {"control": weight, "challenger": -weight}}
        with self.wired.store.write() as unit:
            one = unit.experiments.get("exp")
            assert one is not None
            version = one.policy_version + 1
            now = type(one)(
                **{
                    **{name: getattr(one, name) for name in one.__dataclass_fields__},
                    "policy_version": version,
                    "published": weights,
                }
            )
            unit.experiments.put_many([now])
            unit.published.put_many(
                [
                    Published(
                        experiment="exp", policy_version=version, epoch=1, at=self.wired.clock(),
                        by="test", watermark=0, weights=weights, guesses=guesses,
                    )
                ]
            )  # fmt: skip

    @rule(seconds=st.sampled_from([1, 300, 900]))
    def wait(self, seconds: int) -> None:
        self.wired.clock.advance(seconds)

    @rule(verb=st.sampled_from(["pause", "resume"]))
    def pause_or_resume(self, verb: str) -> None:
        with suppress(PalioError):
            getattr(self.wired.experiments, verb)("exp")

    @rule(often=st.sampled_from([False] * 9 + [True]))
    def end(self, often: bool) -> None:
        if often:
            with suppress(IllegalTransition):
                self.wired.experiments.complete("exp")
            self.ended = True
            assert self.wired.experiments.get("exp").state is State.COMPLETED
            assert self.wired.experiments.record("exp").report == self.wired.experiments.analyze(
                "exp"
            )

    @rule(limit=st.integers(1, 5))
    def fold_a_page(self, limit: int) -> None:
        with self.wired.store.write() as unit:
            now = self.wired.clock()
            batch = read_batch(unit, self.experiment, limit=limit, now=now)
            assert batch is None or batch.write(unit)

    @rule()
    def look(self) -> None:
        if not self.ended:
            self.wired.experiments.analyze("exp")

    @invariant()
    def statistics_equal_a_recomputation(self) -> None:
        with self.wired.store.read() as unit:
            cursor = unit.cursors.get("exp")
        if cursor != getattr(self, "seen", None):  # after every fold
            self.seen = cursor
            found = self.verified()
            assert found == (), found

    def verified(self) -> tuple[str, ...]:
        with self.wired.store.read() as unit:
            return verify_within(unit, self.wired.experiments.get("exp")).differences

    def teardown(self) -> None:
        assert self.wired.experiments.verify("exp").differences == ()


DRAFTS = pytest.mark.parametrize("draft", [everything, paired, bandit])


def live(
    draft: Callable[[], ExperimentDraft],
    opened: Callable[[], Store[DeliveryUnit]],
    *,
    examples: int,
) -> None:
    class Living(Life):
        def __init__(self) -> None:
            type(self).draft = staticmethod(draft)
            self.store = opened()
            super().__init__()

    run_state_machine_as_test(
        Living,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@DRAFTS
def test_in_memory(draft: Callable[[], ExperimentDraft]) -> None:
    live(draft, MemoryStore, examples=150)


@DRAFTS
def test_on_sqlite(draft: Callable[[], ExperimentDraft], tmp_path: Path) -> None:
    def opened() -> Store[DeliveryUnit]:
        folder = tempfile.mkdtemp(dir=tmp_path)
        engine = engine_for(str(Path(folder) / "palio.db"))
        schema.prepare(engine)
        return SqlStore(engine)

    live(draft, opened, examples=8)


@DRAFTS
def test_on_postgres(draft: Callable[[], ExperimentDraft], postgres_store: SqlStore) -> None:
    names = ", ".join(table.name for table in metadata.sorted_tables if table.name != "audit_head")

    def opened() -> Store[DeliveryUnit]:
        with postgres_store.engine.begin() as connection:
            connection.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY")
            connection.exec_driver_sql("UPDATE audit_head SET seq = 0, hash = ''")
        return postgres_store

    live(draft, opened, examples=8)
