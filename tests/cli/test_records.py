"""`palio experiments record`: to read, and as files that nobody's file gives way to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import servers

import palio


@pytest.fixture
def store(home: str) -> str:
    with palio.connect(home) as opened:
        opened.experiments.draft(servers.design("e", hypothesis="it helps"))
        opened.experiments.start("e")
        for number in range(20):
            opened.predict("credit", [[number, 1, 0]], unit=f"u{number}", request_id=f"r{number}")
        opened.experiments.analyze("e")
    return home


def test_it_is_shown(store: str, cli: Any) -> None:
    code, out, err = cli("--store", store, "experiments", "record", "e")
    assert (code, err) == (0, "")
    assert out.startswith("# e\n\n**Keep running")
    assert "| Hypothesis | it helps |" in out
    assert "| experiment.start |" in out
    assert "![" not in out  # no file holds the charts


def test_files_are_written_whole_and_none_is_replaced(
    store: str, cli: Any, tmp_path: Path
) -> None:
    to = {name: tmp_path / f"record.{name}" for name in ("html", "markdown", "json")}
    ask = ("--store", store, "experiments", "record", "e", "--html", to["html"])
    ask += ("--markdown", to["markdown"], "--file", to["json"])
    code, out, err = cli(*ask)
    assert (code, err) == (0, "")
    assert out.startswith(f"wrote {to['html']}")
    assert "<html" in to["html"].read_text()
    for path in ("plots/interval-challenger.png", "plots/traffic.png"):
        assert f"({path})" in to["markdown"].read_text()
        assert (tmp_path / path).read_bytes().startswith(b"\x89PNG")
    told = json.loads(to["json"].read_bytes())
    assert told["experiment"]["key"] == "e"
    assert told["report"]["decision"]["kind"] == "keep_running"
    assert len(told["looks"]) == 1  # one at each watermark
    assert [entry["action"] for entry in told["audit"]] == ["experiment.draft", "experiment.start"]
    code, _, err = cli(*ask)
    assert code == 4
    assert "exists" in err or "is there" in err


def test_one_that_has_ended_tells_what_it_ended_with(store: str, cli: Any) -> None:
    with palio.connect(store) as opened:
        ended = opened.experiments.stop("e", "enough")
        digest = opened.experiments.record("e").digest
    code, out, _ = cli("--store", store, "experiments", "record", "e", "--json")
    assert code == 0
    assert json.loads(out)["experiment"]["reason"] == ended.reason
    code, out, _ = cli("--store", store, "experiments", "record", "e")
    assert f"Analysis {digest}" in out


def test_an_unknown_experiment_is_named(home: str, cli: Any) -> None:
    code, _, err = cli("--store", home, "experiments", "record", "none")
    assert (code, "no experiment has the key 'none'" in err) == (3, True)
