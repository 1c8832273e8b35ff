"""``palio models search``: a table, pages and JSON, on a file and through a server."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.e2e import servers

import palio
from palio.registry.domain import VersionDraft

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(params=["file", "server"])
def store(request: pytest.FixtureRequest, home: str, tmp_path: Path) -> Iterator[str]:
    """The versions credit:v1 and v2 of every test, and risk:a to risk:c with figures."""
    source = tmp_path / "files"
    source.mkdir()
    (source / "notes.txt").write_text("any file")
    with palio.connect(home) as opened:
        for name, auc in {"a": 0.7, "b": 0.9, "c": 0.8}.items():
            draft = VersionDraft(
                version=name, flavor="plain", metrics={"auc": auc}, tags={"team": f"[{name}]"}
            )
            opened.versions.register("risk", draft, source)
    if request.param == "file":
        yield home
        return
    with servers.serving(home) as address:
        yield address


def test_columns_are_those_asked_for(cli: Cli, store: str) -> None:
    code, out, err = cli("--store", store, "models", "search", "metrics.auc > 0.75",
                         "--order", "metrics.auc desc, tags.team")  # fmt: skip
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == ["version", "stage", "created", "by", "metrics.auc", "tags.team"]
    assert [(line.split()[0], line.split()[-2:]) for line in lines[1:]] == [
        ("risk:b", ["0.9", "[b]"]),
        ("risk:c", ["0.8", "[c]"]),
    ]
    assert cli("--store", store, "models", "search", "model = 'none'") == (
        0, "no version is like that\n", ""
    )  # fmt: skip


def test_pages_go_on_as_the_page_says(cli: Cli, store: str) -> None:
    command = ["models", "search", "not stage = 'it''s'", "--order", "model, version desc",
               "--limit", "2"]  # fmt: skip
    seen = []
    while command:
        code, out, err = cli("--store", store, *command)
        assert (code, err) == (0, "")
        _, *rows = out.splitlines()
        told = [row for row in rows if row.startswith("next page: palio ")]
        seen += [row.split()[0] for row in rows if row not in told]
        command = shlex.split(told[0].removeprefix("next page: palio ")) if told else []
    assert seen == ["credit:v2", "credit:v1", "risk:c", "risk:b", "risk:a"]


def test_programs_get_the_page(cli: Cli, store: str) -> None:
    code, out, err = cli("--store", store, "models", "search", "--limit", "2", "--json")
    page = json.loads(out)
    assert (code, err) == (0, "")
    assert [version["version"] for version in page["versions"]] == ["c", "b"]
    code, out, _ = cli("--store", store, "models", "search", "--after", page["next"], "--all",
                       "--json")  # fmt: skip
    rest = json.loads(out)
    assert (code, rest["next"]) == (0, "")
    assert [version["version"] for version in rest["versions"]] == ["a", "v2", "v1"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["metrics.acu >"], "where: expected a number, as in 0.8, found the end; at character 14"),
        (["stag = 'x'"], "where: no field is named 'stag'; did you mean 'stage'?"),
        (["--order", "auc"], "order: no field is named 'auc'"),
        (["--limit", "0"], "limit is 0; a page has 1 to 1000 versions"),
        (["--after", "x"], "after is not what a page gave as next; copy it whole"),
    ],
)
def test_what_is_wrong_is_one_line(cli: Cli, store: str, arguments: list[str], said: str) -> None:
    code, out, err = cli("--store", store, "models", "search", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {said}")
    assert err.count("\n") == 1
