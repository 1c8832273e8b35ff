"""``palio lifecycles``: files read with care, drawings, and what versions lack."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import servers

from palio.access.domain import Role
from palio.registry.lifecycle import BUILTIN, STANDARD

Cli = Callable[..., tuple[int, str, str]]
CREDIT = """\
name: credit
initial: draft
production: live
retired: old
transitions:
  draft: [staging, rejected]
  staging: [live, rejected]
  live: [old]
  old: [live, archived]
  archived: []
  rejected: []
requires:
  staging:
    - {metric: auc, at_least: 0.75}
  live:
    - {metric: ece, at_most: 0.05}
    - {approval: four_eyes}
    - signature: declared
aliases:
  shadow: admin
"""
DRAWN = """\
credit

○ draft     initial: registered versions
│   → rejected
▼
○ staging
│   requires metric auc at least 0.75
│   → rejected
▼
★ live      production, @champion
│   requires metric ece at most 0.05
│   requires approval: someone other than its creator
│   requires signature: features and task
▼
○ old       retired: former champions
│   → live
▼
■ archived  end

■ rejected  end

@shadow is set by admin
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "credit.yaml"
    path.write_text(CREDIT)
    return path


@pytest.fixture(params=["file", "server"])
def store(request: pytest.FixtureRequest, home: str) -> Iterator[str]:
    """A store as a file, then the address of a server on it."""
    if request.param == "file":
        yield home
        return
    with servers.serving(home) as address:
        yield address


def test_a_lifecycle_is_checked_without_a_store(cli: Cli, file: Path) -> None:
    assert cli("--store", "/nonexistent/x.db", "lifecycles", "check", file) == (
        0,
        f"{DRAWN}\nit holds\n",
        "",
    )


def test_a_lifecycle_is_declared_and_drawn(cli: Cli, store: str, file: Path) -> None:
    def say(*arguments: object) -> str:
        code, out, err = cli("--store", store, *arguments)
        assert code == 0, err
        return out

    assert say("lifecycles", "declare", file) == "lifecycle credit is declared\n"
    assert say("lifecycles", "show", "credit") == DRAWN
    shown = json.loads(say("lifecycles", "show", "credit", "--json"))
    assert shown["requires"]["live"][1] == {"approval": "four_eyes"}
    assert shown["aliases"] == {"shadow": Role.ADMIN}
    (file.parent / "again.json").write_text(json.dumps({**shown, "name": "again"}))
    assert "again is declared" in say("lifecycles", "declare", file.parent / "again.json")
    listed = json.loads(say("lifecycles", "list", "--json"))
    assert [one["name"] for one in listed] == [*BUILTIN, "credit", "again"]
    assert "credit     declared  1         draft, staging, live" in say("lifecycles", "list")
    assert say("lifecycles", "declare", file) == "lifecycle credit is declared\n"  # the same
    assert len(json.loads(say("lifecycles", "list", "--json"))) == len(listed)
    assert cli("--store", store, "lifecycles", "show", "none")[0] == 3


def test_what_a_version_lacks_is_listed(cli: Cli, store: str, file: Path, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a").write_bytes(b"a")
    for arguments in (
        ("lifecycles", "declare", file),
        ("models", "create", "loans", "--lifecycle", "credit"),
        ("models", "register", "loans", tmp_path / "files", "--version", "v1"),
    ):
        assert cli("--store", store, *arguments)[0] == 0
    ask = ("--store", store, "models", "requirements", "loans:v1")
    code, out, _ = cli(*ask)
    assert code == 1
    assert [line.split() for line in out.splitlines()[:3]] == [
        ["requirement", "wanted", "found", "met"],
        ["step", "in", "the", "lifecycle", "none", "no"],
        ["metric", "ece", "at", "most", "0.05", "none", "no"],
    ]
    assert out.splitlines()[3].startswith("approval     someone other than its creator  ")
    assert out.splitlines()[3].endswith("who created it  no ")
    assert out.splitlines()[5:] == [
        "loans:v1 is not ready for live",
        "loans:v1 cannot go from draft to live; allowed from draft: staging, rejected",
    ]
    assert cli(*ask, "rejected")[0] == 0
    code, out, _ = cli(*ask, "staging", "--json")
    assert (code, json.loads(out)["ready"], len(json.loads(out)["findings"])) == (1, False, 1)
    code, _, err = cli("--store", store, "models", "move", "loans:v1", "staging")
    assert (code, "metric auc: found none, wanted at least 0.75" in err) == (4, True)


def test_a_flowchart_for_markdown(cli: Cli, home: str) -> None:
    code, out, _ = cli("--store", home, "lifecycles", "show", "standard", "--mermaid")
    first, *lines = out.splitlines()
    assert (code, first) == (0, "flowchart TD")
    assert '    s4["production<br/>production, @champion"]' in lines
    steps = {tuple(line.split(" --> ")) for line in map(str.strip, lines) if "-->" in line}
    names = [f"s{number}" for number in range(len(STANDARD.stages))]
    assert steps == {
        (names[STANDARD.stages.index(source)], names[STANDARD.stages.index(to)])
        for source, targets in STANDARD.transitions.items()
        for to in targets
    }


def test_a_flowchart_survives_odd_names(cli: Cli, home: str, tmp_path: Path) -> None:
    odd = {
        "name": "odd",
        "initial": '<b>"a"#',
        "production": "p",
        "retired": "r",
        "transitions": {'<b>"a"#': ["p"], "p": ["r"], "r": []},
    }
    (tmp_path / "odd.json").write_text(json.dumps(odd))
    assert cli("--store", home, "lifecycles", "declare", tmp_path / "odd.json")[0] == 0
    _, out, _ = cli("--store", home, "lifecycles", "show", "odd", "--mermaid")
    # https://mermaid.js.org/syntax/flowchart.html, "Entity codes to escape characters"
    assert '    s0["#lt;b#gt;#quot;a#quot;#35;<br/>initial: registered versions"]' in out


@pytest.mark.parametrize(
    ("written", "become", "match"),
    [
        ("requires:", "requiers:", "requiers: a lifecycle has no such field; did you mean 'requ"),
        ("at_least", "at_lest", "requires.staging.0.at_lest: the field is unknown; did you mean"),
        ("  staging:\n", "  stagin:\n", "requires.stagin: lifecycle 'credit' has no such stage; "),
        ("rejected: []", "rejected:", "transitions.rejected is None; give a list of stages"),
        ("rejected: []", "rejected: [rejected]", "rejected can reach neither live nor an end"),
        (", rejected]", "]", "no steps lead from draft to rejected"),
        ("rejected: []", "draft: []", "line 6, column 3: a key comes twice in this mapping"),
        ("name: credit", "name: c\nname: d", "line 1, column 1: a key comes twice"),
        ("name: credit", "name: &a c\nx: *a", "line 2, column 4: write out what *a stands for"),
        ("name: credit", "name: !!python/name:os.system", "line 1, column 7: could not determine"),
        ("name: credit", "name: {{}: 1}", "line 1, column 8: found unhashable key"),
        ("name: credit", "name: \x07", "special characters are not allowed"),
        ("name: credit", "---\na: 1\n---", "line 3, column 1: but found another document"),
        ("name: credit", "name: [", "line 3, column 11: "),
        ("four_eyes", "four-eyes", "it can be 'four_eyes' only"),
        ("shadow: admin", "shadow: boss", "aliases.shadow is 'boss'; give a role: operator or"),
        ("0.75", ".nan", "requires.staging.0.at_least is nan; give a finite number"),
        (CREDIT, "", "Expected `object`, got `null`"),
        (CREDIT, "[" * 50_000, "maximum recursion depth exceeded"),
    ],
)
def test_a_mistake_is_named(
    cli: Cli, file: Path, *, written: str, become: str, match: str
) -> None:
    assert written in CREDIT
    file.write_text(CREDIT.replace(written, become))
    code, out, err = cli("lifecycles", "check", file)
    assert (code, out, match in err, err.count("\n")) == (2, "", True, 1), err


@pytest.mark.parametrize(
    ("content", "match"),
    [(None, "Is a directory"), (b"name: \xff", "unacceptable character"), (b"{", "truncated")],
)
def test_a_file_that_is_none(cli: Cli, tmp_path: Path, content: Any, match: str) -> None:
    path = tmp_path / ("x.json" if content == b"{" else "x.yaml")
    path.mkdir() if content is None else path.write_bytes(content)
    code, _, err = cli("lifecycles", "check", path)
    assert (code, err.startswith(f"error: {path}: "), match in err) == (2, True, True), err
