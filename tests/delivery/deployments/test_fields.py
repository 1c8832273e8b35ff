"""Every field of a deployment has a test in which changing it changes what is observed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from palio.delivery.deployments.wanted import (
    Canary,
    DeploymentDraft,
    Guardrail,
    HealthCheck,
    Resources,
    Scaling,
)

FOLDER = Path(__file__).parent
PARTS: dict[str, Any] = {
    "resources": Resources,
    "scaling": Scaling,
    "health_check": HealthCheck,
    "guardrails": Guardrail,
    "canary": Canary,
}
SEEN = {
    "name": "service: a_name_is_free_again_when_its_deployment_has_ended",
    "model": "service: another_model_answers_there",
    "version": "service: several_on_one_endpoint",
    "endpoint": "service: an_endpoint_that_is_named_comes_before_the_environment",
    "environment": "service: environment",
    "traffic_share": "service: traffic_share",
    "rollback_on_error": "controller: without_rollback_on_error_it_is_only_told",
    "reason": "service: the_audit_log_says_why",
    "resources.cpu": "wanted: what_cannot_be_done_is_said",
    "resources.memory_bytes": "service: memory_is_a_limit_on_the_process",
    "resources.gpu": "service: gpus_are_looked_for_where_they_are_asked_for",
    "scaling.min_replicas": "wanted: what_cannot_be_done_is_said",
    "scaling.max_replicas": "wanted: what_cannot_be_done_is_said",
    "scaling.target_cpu": "wanted: what_cannot_be_done_is_said",
    "health_check.interval_s": "controller: checks_come_once_an_interval",
    "health_check.timeout_s": "service: health_check_timeout",
    "health_check.failure_threshold": "controller: checks_that_fail_in_a_row_roll_back",
    "health_check.row": "service: health_check_row",
    "guardrails.metric": "controller: a_guardrail_on_latency",
    "guardrails.limit": "evidence: small_harm_is_borne_where_the_limit_says_so",
    "guardrails.margin": "evidence: errors_compare_with_the_others_at_the_same_time",
    "guardrails.action": "control: a_guardrail_can_hold_a_canary",
    "guardrails.alpha": "evidence: a_larger_alpha_sees_it_sooner",
    "guardrails.window_s": "evidence: what_is_before_the_window_does_not_count",
    "canary.start_share": "service: a_canary_begins_with_its_start_share",
    "canary.success_threshold": "controller: success_threshold_says_what_fails",
    "canary.duration_s": "control: a_canary_is_let_on_once_its_time_is_up",
    "canary.min_sample": "control: a_canary_with_too_few_requests_holds",
}


def named() -> Iterator[str]:
    for one in fields(DeploymentDraft):
        part = PARTS.get(one.name)
        if part is None:
            yield one.name
        else:
            yield from (f"{one.name}.{inner.name}" for inner in fields(part))


def test_every_field_is_seen() -> None:
    assert sorted(named()) == sorted(SEEN)


@pytest.mark.parametrize("field", SEEN)
def test_the_test_is_there(field: str) -> None:
    file, _, name = SEEN[field].partition(": ")
    source = (FOLDER / f"test_{file}.py").read_text(encoding="utf-8")
    assert f"def test_{name}(" in source
