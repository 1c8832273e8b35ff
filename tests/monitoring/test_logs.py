"""Logs are lines of JSON, on stderr and in a file that is rotated."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.e2e import servers

from palio import platform
from palio.errors import InvalidInput
from palio.experiments.events import Fallback
from palio.monitoring.logs import begin_logs, log_predictions
from palio.settings import Settings
from palio.testing.records import ODD, prediction

CHAMPION: dict[str, Any] = {
    "model": "credit-risk",
    "version": "v0",
    "values": [1],
    "latency_ms": 1.0,
}
LOG = logging.getLogger("palio.test")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Leave the loggers as they were."""
    yield
    for name in ("palio", "uvicorn"):
        logger = logging.getLogger(name)
        for handler in logger.handlers[:]:
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(logging.NOTSET)
        logger.propagate = True


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_line_is_one_object_whatever_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    begin_logs("info")
    LOG.info("%s and\na new line", ODD)
    LOG.debug("not at this level")
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError:
        LOG.exception("it failed")
    first, second = lines(capsys.readouterr().err)
    assert first["message"] == f"{ODD} and\na new line"
    assert (first["level"], first["logger"]) == ("info", "palio.test")
    assert first["at"].endswith("Z")
    assert second["level"] == "error"
    assert "ZeroDivisionError: division by zero" in second["error"]


def test_requests_say_who_answered_and_nothing_of_the_unit(
    capsys: pytest.CaptureFixture[str],
) -> None:
    begin_logs("info")
    log_predictions(
        [
            prediction("r1", unit="ann", experiment="e", variant="control", latency_ms=1.23456),
            prediction("r2", unit="ann", values=[], error="ValueError: no"),
            prediction("r3", values=[], error="no", fallback=Fallback(**CHAMPION)),
            prediction("r4", values=[], error="no", fallback=Fallback(**CHAMPION, error="no")),
        ]
    )
    said = capsys.readouterr().err
    assert "ann" not in said
    first, second, third, fourth = lines(said)
    assert first["message"] == "answered"
    assert (first["request_id"], first["version"], first["variant"], first["latency_ms"]) == (
        "r1",
        "credit-risk:v1",
        "control",
        1.235,
    )
    assert (first["rows"], first["failure"], first["fallback"]) == (1, None, None)
    assert (second["message"], second["failure"]) == ("failed", "ValueError: no")
    assert (second["rows"], second["fallback"]) == (None, None)
    assert (third["fallback"], fourth["fallback"]) == ("credit-risk:v0", None)


def test_workers_do_not_rotate_one_file(tmp_path: Path) -> None:
    given = {"store": str(tmp_path / "palio.db"), "port": 0, "workers": 2}
    with pytest.raises(InvalidInput, match=r"2 workers cannot rotate together; write \{pid\}"):
        platform.serve(Settings(**given, log_file=tmp_path / "palio.log"))


def test_a_file_is_rotated_and_old_ones_are_forgotten(tmp_path: Path) -> None:
    begin_logs("info", file=tmp_path / "palio-{pid}.log", max_bytes=2_000, backups=2)
    for number in range(100):
        LOG.info("line %d", number)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 3
    assert all(0 < path.stat().st_size <= 2_000 for path in files)
    assert lines(min(files).read_text())[-1]["message"] == "line 99"


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"PALIO_LOG_FILE: .*No such file or directory"):
        begin_logs("info", file=tmp_path / "nothing" / "palio.log")


def test_a_server_logs_its_requests(home: str, tmp_path: Path) -> None:
    process = servers.start(
        home,
        artifacts=str(Path(home).with_name("palio-artifacts")),
        folder=tmp_path,
        PALIO_LOG_FILE=str(tmp_path / "palio.log"),
        PALIO_LOG_REQUESTS="true",
    )
    try:
        body = {"rows": [[1, 2, 3]], "request_id": "r1", "unit": "ann"}
        httpx.post(f"{process.address}/v1/predict/credit", json=body).raise_for_status()
    finally:
        process.end(servers.signal.SIGTERM)
    for path in (tmp_path / "palio.log", tmp_path / "serve.log"):
        [line] = [one for one in lines(path.read_text()) if one["logger"] == "palio.requests"]
        assert (line["request_id"], line["version"]) == ("r1", "credit:v1")
        assert line["latency_ms"] > 0
