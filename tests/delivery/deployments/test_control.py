"""What is decided, as a function of what was seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palio.delivery.deployments.control import READY_WITHIN_S, Kind, Observation, decide
from palio.delivery.deployments.domain import (
    ALLOWED,
    OPEN,
    Deployment,
    Health,
    State,
    Verdict,
    shared_out,
)
from palio.delivery.deployments.evidence import Counts, Second, Settled
from palio.delivery.deployments.wanted import Canary, GuardAction, Guardrail
from palio.errors import IllegalTransition

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WELL = Health(at=NOW, healthy=True)
CANARY = Canary(start_share=0.1, success_threshold=0.9, duration_s=60.0, min_sample=50)


def deployment(state: State, **fields: Any) -> Deployment:
    given: dict[str, Any] = {"canary": CANARY if state is State.CANARY else None, **fields}
    return Deployment(
        name="d",
        model="m",
        version="v",
        endpoint="e",
        state=state,
        since=NOW,
        created_at=NOW,
        created_by="ann",
        **given,
    )


def seen(
    requests: int = 0, errors: int = 0, *, health: Health = WELL, others: Sequence[str] = ("w",)
) -> Observation:
    own = Counts(requests=requests, errors=errors)
    return Observation(
        health=health,
        seconds=[Second(second=1_000, own=own)] if requests else [],
        total=Settled(second=1_000, own=own, others=Counts()),
        others=others,
    )


def decided(one: Deployment, what: Observation, after_s: float = 0.0) -> tuple[Kind, Verdict]:
    found = decide(one, what, NOW + timedelta(seconds=after_s))
    return found.kind, found.verdict


UNWELL = replace(WELL, healthy=False, failures=3, reason="it broke")
WAITS = replace(WELL, waiting=("p",), reason="p must load it")


def test_a_version_gets_traffic_when_it_is_ready() -> None:
    pending = deployment(State.PENDING)
    assert decided(pending, seen())[0] is Kind.START
    assert decided(pending, seen(health=WAITS))[0] is Kind.WAIT
    assert decided(pending, seen(health=replace(WELL, loading=True)))[0] is Kind.WAIT
    assert decided(pending, seen(health=replace(WELL, failures=1)))[0] is Kind.WAIT


def test_a_version_that_never_becomes_ready_has_failed() -> None:
    pending = deployment(State.PENDING)
    assert decided(pending, seen(health=WAITS), READY_WITHIN_S - 1)[0] is Kind.WAIT
    assert decided(pending, seen(health=WAITS), READY_WITHIN_S)[0] is Kind.FAIL
    assert decided(pending, seen(health=UNWELL)) == (Kind.FAIL, Verdict.UNHEALTHY)
    told = deployment(State.PENDING, rollback_on_error=False)
    assert decided(told, seen(health=UNWELL)) == (Kind.TELL, Verdict.UNHEALTHY)


@pytest.mark.parametrize("state", [State.CANARY, State.LIVE])
def test_what_is_unhealthy_is_taken_back(state: State) -> None:
    found = decide(deployment(state), seen(health=UNWELL), NOW)
    assert (found.kind, found.verdict) == (Kind.ROLL_BACK, Verdict.UNHEALTHY)
    assert found.reason == "3 checks in a row have failed: it broke"
    assert found.evidence == {
        "health": {
            "failures": 3, "reason": "it broke", "at": NOW.isoformat(), "rss_bytes": None,
        }
    }  # fmt: skip
    only_told = deployment(state, rollback_on_error=False)
    assert decided(only_told, seen(health=UNWELL)) == (Kind.TELL, Verdict.UNHEALTHY)
    assert decided(deployment(state), seen(health=UNWELL, others=()))[0] is Kind.TELL


@pytest.mark.parametrize("state", [State.CANARY, State.LIVE])
def test_harm_is_taken_back_with_what_shows_it(state: State) -> None:
    found = decide(deployment(state), seen(50, 40), NOW)
    assert (found.kind, found.verdict) == (Kind.ROLL_BACK, Verdict.HARMED)
    assert found.evidence is not None
    harm = found.evidence["harm"]
    assert (harm["requests"], harm["bad"]) == (50, 40)
    assert harm["bound"] > harm["limit"]


def test_harm_is_told_where_a_guardrail_says_so() -> None:
    warns = Guardrail(limit=0.05, action=GuardAction.WARN)
    live = deployment(State.LIVE, guardrails=(warns,))
    assert decided(live, seen(50, 40)) == (Kind.TELL, Verdict.HARMED)
    both = deployment(State.LIVE, guardrails=(warns, Guardrail(limit=0.1)))
    assert decided(both, seen(50, 40))[0] is Kind.ROLL_BACK
    assert decided(deployment(State.LIVE, guardrails=()), seen(50, 50))[0] is Kind.WAIT


def test_what_was_told_is_not_told_again() -> None:
    told = deployment(State.LIVE, rollback_on_error=False, verdict=Verdict.HARMED)
    assert decided(told, seen(50, 40)) == (Kind.WAIT, Verdict.HARMED)
    assert decided(told, seen()) == (Kind.TELL, Verdict.FINE)  # it is over
    assert decided(replace(told, verdict=Verdict.FINE), seen()) == (Kind.WAIT, Verdict.FINE)


def test_a_canary_is_let_on_once_its_time_is_up() -> None:
    canary = deployment(State.CANARY)
    assert decided(canary, seen(100, 2), 59.9)[0] is Kind.WAIT
    assert decided(canary, seen(100, 2), 60)[0] is Kind.ADVANCE
    assert decided(canary, seen(100, 10), 60)[0] is Kind.ADVANCE  # 90 % are asked for
    longer = replace(canary, canary=replace(CANARY, duration_s=61.0))
    assert decided(longer, seen(100, 2), 60)[0] is Kind.WAIT


def test_a_canary_with_too_few_requests_holds() -> None:
    """To have seen too little is a verdict, and holds: it never passes."""
    canary = deployment(State.CANARY)
    found = decide(canary, seen(49), NOW + timedelta(days=30))
    assert (found.kind, found.verdict) == (Kind.TELL, Verdict.INCONCLUSIVE)
    assert found.reason == (
        "49 of 49 requests have succeeded within the canary, and 50 requests are asked for; it "
        "goes on"
    )
    assert decided(canary, seen(), 60)[1] is Verdict.INCONCLUSIVE
    asked_less = replace(canary, canary=replace(CANARY, min_sample=49))
    assert decided(asked_less, seen(49), 60)[0] is Kind.ADVANCE


def test_a_canary_below_its_threshold_by_chance_holds() -> None:
    canary = deployment(State.CANARY, guardrails=())
    assert decided(canary, seen(100, 12), 60) == (Kind.TELL, Verdict.INCONCLUSIVE)
    lower = replace(canary, canary=replace(CANARY, success_threshold=0.85))
    assert decided(lower, seen(100, 12), 60)[0] is Kind.ADVANCE
    assert decided(canary, seen(100, 50), 1) == (Kind.ROLL_BACK, Verdict.HARMED)


def test_the_threshold_is_named_when_it_is_crossed() -> None:
    found = decide(deployment(State.CANARY, guardrails=()), seen(100, 50), NOW)
    assert found.reason.startswith("success_threshold 0.9 is shown to be crossed: 50 of 100")


def test_a_guardrail_can_hold_a_canary() -> None:
    holds = Guardrail(limit=0.0, action=GuardAction.HOLD)
    canary = deployment(State.CANARY, guardrails=(holds,))
    assert decided(canary, seen(100, 1), 60) == (Kind.TELL, Verdict.HARMED)
    warns = replace(canary, guardrails=(replace(holds, action=GuardAction.WARN),))
    assert decided(warns, seen(100, 1), 60)[0] is Kind.ADVANCE


@pytest.mark.parametrize("state", sorted(set(State) - OPEN))
def test_nothing_is_done_about_what_has_ended(state: State) -> None:
    assert ALLOWED[state] == frozenset()
    assert decided(deployment(state), seen(50, 50, health=UNWELL))[0] is Kind.WAIT
    for target in State:
        with pytest.raises(IllegalTransition, match="it has ended; deploy again"):
            deployment(state).check(target)


@given(
    st.sampled_from(sorted(OPEN)),
    st.integers(0, 300),
    st.integers(0, 300),
    st.booleans(),
    st.booleans(),
    st.floats(0, 1_000),
)
def test_every_decision_is_allowed_and_repeats(  # noqa: PLR0917 -- drawn
    state: State, requests: int, errors: int, well: bool, others: bool, after_s: float
) -> None:
    one = deployment(state)
    health = WELL if well else UNWELL
    what = seen(requests, min(requests, errors), health=health, others=("w",) if others else ())
    now = NOW + timedelta(seconds=after_s)
    found = decide(one, what, now)
    assert found == decide(one, what, now)
    target = {
        Kind.START: State.CANARY,
        Kind.ADVANCE: State.LIVE,
        Kind.ROLL_BACK: State.ROLLED_BACK,
        Kind.FAIL: State.FAILED,
    }.get(found.kind)
    if target is not None:
        one.check(target)
    if found.kind is Kind.ROLL_BACK:
        assert others
    if found.kind is Kind.TELL:
        told = replace(one, verdict=found.verdict)
        assert decide(told, what, now).kind is Kind.WAIT


# -- shares


def test_the_others_keep_their_proportions() -> None:
    assert shared_out({"a": 0.75, "b": 0.25}, [("v", 0.2)]) == pytest.approx(
        {"a": 0.6, "b": 0.2, "v": 0.2}
    )


def test_a_share_of_one_leaves_a_place_to_go_back_to() -> None:
    assert shared_out({"a": 1.0}, [("v", 1.0)]) == {"a": 0.0, "v": 1.0}


def test_the_last_one_gets_what_it_was_given() -> None:
    """Of 1, v takes everything; w takes a tenth of that."""
    assert shared_out({"a": 1.0}, [("v", 1.0), ("w", 0.1)]) == pytest.approx(
        {"a": 0.0, "v": 0.9, "w": 0.1}
    )


def test_a_version_that_has_a_share_already() -> None:
    assert shared_out({"a": 0.5, "v": 0.5}, [("v", 0.8)]) == pytest.approx({"a": 0.2, "v": 0.8})
    assert shared_out({"v": 1.0}, [("v", 0.1)]) == {"v": 1.0}  # nobody could take the rest
    assert shared_out({}, [("v", 1.0)]) == {"v": 1.0}


@given(
    st.dictionaries(st.sampled_from("abc"), st.floats(0.01, 1), min_size=1),
    st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0.001, 1)), max_size=5),
)
def test_shares_sum_to_one(before: dict[str, float], placed: list[tuple[str, float]]) -> None:
    total = sum(before.values())
    shares = shared_out({key: of / total for key, of in before.items()}, placed)
    assert sum(shares.values()) == pytest.approx(1, abs=1e-9)
    assert all(share >= 0 for share in shares.values())
