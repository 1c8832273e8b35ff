"""``palio evaluate``: a look at what runs, in words and for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from tests.e2e import servers

import palio
from palio import platform
from palio.experiments.designs.design import Stopping
from palio.experiments.domain import State
from palio.experiments.evaluating import EVALUATOR, Act
from palio.experiments.judging.analysis import DecisionKind
from palio.experiments.lease import Lease
from palio.settings import Settings
from palio.storage.store import SqlStore, engine_for

from .conftest import Cli

SOON = Stopping(horizon=None, max_duration_s=1.0)


@pytest.fixture
def running(home: str) -> str:
    """A store with one experiment that is automatic and one that is not."""
    with palio.connect(home) as opened:
        opened.endpoints.create("other", "credit")
        opened.experiments.draft(servers.design("auto", automatic=True, stopping=SOON))
        opened.experiments.draft(servers.design("by-hand", endpoint="other"))
        opened.experiments.start("auto")
        opened.experiments.start("by-hand")
    return home


def lead(store: str, name: str, *, seconds: float) -> None:
    """Let another process hold the lease."""
    until = datetime.now(UTC) + timedelta(seconds=seconds)  # noqa: TID251 - of a real store
    kept = SqlStore(engine_for(store))
    with kept.write() as unit:
        unit.leases.put_many([Lease(name=EVALUATOR, holder=name, until=until)])
    kept.close()


def state(store: str) -> State:
    with palio.connect(store) as opened:
        return opened.experiments.get("auto").state


def test_once_for_people(cli: Cli, running: str) -> None:
    code, out, _ = cli("--store", running, "evaluate", "--once", "--dry-run")
    assert code == 0
    head, *rows = out.splitlines()
    assert head.split() == ["experiment", "decision", "done", "why"]
    assert [row.split()[0] for row in rows] == ["auto", "by-hand"]
    assert rows[1].split()[1:7] == ["keep_running", "not", "in", "a", "dry", "run"]


def test_once_for_programs_and_again(cli: Cli, running: str) -> None:
    for _ in range(2):  # the lease was given back
        code, out, _ = cli("--store", running, "evaluate", "--once", "--json")
        found = {one["experiment"]: one for one in json.loads(out)}
        assert code == 0
        assert found["by-hand"]["decision"]["kind"] == DecisionKind.KEEP_RUNNING
        assert found["by-hand"]["acted"] is False


def test_what_is_due_is_done(running: str) -> None:
    seen: list[tuple[Sequence[Act], str | None]] = []

    def tell(acts: Sequence[Act], other: str | None) -> None:
        seen.append((acts, other))
        if any(act.acted for act in acts):
            raise KeyboardInterrupt  # as a person would end it

    with pytest.raises(KeyboardInterrupt):
        platform.evaluate(Settings(store=running, evaluate_s=0.1), on_look=tell)
    assert state(running) is State.COMPLETED
    assert seen[-1][1] is None
    platform.evaluate(Settings(store=running), once=True, on_look=tell)
    assert [act.experiment for act in seen[-1][0]] == ["by-hand"]


def test_another_process_is_named(cli: Cli, running: str) -> None:
    lead(running, "elsewhere:17", seconds=60)
    code, out, err = cli("--store", running, "evaluate", "--once")
    assert (code, out) == (0, "")
    assert err == "elsewhere:17 evaluates this store; nothing was done\n"
    lead(running, "elsewhere:17", seconds=-1)
    _, out, _ = cli("--store", running, "evaluate", "--once")
    assert "by-hand" in out


def test_nothing_runs(cli: Cli, home: str) -> None:
    assert cli("--store", home, "evaluate", "--once") == (0, "no experiment runs\n", "")


def test_a_server_is_refused(cli: Cli) -> None:
    code, _, err = cli("--store", "http://127.0.0.1:1", "evaluate", "--once")
    assert code == 2
    assert "is a server, which looks at its experiments by itself" in err
