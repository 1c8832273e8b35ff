"""Every command: its help, its example, its words, its JSON and its exit codes."""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import typer
from tests.e2e import servers
from tests.e2e.worlds import World

import palio
from palio import platform
from palio.artifacts.loader import package
from palio.cli.app import build

Cli = Callable[..., tuple[int, str, str]]


def walk(command: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command below one, with its path."""
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from walk(inner, *path, name)


COMMANDS = dict(walk(typer.main.get_command(build(platform))))
LEAVES = {path: command for path, command in COMMANDS.items() if not hasattr(command, "commands")}
NAMES = [" ".join(path) for path in LEAVES]


def example_of(command: Any) -> str:
    found = re.search(r"\[dim\](palio .*?)\[/dim\]", command.help or "", re.DOTALL)
    assert found is not None, "the help has no example"
    return " ".join(found.group(1).split())


def test_the_commands_are_known() -> None:
    known = Path(__file__).with_name("commands.txt").read_text().splitlines()
    assert sorted(NAMES) == sorted(known)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(path: tuple[str, ...], cli: Cli) -> None:
    command = COMMANDS[path]
    assert (command.help or "").strip(), "no help"
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{parameter.name} has no help"
    for asked in ("--help", "-h"):
        code, out, _ = cli(*path, asked)
        assert code == 0
        assert (command.help or "").split("\n")[0][:40] in out


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_has_an_example_that_can_be_typed(path: tuple[str, ...], cli: Cli) -> None:
    example = example_of(LEAVES[path])
    words = shlex.split(example)
    assert words[0] == "palio"
    before = words[1 : words.index(path[0])]
    assert before in ([], ["--store", "palio.db"])
    given = words[1 + len(before) :]
    assert tuple(given[: len(path)]) == path
    LEAVES[path].make_context(path[-1], given[len(path) :])  # raises what typing it would
    _, out, _ = cli(*path, "--help")
    shown = re.sub(r"[\s│]+", "", out)
    assert re.sub(r"\s+", "", example) in shown


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_programs_can_ask_for_json(path: tuple[str, ...]) -> None:
    options = {option for one in LEAVES[path].params for option in one.opts}
    without = {
        ("audit", "export"),
        ("serve",),
        ("store", "upgrade"),
    }
    assert ("--json" in options) is (path not in without)


@pytest.mark.parametrize(
    "arguments",
    [[], ["models"], ["nothing"], ["models", "show"], ["models", "list", "--nothing"],
     ["serve", "--port", "70000"], ["train", "x.csv"], ["models", "show", "a:b", "c"],
     ["audit", "list", "--after", "x"], ["keys", "create", "k", "--role", "king"]],
)  # fmt: skip
def test_misuse_is_explained(cli: Cli, arguments: list[str]) -> None:
    code, out, err = cli(*arguments)
    assert code == 2
    assert out + err


@pytest.fixture(params=["file", "server"])
def store(request: pytest.FixtureRequest, home: str) -> Iterator[str]:
    """A store as a file, then the address of a server on it."""
    if request.param == "file":
        yield home
        return
    with servers.serving(home) as address:
        yield address


@pytest.fixture(scope="module")
def loans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    chance = np.random.default_rng(1)
    ages, debts = chance.normal(40, 10, 240), chance.normal(0, 1, 240)
    defaults = (debts + chance.normal(0, 0.5, 240) > 0).astype(int)
    lines = [f"{a:.2f},{d:.3f},{y}" for a, d, y in zip(ages, debts, defaults, strict=True)]
    file = tmp_path_factory.mktemp("loans") / "loans.csv"
    file.write_text("\n".join(["age,debt,default", *lines]))
    return file


class Teller:
    """Calls commands that must succeed."""

    def __init__(self, cli: Cli, store: str) -> None:
        self._cli, self._store = cli, store

    def json(self, *arguments: object) -> Any:
        return json.loads(self.text(*arguments, "--json"))

    def text(self, *arguments: object) -> str:
        code, out, err = self._cli("--store", self._store, *arguments)
        assert code == 0, err
        return out


@pytest.fixture
def tell(cli: Cli, store: str) -> Teller:
    return Teller(cli, store)


def test_the_whole_story(tell: Teller, store: str, loans: Path, tmp_path: Path) -> None:
    train_two(tell.json, tell.text, loans)
    serve_one(tell.json, tell.text)
    compare_two(tell.json, tell.text, store)
    end_it(tell.json, tell.text, tmp_path / "record.json")


def train_two(tell: Callable[..., Any], say: Callable[..., str], loans: Path) -> None:
    trained = tell("train", loans, "--target", "default", "--model", "risk", "--version", "a",
                   "--promote")  # fmt: skip
    assert trained["version"]["stage"] == "production"
    assert trained["metrics"]["roc_auc"] > 0.8
    out = say("train", loans, "--target", "default", "--model", "risk", "--version", "b",
              "--estimator", "gradient-boosting", "--register", "--seed", "1")  # fmt: skip
    assert "risk:b is registered, stage development" in out
    assert "not registered" in say("train", loans, "--target", "default", "--model", "risk")
    assert [v["version"] for v in tell("models", "versions", "risk")] == ["a", "b"]
    auc = next(
        row for row in tell("models", "compare", "risk:a", "risk:b") if row["metric"] == "roc_auc"
    )
    gap = auc["differences"]["risk:b"]["value"] - trained["metrics"]["roc_auc"]
    assert auc["differences"]["risk:b"]["absolute"] == pytest.approx(gap)
    assert auc["best"] == ("risk:b" if gap > 0 else "risk:a")
    assert "risk:b" in say("models", "compare", "risk:a", "risk:b", "--better", "roc_auc=lower")
    assert "risk:a" in say("models", "show", "risk@champion")
    assert "is in staging" in say("models", "move", "risk:b", "staging", "--reason", "looks well")


def serve_one(tell: Callable[..., Any], say: Callable[..., str]) -> None:
    assert "serves risk@champion" in say("endpoints", "create", "risk", "--model", "risk")
    answer = tell("predict", "risk", '[{"age": 41, "debt": 0.5}]', "--request-id", "r1")
    assert (answer["version"], answer["request_id"]) == ("a", "r1")
    assert "1 accepted" in say("outcomes", "record", "1", "--request-id", "r1")
    assert tell("outcomes", "record", "1", "--request-id", "r1")["repeated"] == 1


def compare_two(tell: Callable[..., Any], say: Callable[..., str], store: str) -> None:
    drafted = say("experiments", "draft", "ab", "--endpoint", "risk", "--goal", "brier",
                  "--guardrail", "error", "--variant", "control=a:0.5",
                  "--variant", "challenger=b:0.5")  # fmt: skip
    assert "`palio experiments start ab` runs it" in drafted
    assert "control=a:0.5, challenger=b:0.5" in say("experiments", "start", "ab")
    wait_for_start(store)
    for number in range(8):
        row = json.dumps({"age": 30 + number, "debt": number / 8})
        one = tell("predict", "risk", row, "--unit", f"u{number}", "--request-id", f"q{number}")
        assert one["experiment"] == "ab"
        tell("outcomes", "record", number % 2, "--request-id", f"q{number}")
    of_all = ("--experiment", "ab", "--variant", "control", "--name", "stars")
    assert "1 accepted" in say("outcomes", "record", 4, *of_all)
    assert [one["value"] for one in tell("outcomes", "history", "q1/label")] == [1]
    assert "label" in say("outcomes", "history", "q1/label")
    report = tell("experiments", "analyze", "ab")
    assert sum(arm["labelled"] for arm in report["arms"]) == 8
    told = say("experiments", "analyze", "ab")
    assert told.startswith("keep_running: ")
    assert "stars reported for control as a whole: mean 4 of 1 (weaker evidence" in told
    assert "events up to" in told
    assert "figures at" in say("experiments", "verify", "ab")


def end_it(tell: Callable[..., Any], say: Callable[..., str], record: Path) -> None:
    assert "the champion serves" in say("experiments", "pause", "ab", "--reason", "lunch")
    assert tell("experiments", "resume", "ab")["state"] == "running"
    assert "is stopped" in say("experiments", "stop", "ab", "--reason", "enough")
    say("experiments", "draft", "back", "--endpoint", "risk", "--goal", "brier",
        "--variant", "control=a:0.5", "--variant", "challenger=b:0.5")  # fmt: skip
    say("experiments", "start", "back")
    assert say("experiments", "rollback", "back", "--reason", "complaints") == (
        "back is rolled back; the champion serves everybody\n"
    )
    assert say("experiments", "record", "ab", "--file", record) == f"wrote {record}\n"
    assert json.loads(record.read_text())["experiment"]["key"] == "ab"
    assert say("audit", "verify").endswith("the chain holds\n")
    actions = [entry["action"] for entry in tell("audit", "list", "--limit", 1000)]
    assert actions[-1] == "experiment.rollback"
    assert "experiment.stop" in say("audit", "list")


def wait_for_start(store: str) -> None:
    with palio.connect(store) as opened:
        for _ in range(400):
            if opened.predict("risk", [[40, 0.1]], unit="warm").experiment == "ab":
                return
    raise AssertionError("the experiment has not started")


def test_the_other_commands(tell: Teller, cli: Cli, store: str, tmp_path: Path) -> None:
    say = tell.text
    lifecycle = tmp_path / "lifecycle.json"
    lifecycle.write_text(
        '{"name": "short", "initial": "a", "production": "b", "retired": "c", '
        '"transitions": {"a": ["b"], "b": ["c"], "c": ["b"]}}'
    )
    assert "short is declared" in say("lifecycles", "declare", lifecycle)
    assert "is open" in say("models", "create", "other", "--lifecycle", "short")
    assert "other" in say("models", "list")
    assert "other has no versions yet" in say("models", "versions", "other")
    assert "★ b  production" in say("lifecycles", "show", "short")
    assert "is ready for staging" in say("models", "requirements", "credit:v2", "staging")
    assert "credit@next points at v2" in say("models", "alias", "credit", "next", "v2")
    assert "@next" in say("models", "aliases", "credit")
    said = say("models", "promote", "credit:v2", "--expected", "v1", "--reason", "better")
    assert said == "credit:v2 is production and @champion\n"
    assert "better" in say("models", "history", "credit")
    assert say("models", "rollback", "credit") == "credit:v1 is production and @champion\n"
    assert "answers with credit:v2 only" in say("endpoints", "override", "credit", "v2")
    assert re.search("override +v2", say("endpoints", "show", "credit"))
    assert "serves as before" in say("endpoints", "clear", "credit")
    assert "credit" in say("endpoints", "list")
    assert "no experiments yet" in say("experiments", "list")
    assert "no keys yet" in say("keys", "list")
    made = say("keys", "create", "app", "--role", "admin", "--expires-in-days", "1")
    secret, key_id = made.split()[0], made.split()[-1].rstrip(".")
    assert secret.startswith("palio_")
    given = ("--key", secret)
    code, out, _ = cli("--store", store, *given, "keys", "list")
    assert (code, key_id in out, secret in out) == (0, True, False)
    code, out, _ = cli("--store", store, *given, "keys", "revoke", key_id)
    assert (code, "is revoked" in out) == (0, True)


def test_commands_on_endpoints(tell: Teller) -> None:
    say = tell.text
    shared = say("endpoints", "weigh", "credit", "v1=0.9", "v2=0.1")
    assert "credit: v1 90.00%, v2 10.00%" in shared
    assert "everything to the champion" in say("endpoints", "weigh", "credit")
    assert "credit holds v2" in say("endpoints", "load", "credit", "v2")
    shown = say("endpoints", "loaded", "credit")
    assert re.search(r"credit:v1 +ready\s*\n", shown)
    assert re.search(r"credit:v2 +ready +held", shown)
    assert [one["ready"] for one in tell.json("endpoints", "loaded", "credit")["versions"]] == [
        True, True,
    ]  # fmt: skip
    assert "holds nothing more" in say("endpoints", "unload", "credit", "v2")
    on_error = ("--on-error", "fallback", "--timeout-s", "2")
    assert "times out after 2 s" in say("endpoints", "configure", "credit", *on_error)


def test_commands_on_deployments(tell: Teller, cli: Cli, store: str) -> None:
    say = tell.text
    assert "no deployments; `palio deployments deploy NAME" in say("deployments", "list")
    options = (
        *("--share", "0.5", "--canary", "0.1", "--success-threshold", "0.9", "--gpu", "1"),
        *("--guardrail", "error_rate <= 0.02", "--guardrail", "latency_p95_ms <= baseline : warn"),
        *("--duration-s", "60", "--min-sample", "10", "--reason", "it knows more"),
    )
    made = say("deployments", "deploy", "d", "credit:v2", "--endpoint", "credit", *options)
    assert "d is canary on credit with credit:v2" in made
    assert "not honoured: resources.gpu = 1" in made
    assert "10.00%" in say("deployments", "list")
    told = say("deployments", "status", "d")
    for said in (
        "error_rate <= 0.02: rollback",
        "latency_p95_ms <= baseline: warn",
        "10.00% of 50.00%",
        "then 0.9 of at least 10 requests must have succeeded",
        "not honoured",
    ):
        assert said in told
    assert re.search("healthy +yes", say("deployments", "health", "d"))
    assert tell.json("deployments", "metrics", "d")["traffic"]["requests"] == 0
    assert "processes serve it" in say("deployments", "metrics", "d")
    assert "is rolled back" in say("deployments", "rollback", "d", "--reason", "enough")
    assert tell.json("deployments", "list") == []
    assert [one["state"] for one in tell.json("deployments", "list", "--ended")] == ["rolled_back"]
    staging = ("--environment", "staging", "--no-rollback-on-error")
    made = tell.json("deployments", "deploy", "s", "credit@champion", *staging)
    assert (made["endpoint"], made["version"]) == ("credit-staging", "v1")
    assert "told" in say("deployments", "status", "s")
    assert "is undeployed" in say("deployments", "undeploy", "s")
    row = ("--row", '{"x0": 1, "x1": 2, "x2": 3}')
    made = tell.json("deployments", "deploy", "s", "credit@champion", *staging, *row)
    assert made["health_check"]["row"] == {"x0": 1, "x1": 2, "x2": 3}
    wrong = ("deployments", "deploy", "t", "credit:v2", "--endpoint", "credit", "--row", "x")
    code, _, said = cli("--store", store, *wrong)
    assert (code, "is no row; write a JSON object" in said) == (2, True)
    code, _, said = cli("--store", store, "deployments", "status", "nothing")
    assert (code, "no deployment is named" in said) == (3, True)


def test_a_folder_is_registered(cli: Cli, store: str, tmp_path: Path) -> None:
    with palio.connect(store) as opened:
        signature = opened.versions.get("credit:v1").signature
    assert signature is not None
    package(servers.model(0.3), tmp_path, signature)
    written = tmp_path.parent / f"{tmp_path.name}.json"
    written.write_bytes(msgspec.json.encode(signature))
    code, out, err = cli("--store", store, "models", "register", "credit", tmp_path,
                         "--version", "v3", "--signature", written)  # fmt: skip
    assert (code, out) == (0, "credit:v3 is registered\n"), err
    code, out, _ = cli("--store", store, "predict", "credit", "[[1,2,3]]", "--version", "v3")
    assert (code, "credit:v3" in out) == (0, True)


def test_rows_may_come_from_standard_input(home: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "palio", "--store", home, "predict", "credit", "-", "--json"],
        input="[[1, 2, 3], [0, 0, 0]]",
        env=servers.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=servers.PATIENCE_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(json.loads(done.stdout)["predictions"]) == 2


def test_a_process_that_fails_ends_with_its_code(home: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "palio", "--store", home, "models", "show", "credit:v9"],
        env=servers.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=servers.PATIENCE_S,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        "error: credit has no version 'v9'; `palio models versions credit` shows them\n"
    )


def test_a_broken_chain_ends_with_one(cli: Cli, home: str) -> None:
    connection = sqlite3.connect(home)
    connection.execute("UPDATE audit_entries SET reason = 'forged' WHERE seq = 2")
    connection.commit()
    connection.close()
    code, out, err = cli("--store", home, "audit", "verify")
    assert (code, out) == (1, "")
    assert err == "entry 2: its content was edited\n"
    code, out, _ = cli("--store", home, "audit", "verify", "--json")
    assert (code, json.loads(out)["broken"]["seq"]) == (1, 2)


DEEP = "[" * 50_000 + "]" * 50_000


@pytest.mark.parametrize(
    ("arguments", "ending"),
    [
        (["predict", "credit", "{"], (2, "the rows are no JSON")),
        (["predict", "credit", DEEP], (2, "the rows are no JSON")),
        (["predict", "credit", '["\\ud800"]'], (2, "the rows are no JSON")),
        (["predict", "nothing", "[[1]]"], (3, "no endpoint is named 'nothing'")),
        (["predict", "credit", "[[1,2,3]]", "--unit", ""], (2, "unit must have 1 to 256 char")),
        (["models", "register", "credit", "nowhere", "--version", "v3"], (2, "cannot be read")),
        (["lifecycles", "declare", "nowhere.json"], (2, "nowhere.json: ")),
        (["models", "move", "credit:v1", "nowhere"], (2, "'nowhere' is no stage")),
        (["models", "promote", "credit:v2", "--expected", "v9"], (4, "points at v1, not at v9")),
        (["models", "show", "credit"], (2, "'credit' is no reference")),
        (["endpoints", "clear", "credit"], (4, "has no override; nothing to clear")),
        (["endpoints", "weigh", "credit", "v1"], (2, "write VERSION=SHARE")),
        (["endpoints", "unload", "credit", "v1"], (4, "credit does not hold v1")),
        (["endpoints", "create", "credit", "--model", "credit"], (4, "exists; take another name")),
        (["experiments", "ship", "nothing"], (3, "no experiment has the key 'nothing'")),
        (["experiments", "analyze", "nothing"], (3, "no experiment has the key 'nothing'")),
        (["experiments", "draft", "e", "--endpoint", "credit", "--goal", "brier", "--variant",
          "a"], (2, "'a' is not of the form key=version:weight")),
        (["experiments", "draft", "e", "--endpoint", "credit", "--goal", "nothing", "--variant",
          "a=v1:0.5", "--variant", "b=v2:0.5"], (2, "'nothing' is no metric")),
        (["experiments", "draft", "e", "--endpoint", "credit", "--goal", "brier", "--variant",
          "a=v1:-0.5", "--variant", "b=v2:1.5"], (2, "must be finite and >= 0, got -0.5")),
        (["keys", "create", "k", "--expires-in-days", "-1"], (2, "must be above 0")),
        (["keys", "create", " "], (2, "name is empty")),
        (["keys", "revoke", "key_nothing"], (3, "no key has the id 'key_nothing'")),
        (["outcomes", "record", "1"], (2, "give request_id or unit, not both")),
        (["outcomes", "record", "null", "--unit", "u"], (2, "is no number, truth value or label")),
    ],
)  # fmt: skip
def test_errors_are_one_line_with_their_code(
    cli: Cli, shared: World, arguments: list[str], ending: tuple[int, str]
) -> None:
    code, said = ending
    for store in (shared.store, shared.address):
        ended, out, err = cli("--store", store, *arguments)
        assert (ended, out) == (code, ""), err
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert said in err
        ended, out, err = cli("--store", store, *arguments, "--json")
        assert (ended, out) == (code, "")
        assert said in json.loads(err)["detail"]


@pytest.mark.parametrize(
    ("store", "code", "said"),
    [
        ("http://127.0.0.1:1", 7, "is `palio serve` running there?"),
        ("nowhere/palio.db", 2, "the folder of nowhere/palio.db does not exist"),
        ("mysql://x", 2, "no store speaks 'mysql'"),
        ("http://[::1", 2, "is no address of a server"),
    ],
)
def test_stores_that_are_none(cli: Cli, store: str, code: int, said: str) -> None:
    ended, out, err = cli("--store", store, "models", "list")
    assert (ended, out) == (code, "")
    assert said in err


def test_a_record_that_cannot_be_written(cli: Cli, home: str, tmp_path: Path) -> None:
    with palio.connect(home) as opened:
        opened.experiments.draft(servers.design("e"))
        opened.experiments.start("e")
        opened.experiments.stop("e", "enough")
    target = tmp_path / "no" / "such" / "folder.json"
    code, _, err = cli("--store", home, "experiments", "record", "e", "--file", target)
    assert code == 2
    assert str(target) in err


def test_settings_that_cannot_be_read(
    cli: Cli, home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PALIO_PORT", "many")
    code, _, err = cli("--store", home, "models", "list")
    assert code == 2
    assert "setting PALIO_PORT" in err
    assert "'many'" in err


def test_a_defect_is_no_traceback(cli: Cli, home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(platform, "connect", fail)
    code, out, err = cli("--store", home, "models", "list")
    assert (code, out) == (70, "")
    assert "a defect of Palio: ZeroDivisionError: oh; set PALIO_DEBUG=1 to see where" in err
