"""The demonstration as people run it: a process of its own, real HTTP, nothing left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import palio
from palio.demo.options import DemoOptions
from palio.demo.screen import SilentScreen
from palio.demo.story import run

COMMAND = [sys.executable, "-m", "palio", "demo"]


def environment(folder: Path) -> dict[str, str]:
    """Return our own palio's environment, with temporary files where they can be seen."""
    source = str(Path(palio.__file__).parents[1])
    return os.environ | {"PYTHONPATH": source, "TMPDIR": str(folder), "PALIO_KEY": "somebody's"}


def demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )


def processes_of(folder: Path) -> list[str]:
    """Return the commands of processes that were started with the folder in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it has ended meanwhile, or is somebody else's
    return found


def remote_links(page: str) -> set[str]:
    """Return what a page loads or links to, its scripts' own text left aside."""
    markup = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    return set(re.findall(r"""(?:https?:)?//[\w.-]+\.\w+|(?:src|href)=\S+""", markup))


def test_a_whole_demonstration_for_programs(tmp_path: Path) -> None:
    finished = demo(tmp_path, "--requests", "600", "--look-every", "150", "--json")
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    told: dict[str, Any] = json.loads(finished.stdout)
    assert told["requests_sent"] == 600
    assert sum(arm["requests"] for arm in told["variants"]) == told["requests_sent"]
    assert sum(arm["units"] for arm in told["variants"]) == told["requests_sent"]
    assert told["outcomes_joined"] == told["outcomes_sent"] == told["requests_sent"]
    assert told["outcomes_repeated"] > 0
    assert told["outcomes_early"] > 0
    assert told["verified"]
    assert told["audit_intact"]
    assert told["decision"]["kind"] in {"ship", "rollback", "inconclusive"}
    shipped = told["decision"]["kind"] == "ship"
    assert (told["champion"]["after"] == "boosting") == shipped
    actions = [entry["action"] for entry in told["audit"]]
    assert actions.count("version.register") == 2
    assert actions[-1] == "key.revoke"
    assert ("experiment.ship" in actions) == shipped
    assert len({look["at"] for look in told["looks"]}) >= 3
    assert told["data"]["synthetic"]
    page = Path(told["report"]).read_text(encoding="utf-8")
    assert told["report"] == str(tmp_path / "palio-demo.html")
    assert "Synthetic data" in page
    assert remote_links(page) == set()
    assert [path.name for path in tmp_path.iterdir()] == ["palio-demo.html"]
    assert processes_of(tmp_path) == []


@pytest.mark.parametrize(
    ("until", "number"), [("look 1", signal.SIGINT), ("training", signal.SIGTERM)]
)
def test_an_interruption_leaves_nothing(tmp_path: Path, until: str, number: int) -> None:
    with subprocess.Popen(
        [*COMMAND, "--look-every", "100", "--keep", "kept"],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        seen = next((line for line in process.stdout if line.startswith(until)), None)
        assert seen is not None
        running = processes_of(tmp_path)
        process.send_signal(number)
        rest, errors = process.communicate(timeout=20)
    assert any("palio.demo.server" in command for command in running) == (until == "look 1")
    assert process.returncode == 130
    assert errors == "interrupted; nothing was left behind\n"
    assert "\x1b" not in seen + rest
    assert processes_of(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_unusable_data_is_one_line(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("x,y\n1,0\n2,1\n", encoding="utf-8")
    finished = demo(tmp_path, "--data", "table.csv", "--target", "nothing")
    assert finished.returncode == 2
    assert finished.stderr == (
        "error: column 'nothing' is not in the table; its columns are: x, y\n"
    )
    assert list(tmp_path.iterdir()) == [table]


def test_a_table_of_ones_own_that_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    options = DemoOptions(
        data=own_table(tmp_path),
        target="bought",
        requests=500,
        look_every=100,
        report=tmp_path / "report.html",
        keep=tmp_path / "kept",
    )
    told = run(options, SilentScreen())
    assert told.data.left_out > 0
    assert told.data.to_replay + told.data.left_out == 500
    assert sum(arm.requests for arm in told.variants) == told.requests_sent
    assert sum(arm.errors for arm in told.variants) == 0
    assert told.outcomes_joined == told.outcomes_sent == told.requests_sent
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "kept",
        "own.parquet",
        "report.html",
    ]
    with palio.connect(tmp_path / "kept" / "palio.db") as kept:
        assert kept.experiments.get(told.experiment).ended_at is not None
        assert kept.versions.get("demo@champion").version == told.champion.after
        assert not kept.keys.configured()
        row = {"price": 1.5, "visits": 3, "member": True, "place": "b <&>"}
        assert kept.predict("demo", [row]).predictions[0] in {"no", "yes"}


def own_table(folder: Path) -> Path:
    """Write a table with all types, labels of text, and a value missing once in a long while."""
    rng = np.random.default_rng(5)
    n = 900
    price = rng.normal(size=n).astype(np.float32)
    bought = np.where(price + rng.normal(size=n) > 0.5, "yes", "no")
    visits: list[int | None] = list(range(n))
    visits[pl.Series(range(n)).shuffle(seed=0)[400]] = None  # among those replayed: none is learnt
    place = rng.choice(["a", "b <&>", "c"], n).tolist()
    frame = pl.DataFrame(
        {
            "price": price,
            "visits": visits,
            "member": rng.random(n) < 0.5,
            "place": pl.Series(place, dtype=pl.Categorical),
            "bought": bought,
        }
    )
    path = folder / "own.parquet"
    frame.write_parquet(path)
    return path
