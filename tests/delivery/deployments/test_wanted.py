"""What is asked for is within its ranges, and what cannot be done is said."""

from __future__ import annotations

from typing import Any

import pytest

from palio.delivery.deployments.ports import Gpus
from palio.delivery.deployments.wanted import (
    Canary,
    DeploymentDraft,
    GuardAction,
    Guarded,
    Guardrail,
    HealthCheck,
    Resources,
    Scaling,
    not_honoured,
)
from palio.errors import InvalidInput

from .cases import asked


@pytest.mark.parametrize(
    ("make", "fields", "field"),
    [
        (asked, {"traffic_share": 0.0}, "traffic_share"),
        (asked, {"traffic_share": 1.01}, "traffic_share"),
        (asked, {"traffic_share": float("nan")}, "traffic_share"),
        (asked, {"name": "a b"}, "deployment"),
        (asked, {"environment": ""}, "environment"),
        (asked, {"reason": "\x00"}, "reason"),
        (asked, {"guardrails": (Guardrail(),) * 17}, "guardrails"),
        (
            asked,
            {"traffic_share": 0.1, "canary": Canary(start_share=0.2)},
            "canary.start_share",
        ),
        (Canary, {"start_share": 0.0}, "canary.start_share"),
        (Canary, {"success_threshold": 1.5}, "canary.success_threshold"),
        (Canary, {"duration_s": 0.0}, "canary.duration_s"),
        (Canary, {"min_sample": 0}, "canary.min_sample"),
        (HealthCheck, {"interval_s": 0.5}, "health_check.interval_s"),
        (HealthCheck, {"interval_s": 3_601.0}, "health_check.interval_s"),
        (HealthCheck, {"timeout_s": 0.0}, "health_check.timeout_s"),
        (HealthCheck, {"interval_s": 2.0, "timeout_s": 3.0}, "health_check.timeout_s"),
        (HealthCheck, {"failure_threshold": 0}, "health_check.failure_threshold"),
        (Resources, {"cpu": 0.0}, "resources.cpu"),
        (Resources, {"memory_bytes": 0}, "resources.memory_bytes"),
        (Resources, {"gpu": -1}, "resources.gpu"),
        (Scaling, {"min_replicas": -1}, "scaling.min_replicas"),
        (Scaling, {"min_replicas": 3, "max_replicas": 2}, "scaling.max_replicas"),
        (Scaling, {"target_cpu": 70.0}, "scaling.target_cpu"),
        (Guardrail, {"metric": "luck"}, "guardrails.metric"),
        (Guardrail, {"action": "cry"}, "guardrails.action"),
        (Guardrail, {"limit": 2.0}, "guardrails.limit"),
        (Guardrail, {"limit": 0.1, "margin": 0.1}, "guardrails.margin"),
        (Guardrail, {"margin": -0.1}, "guardrails.margin"),
        (Guardrail, {"alpha": 0.5}, "guardrails.alpha"),
        (Guardrail, {"window_s": 601}, "guardrails.window_s"),
    ],
)
def test_what_is_out_of_its_range(make: Any, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        make(**fields)
    assert refused.value.details["field"] == field
    assert refused.value.message


def test_what_is_asked_by_default() -> None:
    draft = DeploymentDraft(name="d", model="m", version="v")
    assert draft.traffic_share == 1.0
    assert draft.rollback_on_error
    assert [rail.words for rail in draft.guardrails] == ["error_rate <= 0.05"]
    assert not_honoured(draft.resources, draft.scaling) == ()


@pytest.mark.parametrize(
    ("resources", "scaling", "word"),
    [
        (Resources(cpu=2), Scaling(), "resources.cpu = 2"),
        (Resources(gpu=1), Scaling(), "resources.gpu = 1"),
        (Resources(), Scaling(min_replicas=0), "scaling.min_replicas = 0"),
        (Resources(), Scaling(max_replicas=10), "scaling.max_replicas = 10"),
        (Resources(), Scaling(target_cpu=0.7), "scaling.target_cpu = 0.7"),
    ],
)
def test_what_cannot_be_done_is_said(resources: Resources, scaling: Scaling, word: str) -> None:
    (said,) = not_honoured(resources, scaling)
    assert said.startswith(f"{word}: ")


def test_gpus_are_honoured_where_a_version_is_asked_on_as_many() -> None:
    one = Gpus(used=1, lack="there is one")
    assert not_honoured(Resources(gpu=1), Scaling(), one) == ()
    assert not_honoured(Resources(gpu=2), Scaling(), one) == ("resources.gpu = 2: there is one",)
    none = Gpus(lack="there is none")
    assert not_honoured(Resources(gpu=1), Scaling(), none) == ("resources.gpu = 1: there is none",)
    assert not_honoured(Resources(), Scaling(), none) == ()


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("error_rate <= 0.02", Guardrail(limit=0.02)),
        ("latency_p95_ms<=200", Guardrail(metric=Guarded.LATENCY, limit=200.0)),
        ("error_rate <= baseline", Guardrail()),
        (
            "latency_p95_ms <= baseline * 1.2 : warn",
            Guardrail(metric=Guarded.LATENCY, margin=0.2, action=GuardAction.WARN),
        ),
        ("error_rate <= 0:hold", Guardrail(limit=0.0, action=GuardAction.HOLD)),
    ],
)
def test_a_guardrail_as_people_write_it(text: str, read: Guardrail) -> None:
    assert Guardrail.parse(text) == read
    assert Guardrail.parse(read.words).limit == read.limit


@pytest.mark.parametrize(
    "text", ["", "error_rate", "luck <= 1", "error_rate <= e", "error_rate <= 1 : cry"]
)
def test_what_is_no_guardrail(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no guardrail; write as in"):
        Guardrail.parse(text)
