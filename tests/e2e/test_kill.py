"""A server that is killed in the middle of a replay has kept all that it acknowledged, once."""

from __future__ import annotations

import itertools
import random
import signal
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

import httpx
import pytest

import palio
from palio.access.audit import first_break
from palio.experiments.events import LogEntry, Outcome, Prediction
from palio.experiments.folding.verification import Verification
from palio.experiments.judging.analysis import Report
from palio.storage.store import SqlStore, engine_for

from . import servers

UNITS, REQUESTS, CLIENTS = 120, 480, 4
KILLED_AFTER = (150, 400)  # acknowledged calls since the last start
Call = tuple[str, dict[str, Any]]  # path, body


@dataclass(slots=True)
class Replay:
    """What one client sends, in order, and what was acknowledged so far."""

    calls: list[Call]
    answers: list[dict[str, Any]] = field(default_factory=list)

    @property
    def done(self) -> bool:
        return len(self.answers) == len(self.calls)

    @property
    def doubtful(self) -> list[Call]:
        """The last predictions that were acknowledged, as if that had not been heard."""
        before = self.calls[: len(self.answers)]
        return [(path, body) for path, body in before[-5:] if "rows" in body]

    def go_on(self, address: str, acknowledged: Acknowledged) -> None:
        """Send what is not acknowledged yet, until the end or until the server is gone."""
        with (
            suppress(httpx.TransportError),
            httpx.Client(base_url=address, timeout=servers.PATIENCE_S) as http,
        ):
            for path, body in self.doubtful:
                assert http.post(path, json=body).status_code == 200
            for path, body in self.calls[len(self.answers) :]:
                response = http.post(path, json=body)
                assert response.status_code == 200, response.text
                self.answers.append(response.json())
                acknowledged.add()


class Acknowledged:
    """Counts what all clients together were acknowledged, and says when it is enough."""

    def __init__(self, enough: int | None) -> None:
        self._enough, self._lock, self._count = enough, Lock(), 0
        self.reached = Event()

    def add(self) -> None:
        with self._lock:
            self._count += 1
            if self._count == self._enough:
                self.reached.set()


def predict(number: int) -> Call:
    chance = random.Random(number)
    rows = [[chance.gauss(0, 1) for _ in range(3)]]
    body = {"rows": rows, "unit": f"u{number % UNITS}", "request_id": f"r{number}"}
    return "/v1/predict/credit", body


def label(number: int, value: int, **more: Any) -> Call:
    return "/v1/outcomes", {"request_id": f"r{number}", "value": value, **more}


def calls_of(number: int) -> Iterator[Call]:
    """Yield one request with what becomes known of it."""
    truth = random.Random(-number - 1).randrange(2)
    match number % 6:
        case 0:  # before its prediction
            yield label(number, truth)
            yield predict(number)
        case 1:  # repeated
            yield predict(number)
            yield from itertools.repeat(label(number, truth), 3)
        case 2:  # corrected
            yield predict(number)
            yield label(number, 1 - truth, outcome_id=f"o{number}")
            yield label(number, truth, outcome_id=f"o{number}")
        case 3:  # about the unit, with others in one call
            yield predict(number)
            unit = {"unit": f"u{number % UNITS}", "name": "revenue", "value": number / 7}
            sent = [unit | {"outcome_id": f"a{number}"}, unit | {"outcome_id": f"b{number}"}]
            yield "/v1/outcomes", {"outcomes": sent}
        case _:  # late, or never
            yield predict(number)


def replays() -> list[Replay]:
    """Return what each client sends; late labels come at its end."""
    made = []
    for client in range(CLIENTS):
        numbers = range(client, REQUESTS, CLIENTS)
        calls = [call for number in numbers for call in calls_of(number)]
        calls += [label(number, number % 2) for number in numbers if number % 6 == 4]
        made.append(Replay(calls))
    return made


def send(process: servers.Process, clients: Sequence[Replay], kill_after: int | None) -> None:
    acknowledged = Acknowledged(kill_after)
    threads = [
        Thread(target=client.go_on, args=(process.address, acknowledged)) for client in clients
    ]
    for thread in threads:
        thread.start()
    if kill_after is not None:
        assert acknowledged.reached.wait(servers.PATIENCE_S)
        assert process.end(signal.SIGKILL) == -signal.SIGKILL
    for thread in threads:
        thread.join(servers.PATIENCE_S)
        assert not thread.is_alive()


@pytest.fixture(params=["sqlite_url", "postgres_url"])
def url(request: pytest.FixtureRequest) -> str:
    """A store on SQLite, then one on PostgreSQL."""
    found: str = request.getfixturevalue(request.param)
    return found


def test_nothing_acknowledged_is_lost_or_counted_twice(url: str, tmp_path: Path) -> None:
    artifacts = str(tmp_path / "artifacts")
    with palio.connect(url, artifacts=artifacts) as opened:
        servers.credit(opened, experiment="e")
    clients = replays()
    for kill_after in (*KILLED_AFTER, None):
        process = servers.start(url, artifacts=artifacts, folder=tmp_path)
        try:
            send(process, clients, kill_after)
            assert all(client.done for client in clients) == (kill_after is None)
            if kill_after is not None:
                check_log(log_of(url), clients)
                with palio.connect(url, artifacts=artifacts) as opened:  # folds up to here
                    assert opened.experiments.verify("e").differences == ()
        finally:
            process.end(signal.SIGTERM)
    entries = log_of(url)
    check_log(entries, clients)
    with palio.connect(url, artifacts=artifacts) as opened:
        check_statistics(opened.experiments.analyze("e"), opened.experiments.verify("e"), entries)
        assert opened.audit.verify().broken is None


def log_of(url: str) -> list[LogEntry]:
    store = SqlStore(engine_for(url))
    try:
        with store.read() as unit:
            assert first_break(unit.audit.entries()) is None
            return list(unit.log.after(0, limit=100_000))
    finally:
        store.close()


def check_log(entries: Sequence[LogEntry], clients: Sequence[Replay]) -> None:
    """Every acknowledged prediction is there as it was answered, every outcome once."""
    served: defaultdict[str, list[Prediction]] = defaultdict(list)
    outcomes: defaultdict[str, list[Outcome]] = defaultdict(list)
    for entry in entries:
        if isinstance(entry.event, Prediction):
            served[entry.event.request_id].append(entry.event)
        else:
            outcomes[entry.event.outcome_id].append(entry.event)
    for client in clients:
        for (_, body), answer in zip(client.calls, client.answers, strict=False):
            if "rows" in body:
                found = served[body["request_id"]]
                assert answer["variant"] in {one.variant for one in found}
                assert answer["probabilities"] in [one.probabilities for one in found]
                continue
            for sent in body.get("outcomes", [body]):
                outcome_id = sent.get("outcome_id", f"{sent.get('request_id')}/label")
                values = [one.value for one in outcomes[outcome_id]]
                assert values.count(sent["value"]) == 1, (outcome_id, values)
    for revisions in outcomes.values():
        assert [one.revision for one in revisions] == list(range(1, len(revisions) + 1))


def check_statistics(report: Report, verified: Verification, entries: Sequence[LogEntry]) -> None:
    """Every request and outcome is counted once, and figures equal a recomputation."""
    assert verified.differences == ()
    assert verified.watermark == report.watermark == entries[-1].seq
    labelled = {number for number in range(REQUESTS) if number % 6 in (0, 1, 2, 4)}
    of_units = 2 * sum(number % 6 == 3 for number in range(REQUESTS))
    assert sum(arm.requests for arm in report.arms) == REQUESTS
    assert sum(arm.units for arm in report.arms) == UNITS
    assert sum(arm.labelled for arm in report.arms) == len(labelled)
    assert sum(arm.outcomes for arm in report.arms) == len(labelled) + of_units
    assert [(arm.errors, arm.crossovers) for arm in report.arms] == [(0, 0)] * 2
    assert verified.compared == 6  # two variants, three metrics
    for arm in report.arms:
        hits = accuracies(entries, arm.variant)
        assert arm.metrics["accuracy"].n == len(hits)
        assert arm.metrics["accuracy"].mean == pytest.approx(sum(hits) / len(hits), rel=1e-9)


def accuracies(entries: Sequence[LogEntry], variant: str) -> list[float]:
    """Return the share of right answers of every unit, from the log alone."""
    truth = {
        entry.event.request_id: entry.event.value
        for entry in entries
        if isinstance(entry.event, Outcome) and entry.event.name == "label"
    }
    hits: defaultdict[str, list[bool]] = defaultdict(list)
    seen: Counter[str] = Counter()
    for entry in entries:
        event = entry.event
        if not isinstance(event, Prediction) or event.variant != variant:
            continue
        seen[event.request_id] += 1
        if seen[event.request_id] == 1 and event.request_id in truth:
            hits[event.unit].append(event.values[0] == truth[event.request_id])
    return [sum(found) / len(found) for found in hits.values()]
