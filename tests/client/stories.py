"""Every verb with an answer that can be compared, and what is refused, each a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.e2e import servers

import palio
from palio.access.domain import Role
from palio.delivery.deployments.wanted import (
    Canary,
    DeploymentDraft,
    Guarded,
    Guardrail,
    HealthCheck,
    Resources,
    Scaling,
)
from palio.delivery.domain import OnError
from palio.errors import (
    AlreadyExists,
    Conflict,
    IllegalTransition,
    InvalidInput,
    InvalidOutcome,
    InvalidRows,
    InvalidWeights,
    NotFound,
    PalioError,
    Refused,
    TooLarge,
)
from palio.experiments.designs.assignment import Namespace
from palio.experiments.designs.audience import Condition, Test
from palio.experiments.designs.design import ExperimentDraft, Metrics, Type, Variant
from palio.experiments.designs.policy import Policy, PolicyKind
from palio.experiments.events import OutcomeDraft
from palio.registry.domain import VersionDraft
from palio.registry.ensembles.spec import Combine, Ensemble, OnMemberError
from palio.registry.lifecycle import Lifecycle
from palio.testing.attestations import FakeKey, signed_by

__all__ = ["HERE", "STORY", "WRONG", "Step"]

HERE = Path(__file__)
PLAIN = VersionDraft(version="v9", flavor="plain")
LIFECYCLE = Lifecycle(
    name="short",
    initial="made",
    production="live",
    retired="gone",
    transitions={"made": ("live",), "live": ("gone",), "gone": ("live",)},
    requires={"live": ({"metric": "auc", "at_least": 0.5}, {"approval": "four_eyes"})},
    aliases={"shadow": Role.ADMIN},
)
DESIGN = ExperimentDraft(
    key="e",
    endpoint="credit",
    variants=(Variant("control", "v1", 0.5), Variant("challenger", "v2", 0.5)),
    metrics=Metrics(goal="brier", guardrails=("error", "revenue:higher")),
    hypothesis="ü",
)
PART = replace(
    DESIGN,
    key="part",
    coverage=0.5,
    holdout=0.25,
    namespace=Namespace("n", 0, 5_000),
    audience=(
        Condition.parse("age >= 18"),
        Condition("x", Test.IN, ("a", 1, 0.5, True)),
        Condition("y", Test.EXISTS, value=False),
    ),
)
BY_REQUEST = replace(DESIGN, key="r", unit="request")
BANDIT = replace(
    BY_REQUEST, key="b", type=Type.BANDIT, policy=Policy(kind=PolicyKind.UCB, refresh_rewards=7)
)
DEPLOYMENT = DeploymentDraft(
    name="d",
    model="credit",
    version="v2",
    endpoint="second",
    environment="staging",
    resources=Resources(cpu=0.5, gpu=1),
    scaling=Scaling(min_replicas=2, max_replicas=3),
    health_check=HealthCheck(interval_s=60.0),
    traffic_share=0.5,
    rollback_on_error=False,
    guardrails=(Guardrail(limit=0.02), Guardrail(metric=Guarded.LATENCY, margin=0.5)),
    canary=Canary(start_share=0.25, duration_s=1_000.0),
    reason="ü",
)
ENSEMBLE = Ensemble(
    members=("credit:v1", "credit:v2"),
    combine=Combine.SOFT_VOTE,
    weights=(0.75, 0.25),
    on_member_error=OnMemberError.SKIP,
    min_members=2,
)
NO_FILES = VersionDraft(version="e9", flavor="ensemble")
OF_NONE = Ensemble(members=("credit:v1", "credit:v9"), combine=Combine.MEAN)
Step = Callable[[palio.Palio], Any]


def labels(opened: palio.Palio, count: int) -> Any:
    drafts = [OutcomeDraft(request_id=f"r{n}", value=n % 2) for n in range(count)]
    return opened.outcomes.record([*drafts, OutcomeDraft(unit="u1", name="revenue", value=2.5)])


def signature_over(opened: palio.Palio, reference: str) -> str:
    return signed_by(FakeKey("a" * 64), opened.versions.get(reference))


def predict(opened: palio.Palio, number: int) -> Any:
    rows = [[number, 1, 0]]
    return opened.predict("credit", rows, unit=f"u{number}", request_id=f"r{number}").classes


STORY: list[Step] = [
    lambda p: p.models.list(),
    lambda p: p.lifecycles.declare(LIFECYCLE),
    lambda p: p.models.create("other", "a description", lifecycle="short"),
    lambda p: p.models.lifecycle("other"),
    lambda p: p.lifecycles.get("short"),
    lambda p: p.lifecycles.list(),
    lambda p: p.versions.requirements("credit:v2", "staging"),
    lambda p: p.versions.attest("credit:v1", signature_over(p, "credit:v1")),
    lambda p: p.versions.attestations("credit:v1"),
    lambda p: p.versions.compare(["credit:v1", "credit:v2"], {"auc": "higher"}),
    lambda p: p.versions.requirements("credit@champion"),
    lambda p: p.models.get("credit"),
    lambda p: p.versions.list("credit"),
    lambda p: p.versions.search(),
    lambda p: p.versions.search("model = 'credit'", "ordinal desc", limit=1),
    lambda p: p.versions.search("alias = 'champion'", after=""),
    lambda p: p.versions.get("credit@champion"),
    lambda p: p.versions.get("models:/credit/v2"),
    lambda p: p.versions.get("models:/credit@champion"),
    lambda p: p.versions.edit("credit@champion", description="ü", tags={"a": "b"}, reason="why",
                            external_ref="r", card="# c"),
    lambda p: p.models.edit("credit", tags={"team": "risk"}, description="who pays"),
    lambda p: [line for line in p.versions.card("credit@champion").splitlines()
               if not line.startswith("| Signed")],  # at another second
    lambda p: p.versions.plots("credit:v1"),
    lambda p: b"".join(p.versions.fetch("credit:v1", "model.skops")),
    lambda p: p.register("kin", servers.model(), version="v1", sample=servers.SAMPLE,
                         parent="credit@champion", policy={"z": [1], "a": None}, type="t",
                         source={"run": "1"}, backtest={"sharpe": 1.5}).policy,
    lambda p: p.versions.get("kin:v1").parent,
    lambda p: p.versions.get("kin:v1").framework,
    lambda p: p.versions.delete("kin:v1").source,
    lambda p: p.versions.register_from("lying", PLAIN, str(HERE)),
    lambda p: replace(p.versions.register("given", PLAIN, {"a/b.py": HERE}), manifest=None),
    lambda p: p.versions.combine("both", VersionDraft(version="e1", flavor=""), ENSEMBLE),
    lambda p: p.combine("both", ENSEMBLE.members, version="e2", combine="hard_vote").training,
    lambda p: p.load("both:e2").predict([[1, 2, 3]]),
    lambda p: [p.versions.delete(f"both:{one}").flavor for one in ("e1", "e2")],
    lambda p: p.versions.move("credit:v2", "testing", reason="try it"),
    lambda p: p.versions.promote("credit:v2", expected="v1", former_to="deprecated", reason="r"),
    lambda p: p.models.aliases("credit"),
    lambda p: p.models.rollback("credit", "back"),
    lambda p: p.models.set_alias("credit", "next", "v2", expected="", reason="soon"),
    lambda p: p.models.history("credit"),
    lambda p: p.models.history("credit", "next"),
    lambda p: p.models.history("credit", alias="none"),
    lambda p: p.models.at("credit", p.models.history("credit")[0].at).version,
    lambda p: p.models.set_alias("credit", "gone", "v2"),
    lambda p: p.models.clear_alias("credit", "gone", expected="v2", reason="over"),
    lambda p: p.lifecycles.declare(replace(LIFECYCLE, requires={})),
    lambda p: p.lifecycles.revisions("short"),
    lambda p: p.lifecycles.get("short", 1),
    lambda p: p.models.adopt("other", reason="laxer"),
    lambda p: p.models.delete("other", "of no use"),
    lambda p: p.models.list(deleted=True),
    lambda p: p.models.get("other", deleted=True),
    lambda p: p.models.restore("other", reason="of use"),
    lambda p: p.models.clear_alias("credit", "next"),
    lambda p: p.versions.delete("credit:v2", reason="of no use"),
    lambda p: p.versions.list("credit"),
    lambda p: p.versions.list("credit", deleted=True),
    lambda p: p.versions.get("credit:v2", deleted=True),
    lambda p: p.versions.restore("credit:v2", "of use"),
    lambda p: p.register("spare", servers.model(), version="v1", sample=servers.SAMPLE).stage,
    lambda p: p.versions.delete("spare:v1").purged_at,
    lambda p: p.versions.purge("spare:v1", reason="gone for good").stage,
    lambda p: p.artifacts.verify("credit:v1"),
    lambda p: p.artifacts.gc(dry_run=True, older_than_s=0.5),
    lambda p: p.endpoints.create("second", "credit", description="another"),
    lambda p: p.endpoints.list(),
    lambda p: p.endpoints.get("credit"),
    lambda p: p.endpoints.metrics("credit", window_s=900.0).versions,
    lambda p: p.deployments.deploy(DEPLOYMENT).not_honoured,
    lambda p: p.deployments.list("second", "staging")[0].guardrails,
    lambda p: p.deployments.get("d").weights_before,
    lambda p: p.deployments.status("d").not_honoured,
    lambda p: p.deployments.health("d").failures,
    lambda p: p.deployments.metrics("d", window_s=900.0).traffic,
    lambda p: p.deployments.rollback("d", reason="it may").reason,
    lambda p: p.deployments.undeploy(p.deployments.deploy(DEPLOYMENT).name).revision,
    lambda p: [one.state for one in p.deployments.list(ended=True)],
    lambda p: p.endpoints.override("credit", "v2", reason="now"),
    lambda p: p.endpoints.clear("credit"),
    lambda p: p.endpoints.weigh("second", {"v1": 0.75, "v2": 0.25}, reason="try"),
    lambda p: p.endpoints.shares("second"),
    lambda p: p.endpoints.load("second", "v2"),
    lambda p: [(one.version, one.ready) for one in p.endpoints.loaded("second").versions],
    lambda p: p.endpoints.weigh("second", None),
    lambda p: p.endpoints.unload("second", "v2", reason="enough"),
    lambda p: p.endpoints.configure("second", on_error=OnError.FALLBACK, timeout_s=2.0),
    lambda p: p.predict("credit", [[1, 2, 3]], request_id="alone", unit="u"),
    lambda p: p.predict("credit", [[1, 2, 3], [0, 0, 0]], request_id="v", version="v2"),
    lambda p: p.experiments.draft(DESIGN),
    lambda p: p.experiments.list(),
    lambda p: p.experiments.list("second"),
    lambda p: p.experiments.draft(PART).design,
    lambda p: p.experiments.get("part").design.digest,
    lambda p: p.experiments.assign("part", "u7", {"age": 41, "pro": True, "score": 0.5, "a": "b"}),
    lambda p: p.experiments.assign_many("credit", ["u1", "u2"], [{"age": 1}, {}], record=True),
    lambda p: p.experiments.start("e"),
    lambda p: p.experiments.get("e"),
    lambda p: wait_for(p, "e"),
    lambda p: [predict(p, number) for number in range(9)],
    lambda p: p.predict("credit", [[1, 2, 3]], request_id="forced", variant="e/challenger"),
    lambda p: p.predict("credit", [[1, 2, 3]], request_id="said", attributes={"age": 5}).version
              in ("v1", "v2"),
    lambda p: p.experiments.assign("credit", "u1", {"age": 41}).experiment,
    lambda p: len(p.experiments.assign_many("e", ["a", "b"])),
    lambda p: labels(p, 12),
    lambda p: labels(p, 12),
    lambda p: p.experiments.analyze("e").decision.kind,
    lambda p: p.experiments.verify("e").differences,
    lambda p: p.versions.quality("credit:v1", cohort_s=604_800).segments,
    lambda p: p.versions.drift("credit:v1", days=30),
    lambda p: [look.variant for look in p.experiments.looks("e")],
    lambda p: [(one.revision, one.value) for one in p.outcomes.history("r1/label")],
    lambda p: p.experiments.rebuild("e", reason="try").differences,
    lambda p: p.units.erase(["u3", "nobody"], reason="request 4711"),
    lambda p: p.units.retain(),
    lambda p: p.experiments.pause("e", reason="lunch"),
    lambda p: p.experiments.resume("e"),
    lambda p: p.experiments.stop("e", "enough"),
    lambda p: p.experiments.record("e").experiment,
    lambda p: p.experiments.explore("e", ["stars:higher"]),
    lambda p: p.experiments.draft(BY_REQUEST).key,
    lambda p: p.experiments.start("r").weights,
    lambda p: p.experiments.reweight("r", {"control": 0.8, "challenger": 0.2}, reason="slow"),
    lambda p: p.experiments.weights("r"),
    lambda p: p.experiments.assignments("r", limit=5),
    lambda p: p.experiments.assignments("r", of="nobody"),
    lambda p: p.experiments.stop("r", "enough").epoch,
    lambda p: p.experiments.draft(BANDIT).design,
    lambda p: p.experiments.start("b").weights,
    lambda p: p.experiments.refresh("b"),
    lambda p: p.experiments.weights("b", limit=1),
    lambda p: p.experiments.stop("b", "enough").state,
    lambda p: p.experiments.launch(servers.design("back")).state,
    lambda p: p.experiments.rollback("back", "complaints"),
    lambda p: [(raised.alert.kind, raised.alert.severity) for raised in p.alerts.list(last=7)],
    lambda p: p.keys.create("k", Role.OPERATOR, expires_in_days=1.5).key,
    lambda p: p.keys.list(),
    lambda p: p.keys.revoke(p.keys.list()[-1].id),
    lambda p: [(e.action, e.subject, e.reason) for e in p.audit.list()],
    lambda p: [e.seq for e in p.audit.list(after=3, limit=2)],
    lambda p: (p.audit.verify().entries, p.audit.verify().broken),  # the head differs by run
]  # fmt: skip
WRONG: list[tuple[type[PalioError], Step]] = [
    (NotFound, lambda p: p.models.get("nothing")),
    (NotFound, lambda p: p.versions.get("credit:v9")),
    (NotFound, lambda p: p.versions.get("credit@nobody")),
    (NotFound, lambda p: p.artifacts.verify("credit:v9")),
    (NotFound, lambda p: p.outcomes.history("nothing/ü")),
    (InvalidInput, lambda p: p.artifacts.gc(older_than_s=-1.0)),
    (NotFound, lambda p: p.keys.revoke("key_nothing")),
    (NotFound, lambda p: p.predict("nothing", [[1]])),
    (NotFound, lambda p: p.experiments.record("nothing")),
    (InvalidInput, lambda p: p.versions.get("credit")),
    (InvalidInput, lambda p: p.models.create("a b")),
    (InvalidInput, lambda p: p.endpoints.metrics("credit", window_s=0.5)),
    (NotFound, lambda p: p.endpoints.metrics("nothing")),
    (NotFound, lambda p: p.deployments.deploy(replace(DEPLOYMENT, version="v9"))),
    (InvalidInput, lambda p: p.deployments.metrics("nothing", window_s=901.0)),
    (NotFound, lambda p: p.deployments.rollback("nothing")),
    (InvalidInput, lambda p: p.alerts.list(last=0)),
    (InvalidInput, lambda p: p.versions.quality("credit:v1", cohort_s=3_600)),
    (NotFound, lambda p: p.versions.quality("credit:v9")),
    (InvalidInput, lambda p: p.versions.drift("credit:v1", days=91)),
    (NotFound, lambda p: p.versions.drift("credit:v9")),
    (InvalidInput, lambda p: p.versions.register("credit", PLAIN, HERE, unpack=True)),
    (InvalidInput, lambda p: p.versions.register_from("credit", PLAIN, "file:///etc/passwd")),
    (Refused, lambda p: p.versions.register_from("credit", PLAIN, str(HERE))),  # no root is open
    (NotFound, lambda p: p.versions.combine("both", replace(PLAIN, flavor=""), OF_NONE)),
    (InvalidInput, lambda p: p.combine("both", ["credit@champion", "credit:v2"], combine="mean")),
    (InvalidInput, lambda p: p.versions.register("both", NO_FILES, {"a": HERE})),
    (InvalidInput, lambda p: p.versions.edit("credit:v1", description="\0")),
    (NotFound, lambda p: p.models.edit("nothing")),
    (NotFound, lambda p: p.versions.card("credit:v9")),
    (InvalidInput, lambda p: p.versions.attest("credit:v1", signature_over(p, "credit:v2"))),
    (TooLarge, lambda p: p.versions.attest("credit:v1", "x" * 5_000_000)),
    (InvalidInput, lambda p: p.versions.move("credit:v1", "nowhere")),
    (InvalidInput, lambda p: p.experiments.stop("e", " ")),
    (NotFound, lambda p: p.experiments.rebuild("nothing", "why")),
    (InvalidInput, lambda p: p.units.erase(["ann"], "about ann")),
    (TooLarge, lambda p: p.units.erase(["u"] * 501, "why")),
    (Refused, lambda p: p.units.retain()),
    (InvalidInput, lambda p: p.keys.create("k", expires_in_days=0.0)),
    (InvalidInput, lambda p: p.predict("credit", [[0, 0, 0]] * 10_001)),
    (InvalidInput, lambda p: p.predict("credit", [[1, 2, 3]], unit="")),
    (InvalidInput, lambda p: p.predict("credit", [[1, 2, 3]], request_id="r" * 257)),
    (InvalidInput, lambda p: p.predict("credit", [[1, 2, 3]], unit="a\0b")),
    (InvalidInput, lambda p: p.predict("credit", [[1, 2, 3]], variant="none")),
    (InvalidInput, lambda p: p.predict("credit", [[1, 2, 3]], variant="a", version="v1")),
    (InvalidInput, lambda p: p.predict("credit", [[1, 2, 3]], attributes={"a": "b" * 257})),
    (NotFound, lambda p: p.experiments.assign("nothing", "u")),
    (InvalidInput, lambda p: p.experiments.assign("credit", "")),
    (TooLarge, lambda p: p.experiments.assign_many("credit", ["u"] * 10_001)),
    (InvalidRows, lambda p: p.predict("credit", [])),
    (InvalidRows, lambda p: p.predict("credit", [{"x0": 1}])),
    (InvalidRows, lambda p: p.predict("credit", [[1, "a", 3]])),
    (InvalidOutcome, lambda p: p.outcomes.record([])),
    (InvalidOutcome, lambda p: p.outcomes.record([OutcomeDraft(value=1)])),
    (InvalidOutcome, lambda p: p.outcomes.record([OutcomeDraft(request_id="", value=1)])),
    (TooLarge, lambda p: p.outcomes.record([OutcomeDraft(unit="u", name="x", value=1)] * 10_001)),
    (AlreadyExists, lambda p: p.models.create("credit")),
    (AlreadyExists, lambda p: p.endpoints.create("credit", "credit")),
    (Conflict, lambda p: p.versions.promote("credit:v1")),
    (NotFound, lambda p: p.experiments.weights("nothing")),
    (NotFound, lambda p: p.experiments.refresh("nothing")),
    (NotFound, lambda p: p.experiments.reweight("nothing", {"a": 1.0}, "why")),
    (InvalidInput, lambda p: p.versions.compare(["credit:v1"])),
    (InvalidInput, lambda p: p.versions.search("metrics.auc > ü")),
    (InvalidInput, lambda p: p.versions.search(order="auc")),
    (InvalidInput, lambda p: p.versions.search(limit=1_001)),
    (InvalidInput, lambda p: p.versions.search(after="x")),
    (Conflict, lambda p: p.versions.promote("credit:v2", expected="v7")),
    (Conflict, lambda p: p.models.set_alias("credit", "champion", "v2")),
    (Conflict, lambda p: p.models.clear_alias("credit", "champion")),
    (Conflict, lambda p: p.models.clear_alias("credit", "none")),
    (Conflict, lambda p: p.versions.delete("credit:v1")),
    (Conflict, lambda p: p.models.delete("credit")),
    (Conflict, lambda p: p.versions.restore("credit:v1")),
    (Conflict, lambda p: p.models.restore("credit")),
    (Conflict, lambda p: p.versions.purge("credit:v1")),
    (Conflict, lambda p: p.models.adopt("credit", "standard", 1)),
    (NotFound, lambda p: p.models.adopt("credit", revision=7)),
    (NotFound, lambda p: next(p.versions.fetch("credit:v1", "nothing"))),
    (NotFound, lambda p: next(p.versions.fetch("credit:v9", "model.skops"))),
    (NotFound, lambda p: p.models.at("credit", datetime(2026, 1, 1, tzinfo=UTC), "none")),
    (InvalidInput, lambda p: p.models.at("credit", datetime(2026, 1, 1))),  # noqa: DTZ001
    (Conflict, lambda p: p.models.rollback("credit")),
    (Conflict, lambda p: p.endpoints.clear("credit")),
    (IllegalTransition, lambda p: p.versions.move("credit:v1", "testing")),
    (InvalidWeights, lambda p: p.experiments.draft(servers.design("w", variants=UNEVEN))),
    (NotFound, lambda p: p.experiments.draft(servers.design("w", endpoint="nothing"))),
]  # fmt: skip
UNEVEN = (Variant("a", "v1", 0.45), Variant("b", "v2", 0.5))


def wait_for(opened: palio.Palio, experiment: str) -> bool:
    """Ask until the server has seen that the experiment runs."""
    until = 200
    while opened.predict("credit", [[1, 2, 3]]).experiment != experiment and until:
        until -= 1
    return until > 0
