"""``palio deployments control``: a look at what is deployed, in words and for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

import palio
from palio import platform
from palio.delivery.deployments.control import Action, Kind
from palio.delivery.deployments.controller import CONTROLLER
from palio.delivery.deployments.domain import State
from palio.experiments.lease import Lease
from palio.settings import Settings
from palio.storage.store import SqlStore, engine_for

from .conftest import Cli


@pytest.fixture
def deployed(home: str) -> str:
    """A store with a canary whose time is up after a request, of which it has had none."""
    with palio.connect(home) as opened:
        canary = palio.Canary(start_share=0.5, duration_s=0.001, min_sample=1)
        opened.deployments.deploy(
            palio.DeploymentDraft(name="d", model="credit", version="v2", canary=canary)
        )
    return home


def lead(store: str, name: str, *, seconds: float) -> None:
    """Let another process hold the lease."""
    until = datetime.now(UTC) + timedelta(seconds=seconds)  # noqa: TID251 - of a real store
    kept = SqlStore(engine_for(store))
    with kept.write() as unit:
        unit.leases.put_many([Lease(name=CONTROLLER, holder=name, until=until)])
    kept.close()


def ask(store: str) -> None:
    """Have the canary answer requests."""
    with palio.connect(store) as opened:
        for number in range(50):
            opened.predict("credit", [[0.1, 0.2, 0.3]], unit=f"u{number}")


def test_once_for_people(cli: Cli, deployed: str) -> None:
    code, out, _ = cli("--store", deployed, "deployments", "control", "--once")
    assert code == 0
    head, row = out.splitlines()
    assert head.split() == ["deployment", "done", "verdict", "why"]
    assert row.split()[:3] == ["d", "tell", "inconclusive"]
    assert "0 of 0 requests" in row
    _, out, _ = cli("--store", deployed, "deployments", "control", "--once")
    assert out.splitlines()[1].split() == ["d", "nothing", "nothing", "is", "due"]


def test_once_for_programs(cli: Cli, deployed: str) -> None:
    ask(deployed)
    code, out, _ = cli("--store", deployed, "deployments", "control", "--once", "--json")
    [one] = json.loads(out)
    assert (code, one["deployment"], one["action"]["kind"]) == (0, "d", Kind.ADVANCE)
    with palio.connect(deployed) as opened:
        assert opened.deployments.get("d").state is State.LIVE
        assert opened.audit.list(limit=1_000)[-1].actor == CONTROLLER


def test_until_interrupted(deployed: str) -> None:
    ask(deployed)
    seen: list[tuple[Sequence[tuple[str, Action]], str | None]] = []

    def tell(done: Sequence[tuple[str, Action]], other: str | None) -> None:
        seen.append((done, other))
        if len(seen) > 1:
            raise KeyboardInterrupt  # as a person would end it

    with pytest.raises(KeyboardInterrupt):
        platform.control(Settings(store=deployed, control_s=0.01), on_look=tell)
    kinds = [[action.kind for _, action in done] for done, _ in seen]
    assert kinds == [[Kind.ADVANCE], [Kind.WAIT]]
    platform.control(Settings(store=deployed), once=True, on_look=tell_nothing)


def tell_nothing(done: Sequence[tuple[str, Action]], other: str | None) -> None:
    """See that the lease was given back."""
    assert (len(done), other) == (1, None)


def test_another_process_is_named(cli: Cli, deployed: str) -> None:
    lead(deployed, "elsewhere:17", seconds=60)
    code, out, err = cli("--store", deployed, "deployments", "control", "--once")
    assert (code, out) == (0, "")
    assert err == "elsewhere:17 looks at these deployments; nothing was done\n"
    lead(deployed, "elsewhere:17", seconds=-1)
    _, out, _ = cli("--store", deployed, "deployments", "control", "--once")
    assert "inconclusive" in out


def test_nothing_is_deployed(cli: Cli, home: str) -> None:
    told = cli("--store", home, "deployments", "control", "--once")
    assert told == (0, "nothing is deployed\n", "")


def test_a_server_is_refused(cli: Cli) -> None:
    code, _, err = cli("--store", "http://127.0.0.1:1", "deployments", "control", "--once")
    assert code == 2
    assert "is a server, which looks at its deployments by itself" in err
