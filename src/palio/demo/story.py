"""The demonstration from the first row to the decision, by the verbs that everybody has."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from palio.access.audit import AuditEntry
from palio.access.domain import Role
from palio.access.service import AuditCheck
from palio.dashboard.record import record_page
from palio.demo.material import Case, Material, material_of, usable
from palio.demo.options import DemoOptions
from palio.demo.replay import Replay, Sent
from palio.demo.result import Champion, DemoResult, Source
from palio.demo.screen import Screen
from palio.demo.server import serving
from palio.demo.shelter import direct_to_loopback, workplace, write_aside
from palio.demo.traffic import plan_of
from palio.experiments.designs.design import ExperimentDraft, Metrics, Stopping, Variant
from palio.experiments.domain import Experiment
from palio.experiments.folding.verification import Verification
from palio.experiments.judging.analysis import DecisionKind, Look, Report
from palio.platform import connect
from palio.platform.interruption import Interruption
from palio.registry.domain import Version
from palio.session import Palio

__all__ = ["run"]

_KEY = "scorecard-or-boosting"
_ACTOR = "demo"
_CONTROL, _CHALLENGER = "scorecard", "boosting"
_ESTIMATORS = {_CONTROL: "logistic", _CHALLENGER: "gradient-boosting"}
_MIN_SAMPLE = 1_000
_STORE = "palio.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """What was asked, where people look, and the folder to work in."""

    options: DemoOptions
    screen: Screen
    folder: Path

    @property
    def store(self) -> Path:
        return self.folder / _STORE


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """What is there before the server is: cases to replay, and a key to the store."""

    material: Material
    cases: Sequence[Case]
    key_id: str
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ended:
    """What the experiment left."""

    experiment: Experiment
    report: Report
    looks: Sequence[Look]
    verification: Verification
    champion: Champion
    versions: Sequence[Version]
    sent: Sent


def run(options: DemoOptions, screen: Screen) -> DemoResult:
    """Train two versions, serve them, replay traffic, decide, and write the report.

    Whatever happens, the server is stopped and the folder removed before this returns or raises.

    Parameters
    ----------
    options
        What was asked.
    screen
        Where people look meanwhile.

    Raises
    ------
    InvalidData
        If the table cannot be used.
    KeyboardInterrupt
        If it was interrupted, by Ctrl-C, SIGTERM or a closed terminal.
    """
    with Interruption() as interruption, direct_to_loopback():
        try:
            with workplace(options.keep) as folder:
                return _tell(_Task(options=options, screen=screen, folder=folder))
        finally:
            interruption.ignore()


def _tell(task: _Task) -> DemoResult:
    began = time.perf_counter()
    ready = _prepare(task)
    task.screen.step("starting the server")
    with serving(task.store) as address, connect(address, key=ready.secret) as palio:
        task.screen.step(f"replaying {len(ready.cases):,} rows as live traffic to {address}")
        ended = _experiment(task, palio, ready)
    task.screen.step("reading the audit log and writing the report")
    audit, check = _audit(task, ready)
    write_aside(task.options.report, _page(ready, ended, audit))
    seconds = time.perf_counter() - began
    return _result(task, ready, ended, audit=audit, check=check, seconds=seconds)


def _prepare(task: _Task) -> _Ready:
    options, screen = task.options, task.screen
    given = "the synthetic loan book" if options.data is None else str(options.data)
    screen.step(f"reading {given}")
    material = material_of(options)
    screen.source(material.source, material.note)
    with connect(task.store, actor=_ACTOR) as palio:
        for version in _ESTIMATORS:
            _train(task, palio, material, version)
        name = material.name
        palio.versions.promote(f"{name}:{_CONTROL}", reason="the scorecard is what we have")
        palio.endpoints.create(name, name, "where applications are scored")
        key = palio.keys.create(_ACTOR, Role.OPERATOR)
        signature = palio.versions.get(f"{name}:{_CONTROL}").signature
    cases: Sequence[Case] = material.cases
    if signature is not None:
        cases = usable(material.cases, signature, source=options.data or material.source)
    return _Ready(material=material, cases=cases, key_id=key.key.id, secret=key.secret)


def _train(task: _Task, palio: Palio, material: Material, version: str) -> None:
    estimator = _ESTIMATORS[version]
    rows = f"{material.learnt.height:,} rows"
    task.screen.step(f"training {material.name}:{version} ({estimator}) on {rows}")
    table = task.folder / "learnt.parquet"
    material.learnt.write_parquet(table)
    draft = palio.train(
        table,
        target=material.target,
        model=material.name,
        version=version,
        estimator=estimator,
        seed=task.options.seed,
        description=f"learnt from {material.source}",
        on_step=task.screen.detail,
    )
    table.unlink()
    palio.submit(draft)
    if version == _CONTROL:
        for warning in draft.trained.record["warnings"]:
            task.screen.note(warning)


def _experiment(task: _Task, palio: Palio, ready: _Ready) -> _Ended:
    name = ready.material.name
    before = palio.versions.get(f"{name}@champion").version
    palio.experiments.draft(_design(ready))
    experiment = palio.experiments.start(_KEY)
    task.screen.experiment(experiment)
    sent = _replay(task, palio, ready)
    report = palio.experiments.analyze(_KEY)
    task.screen.look(report)
    _close(palio, report)
    return _Ended(
        experiment=palio.experiments.get(_KEY),
        report=palio.experiments.record(_KEY).report,
        looks=palio.experiments.looks(_KEY),
        verification=palio.experiments.verify(_KEY),
        champion=Champion(before, palio.versions.get(f"{name}@champion").version),
        versions=[palio.versions.get(f"{name}:{version}") for version in _ESTIMATORS],
        sent=sent,
    )


def _design(ready: _Ready) -> ExperimentDraft:
    total = len(ready.cases)
    return ExperimentDraft(
        key=_KEY,
        endpoint=ready.material.name,
        variants=(Variant("control", _CONTROL, 0.5), Variant("challenger", _CHALLENGER, 0.5)),
        metrics=Metrics(
            goal="brier",
            secondary=("log_loss", "accuracy", "latency_ms"),
            guardrails=("error",),
        ),
        stopping=Stopping(horizon=total, min_sample=min(_MIN_SAMPLE, total // 4)),
        hypothesis=f"Gradient boosting gives better probabilities of {ready.material.target} "
        "than the logistic scorecard.",
        unit="request",
    )


def _replay(task: _Task, palio: Palio, ready: _Ready) -> Sent:
    options, total = task.options, len(ready.cases)
    plan = plan_of(total, look_every=options.look_every, seed=options.seed)
    replay = Replay(
        palio, ready.material.name, ready.cases, lambda: task.screen.sent(replay.sent, total)
    )
    with replay:
        for stretch in plan:
            replay.run(stretch)
            report = palio.experiments.analyze(_KEY)
            task.screen.look(report)
            if report.decision.kind is not DecisionKind.KEEP_RUNNING:
                break
        task.screen.detail("waiting for the last labels")
        replay.flush(np.random.default_rng(options.seed))
    return replay.sent


def _close(palio: Palio, report: Report) -> None:
    """Do what the decision says."""
    why = "; ".join(report.decision.reasons)
    match report.decision.kind:
        case DecisionKind.SHIP:
            palio.experiments.ship(_KEY, reason=why)
        case DecisionKind.INVALID:
            palio.experiments.stop(_KEY, reason=why)
        case _:
            palio.experiments.complete(_KEY, reason=why)


def _audit(task: _Task, ready: _Ready) -> tuple[Sequence[AuditEntry], AuditCheck]:
    """Take the key back, and read the whole log from the file that the server has left."""
    with connect(task.store, actor=_ACTOR) as palio:
        palio.keys.revoke(ready.key_id)
        return palio.audit.list(limit=1_000), palio.audit.verify()


def _page(ready: _Ready, ended: _Ended, audit: Sequence[AuditEntry]) -> str:
    difference = "no difference" if not ended.verification.differences else "DIFFERENCES"
    labels = (
        f"{ended.sent.requests:,} requests over HTTP, {ended.sent.outcomes:,} labels, late and "
        f"out of order; {ended.sent.repeated:,} were sent twice, {ended.sent.early:,} before "
        "their request."
    )
    notes = [
        f"Data: {ready.material.source}. {ready.material.note}".strip(),
        labels,
        f"Recomputed from the events: {ended.verification.compared} figures, {difference}.",
    ]
    return record_page(
        ended.experiment,
        ended.report,
        ended.looks,
        audit,
        versions=ended.versions,
        title=f"{ready.material.name}: {_CONTROL} or {_CHALLENGER}?",
        notes=notes,
    )


def _result(
    task: _Task,
    ready: _Ready,
    ended: _Ended,
    *,
    audit: Sequence[AuditEntry],
    check: AuditCheck,
    seconds: float,
) -> DemoResult:
    material, options = ready.material, task.options
    return DemoResult(
        experiment=_KEY,
        decision=ended.report.decision,
        champion=ended.champion,
        data=Source(
            name=material.source,
            synthetic=options.data is None,
            note=material.note,
            target=material.target,
            learnt=material.learnt.height,
            to_replay=len(ready.cases),
            left_out=len(material.cases) - len(ready.cases),
        ),
        requests_sent=ended.sent.requests,
        outcomes_sent=ended.sent.outcomes,
        outcomes_joined=sum(arm.outcomes for arm in ended.report.arms),
        outcomes_repeated=ended.sent.repeated,
        outcomes_early=ended.sent.early,
        variants=ended.report.arms,
        contrasts=ended.report.contrasts,
        sample_ratio=ended.report.sample_ratio,
        looks=ended.looks,
        verified=not ended.verification.differences,
        verification=ended.verification,
        audit_intact=check.broken is None,
        audit=audit,
        report=str(options.report.absolute()),
        kept=None if options.keep is None else str(options.keep.absolute()),
        seconds=round(seconds, 1),
    )
