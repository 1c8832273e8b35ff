"""Commands in this process, and a model behind an endpoint, with and without a server."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.e2e.worlds import home, shared, world, world_files

from palio import platform
from palio.cli.app import run

__all__ = ["cli", "home", "shared", "told", "world", "world_files"]

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command: exit code, what it printed, what it complained of."""

    def call(*arguments: object) -> tuple[int, str, str]:
        code = run(platform, [str(one) for one in arguments])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    return call


@pytest.fixture
def told(cli: Cli) -> Callable[..., Any]:
    """Run a command that succeeds silently, for what it tells programs."""

    def call(*arguments: object) -> Any:
        code, out, err = cli(*arguments, "--json")
        assert (code, err) == (0, "")
        return json.loads(out)

    return call
