"""``palio units`` and ``experiments rebuild``, on a file and through a server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.e2e import servers

import palio
from palio.access.domain import Role
from palio.errors import Forbidden
from palio.storage.store import SqlStore, engine_for
from palio.testing.records import design, prediction

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(params=["file", "server"])
def store(
    request: pytest.FixtureRequest, home: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A store as a file, then the address of a server on it; one unit in one experiment."""
    monkeypatch.setenv("PALIO_RETENTION_DAYS", "30")
    with palio.connect(home) as p:
        variants = [replace(one, version=f"v{one.version}") for one in design().variants]
        p.experiments.draft(design(variants=tuple(variants)))
        p.experiments.start("exp")
        p.predict("credit", [[0.1, 0.2, 0.3]], unit="ann")
        p.experiments.analyze("exp")
    if request.param == "file":
        yield home
        return
    with servers.serving(home) as address:
        yield address


def test_a_unit_is_erased(cli: Cli, store: str) -> None:
    code, out, err = cli(
        "--store", store, "units", "erase", "ann", "nobody", "--reason", "request 4711"
    )
    assert (code, err) == (0, "")
    assert out == (
        "1 of 2 units were known: 1 predictions, 0 exposures and 0 outcomes are erased, and taken "
        "off exp\n"
    )
    code, out, _ = cli("--store", store, "units", "erase", "ann", "--reason", "again", "--json")
    told = json.loads(out)
    assert (code, told["known"], told["experiments"]) == (0, 0, [])


def test_a_reason_is_asked_for(cli: Cli, store: str) -> None:
    assert cli("--store", store, "units", "erase", "ann")[0] == 2
    code, _, err = cli("--store", store, "units", "erase", "ann", "--reason", "for ann")
    assert (code, "reason names a unit" in err) == (2, True)


def test_old_events_are_forgotten(cli: Cli, store: str) -> None:
    code, out, err = cli("--store", store, "units", "retain")
    assert (code, err) == (0, "")
    assert out.startswith("0 events from before 20")


def test_the_evaluator_forgets_by_itself(
    cli: Cli, home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqlStore(engine_for(home))
    with store.write() as unit:
        unit.log.append([prediction("old", at=datetime(2020, 1, 1, tzinfo=UTC))])
    assert cli("--store", home, "evaluate", "--once")[0] == 0
    monkeypatch.setenv("PALIO_RETENTION_DAYS", "30")
    with store.read() as unit:
        assert unit.log.head() == 1
    assert cli("--store", home, "evaluate", "--once")[0] == 0
    with store.read() as unit:
        assert unit.log.head() == 0
    store.close()


def test_statistics_are_built_anew(cli: Cli, store: str) -> None:
    code, out, err = cli("--store", store, "experiments", "rebuild", "exp", "--reason", "try")
    assert (code, err) == (0, "")
    assert out.startswith("exp is built anew: 0 figures at 1")  # no label has come yet
    code, _, err = cli("--store", store, "experiments", "rebuild", "exp", "--reason", " ")
    assert (code, "reason is empty" in err) == (2, True)


def test_an_operator_may_not(home: str) -> None:
    with palio.connect(home) as p:
        key = p.keys.create("bob", Role.OPERATOR).secret
    with servers.serving(home) as address, palio.connect(address, key=key) as p:
        with pytest.raises(Forbidden):
            p.units.erase(["ann"], "why")
        with pytest.raises(Forbidden):
            p.units.retain()
