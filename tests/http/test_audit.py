"""The audit log over HTTP: queries in the address, places that the chain must contain."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.e2e.worlds import World

LONG_AGO, FAR_AHEAD = "2020-01-01T00:00:00Z", "2999-01-01T00:00:00+09:00"


def entries(world: World, **query: Any) -> list[tuple[int, str, str]]:
    answer = world.http.get("/v1/audit", params=query)
    assert answer.status_code == 200, answer.text
    return [(entry["seq"], entry["action"], entry["subject"]) for entry in answer.json()]


def test_queries_by_model_actor_action_and_time(world: World) -> None:
    everything = entries(world)
    with world.opened() as opened:
        who = opened.audit.list()[0].actor
    assert world.post("/v1/models", {"name": "other"}).status_code == 200
    added = [(len(everything) + 1, "model.create", "other")]
    assert entries(world, model="other") == entries(world, actor="local") == added
    assert entries(world, model="credit") == entries(world, actor=who) == everything
    promoted = [one for one in everything if one[1] == "version.promote"]
    assert promoted
    assert entries(world, action="version.promote") == promoted
    assert (
        entries(world, action="version", model="credit", after=promoted[0][0] - 1)[0] in promoted
    )
    assert entries(world, since=LONG_AGO, until=FAR_AHEAD) == everything + added
    assert entries(world, until=LONG_AGO) == entries(world, since=FAR_AHEAD) == []
    assert entries(world, model="nothing") == entries(world, model="%") == []


def test_the_client_asks_the_same(world: World) -> None:
    since = datetime.now(UTC) - timedelta(days=1)  # noqa: TID251 - the server runs by it
    asked: list[dict[str, Any]] = [
        {"model": "credit"},
        {"model": "credit", "action": "alias"},
        {"since": since, "until": since + timedelta(days=2)},
        {"until": since},
        {"actor": "ä&b=c+d"},
    ]
    with world.opened() as here, world.remote() as there:
        for query in asked:
            assert list(here.audit.list(**query)) == list(there.audit.list(**query))
        last = here.audit.list()[-1]
        for place in ((), (last.seq, last.hash), (last.seq, "f" * 64), (last.seq + 1, "f" * 64)):
            assert here.audit.verify(*place) == there.audit.verify(*place)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/audit?since=yesterday", "since"),
        ("/v1/audit?since=2026-01-01T00:00:00", "since"),
        ("/v1/audit?until=2026-01-01", "until"),
        ("/v1/audit/verify?known_seq=-1", "known_seq"),
        ("/v1/audit/verify?known_seq=1", "known_hash"),
        ("/v1/audit/verify?known_hash=f", "known_hash"),
        ("/v1/audit/verify?known_seq=x", "known_seq"),
    ],
)
def test_what_cannot_be_asked(shared: World, path: str, field: str) -> None:
    answer = shared.http.get(path)
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["code"] == "invalid_input"
    assert field in problem["details"]["field"]


@pytest.mark.parametrize("name", ["model", "actor", "action"])
@pytest.mark.parametrize(
    "value", ["", "%00", "%ff", "x" * 10_000, "%25", "'; DROP TABLE keys; --"]
)
def test_odd_words_find_nothing(shared: World, name: str, value: str) -> None:
    answer = shared.http.get(f"/v1/audit?{name}={value}")
    assert answer.status_code in (200, 422)
    assert answer.status_code == 422 or answer.json() == []
