"""Cards on the command line, editing, and what registering may say, in process and over HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.e2e import servers

import palio
from palio.artifacts.loader import package

Cli = Callable[..., tuple[int, str, str]]
Say = Callable[..., str]


@pytest.fixture(params=["file", "server"])
def store(request: pytest.FixtureRequest, home: str) -> Iterator[str]:
    """A store with a plot, as a file, then the address of a server on it."""
    with palio.connect(home) as opened:
        opened.register(
            "drawn",
            servers.model(),
            version="v1",
            sample=servers.SAMPLE,
            description="has a | plot",
            files={"plots/roc.png": b"png"},
        )
    if request.param == "file":
        yield home
        return
    with servers.serving(home) as address:
        yield address


@pytest.fixture
def say(cli: Cli, store: str) -> Say:
    """Run a command that succeeds."""

    def call(*arguments: object) -> str:
        code, out, err = cli("--store", store, *arguments)
        assert code == 0, err
        return out

    return call


def test_a_card_is_printed(say: Say) -> None:
    card = say("models", "card", "drawn:v1")
    assert card.startswith("# drawn:v1\n\nhas a \\| plot\n")
    assert "![roc](plots/roc.png)" in card
    assert json.loads(say("models", "card", "drawn:v1", "--json")) + "\n" == card


def test_a_card_is_rendered_on_a_terminal(home: str) -> None:
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "palio", "--store", home, "models", "card", "credit:v1"]
    environment = servers.environment() | {"TERM": "xterm", "COLUMNS": "100"}
    subprocess.run(command, stdout=theirs, env=environment, check=True, timeout=60)
    os.close(theirs)
    seen = os.read(ours, 65_536).decode()
    os.close(ours)
    assert "credit:v1" in seen
    assert "Approval" in seen
    assert "## " not in seen
    assert "| --- |" not in seen


def test_a_card_is_written_with_its_plots(say: Say, tmp_path: Path) -> None:
    page, text = tmp_path / "card.html", tmp_path / "out.md"
    out = say("models", "card", "drawn:v1", "--html", page, "--markdown", text)
    plot = tmp_path / "plots" / "roc.png"
    assert out == f"wrote {page}, {text}, {plot}\n"
    assert plot.read_bytes() == b"png"
    assert "data:image/png;base64,cG5n" in page.read_text()
    assert text.read_text() + "\n" == say("models", "card", "drawn:v1")


@pytest.mark.parametrize("taken", ["card.html", "card.md", "plots/roc.png"])
def test_no_file_is_replaced(cli: Cli, home: str, tmp_path: Path, taken: str) -> None:
    with palio.connect(home) as opened:
        opened.register("drawn", servers.model(), version="v1", sample=servers.SAMPLE,
                        files={"plots/roc.png": b"png"})  # fmt: skip
    (tmp_path / "plots").mkdir()
    (tmp_path / taken).write_bytes(b"mine")
    given = ("--html", tmp_path / "card.html", "--markdown", tmp_path / "card.md")
    code, _, err = cli("--store", home, "models", "card", "drawn:v1", *given)
    assert (code, "exists and is not replaced; give another path" in err) == (4, True)
    assert (tmp_path / taken).read_bytes() == b"mine"
    written = {path.name for path in tmp_path.rglob("*") if path.is_file()} - {"palio.db"}
    assert {"card.html", "card.md"} & written <= {Path(taken).name}


def test_a_version_is_edited(say: Say, tmp_path: Path) -> None:
    prose = tmp_path / "card.md"
    prose.write_text("for **loans**", encoding="utf-8")
    said = say("models", "edit", "credit:v1", "--description", "ü", "--tag", "a=b=c",
               "--tag", "d=", "--external-ref", "run:1", "--card", prose,
               "--reason", "why")  # fmt: skip
    assert said == "credit:v1 is as asked\n"
    shown = json.loads(say("models", "show", "credit:v1", "--json"))
    assert (shown["description"], shown["tags"]) == ("ü", {"a": "b=c", "d": ""})
    assert (shown["external_ref"], shown["card"]) == ("run:1", "for **loans**")
    assert "> for **loans**" in say("models", "card", "credit:v1")
    assert json.loads(say("audit", "list", "--json", "--limit", 1000))[-1]["reason"] == "why"
    say("models", "edit", "credit:v1", "--no-tags", "--description", "")
    shown = json.loads(say("models", "show", "credit:v1", "--json"))
    assert (shown["description"], shown["tags"], shown["card"]) == ("", {}, "for **loans**")
    assert say("models", "edit-model", "credit", "--tag", "team=risk") == (
        "model credit is as asked\n"
    )
    assert json.loads(say("models", "list", "--json"))[0]["tags"] == {"team": "risk"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("edit", "credit:v1", "--metrics", "x.json"), "--metrics cannot be edited: it is frozen"),
        (("edit", "credit:v1", "--stage=x"), "for all else register a new version"),
        (("edit-model", "credit", "--lifecycle", "strict"), "description and tags can be"),
        (("edit", "credit:v1", "--tag", "a"), "--tag takes name=text, got 'a'"),
        (("edit", "credit:v1", "--tag", "a=1", "--tag", "a=2"), "--tag has 'a' twice"),
        (("edit", "credit:v1", "--tag", "a=1", "--no-tags"), "exclude each other"),
        (("edit", "credit:v1", "--card", "nowhere.md"), "nowhere.md: No such file"),
    ],
)
def test_what_cannot_be_edited(
    cli: Cli, home: str, arguments: tuple[str, ...], words: str
) -> None:
    code, out, err = cli("--store", home, "models", *arguments)
    assert (code, out) == (2, "")
    assert words in err


@pytest.fixture
def files(tmp_path: Path, home: str) -> Path:
    """A folder with a model, and beside it a file for every option that takes one."""
    with palio.connect(home) as opened:
        signature = opened.versions.get("credit:v1").signature
    assert signature is not None
    folder = tmp_path / "model"
    folder.mkdir()
    package(servers.model(0.3), folder, signature)
    contents = {
        "signature.json": msgspec.json.encode(signature).decode(),
        "policy.yaml": "zuletzt: true\nlimits:\n  leverage: 3.0\n",
        "metrics.json": '{"auc": 0.75}',
        "backtest.json": '{"sharpe": 1.5}',
        "training.yaml": "seed: 7\n",
        "card.md": "for loans",
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    return tmp_path


def registering(files: Path, **other: Any) -> list[object]:
    given = {
        "signature": files / "signature.json", "policy": files / "policy.yaml",
        "metrics": files / "metrics.json", "backtest": files / "backtest.json",
        "training": files / "training.yaml", "card": files / "card.md", "type": "classification",
        "framework": "scikit-learn 1.9", "architecture": "linear", "dataset-version": "2026-01",
        "parent": "credit@champion", "source": "commit=ab12", "tag": "team=risk",
        "description": "who pays", "external-ref": "run:1", "version": "full",
    } | other  # fmt: skip
    options = [part for name, value in given.items() for part in (f"--{name}", value)]
    return ["models", "register", "credit", files / "model", *options, "--source", "run=r1"]


def test_everything_can_be_said_when_registering(say: Say, files: Path) -> None:
    say(*registering(files))
    shown = json.loads(say("models", "show", "credit:full", "--json"))
    expected = {
        "type": "classification", "framework": "scikit-learn 1.9", "architecture": "linear",
        "dataset_version": "2026-01", "metrics": {"auc": 0.75}, "backtest": {"sharpe": 1.5},
        "policy": {"zuletzt": True, "limits": {"leverage": 3.0}}, "training": {"seed": 7},
        "parent": "credit:v1", "source": {"commit": "ab12", "run": "r1"}, "tags": {"team": "risk"},
        "description": "who pays", "external_ref": "run:1", "card": "for loans",
    }  # fmt: skip
    assert {name: shown[name] for name in expected} == expected
    told = say("models", "show", "credit:full")
    for words in ("classification", "sharpe 1.5", '"leverage":3.0', "commit=ab12", "credit:v1"):
        assert words in told
    assert "zuletzt: true" in say("models", "card", "credit:full")


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("a: &x [1]\nb: *x\n", "write out what *x stands for"),
        ("a: 1\na: 2\n", "a key comes twice in this mapping"),
        ("when: 2026-01-01\n", "policy.when: datetime.date(2026, 1, 1) is a date; give texts"),
        ("- 1\n", "policy: [1] is a list; give names with their values"),
        ("a: .nan\n", "policy.a: nan is no finite number"),
        ("1: x\n", "a key in policy: 1 is a int; give a text"),
        ("a: !!python/name:os.system\n", "could not determine a constructor"),
        ("a: " + "x" * 1_000_000, "has more than 1,000,000 bytes"),
        ("[" * 50_000, "policy.yaml"),
    ],
    ids=["anchor", "twice", "date", "list", "nan", "key", "code", "large", "deep"],
)
def test_policies_that_are_refused(
    *, cli: Cli, home: str, files: Path, policy: str, words: str
) -> None:
    (files / "policy.yaml").write_text(policy)
    code, out, err = cli("--store", home, *registering(files))
    assert (code, out) == (2, "")
    assert words in err


def test_training_fills_in_what_it_knows(cli: Cli, home: str, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    rows = [f"{n % 7},{n % 5},{int(n % 7 > 3)}" for n in range(80)]
    table.write_text("\n".join(["a,b,y", *rows]))
    code, out, err = cli("--store", home, "train", table, "--target", "y", "--model", "t",
                         "--register", "--json")  # fmt: skip
    assert code == 0, err
    told = json.loads(out)
    made = told["version"]
    assert (made["type"], made["architecture"]) == ("classification", "logistic")
    assert made["framework"] == f"scikit-learn {told['training']['sklearn']}"
    assert made["dataset_version"] == f"sha256:{told['training']['fingerprint']}"
