"""`palio predict`: what is said of the unit, and a variant that is tried."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.e2e import servers
from tests.e2e.worlds import World

from palio.experiments.designs.audience import Condition

Cli = Callable[..., tuple[int, str, str]]
ROWS = "[[1, 2, 3]]"


@pytest.fixture
def asked(world: World) -> tuple[str, ...]:
    """The start of a command, on an experiment for Dutch adults."""
    audience = (Condition.parse("country = NL"), Condition.parse("age >= 18"))
    with world.opened() as opened:
        opened.experiments.draft(servers.design("e", audience=audience))
        opened.experiments.start("e")
    return ("--store", world.store, "predict", "credit", ROWS)


def test_attributes(asked: tuple[str, ...], told: Callable[..., Any]) -> None:
    inside = told(*asked, "--attribute", "country=NL", "--attribute", "age=41")
    outside = told(*asked, "--attribute", "country=NL", "--attribute", "age=5")
    assert (inside["experiment"], outside["experiment"]) == ("e", None)


def test_a_variant(asked: tuple[str, ...], told: Callable[..., Any]) -> None:
    assert told(*asked, "--variant", "challenger")["version"] == "v2"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--attribute", "country"], "--attribute 'country' is not of the form name=value"),
        (["--attribute", "=NL"], "--attribute '=NL' is not of the form name=value"),
        (["--variant", "third"], "variant 'third' is not one of what runs on credit: e/control"),
        (["--variant", "control", "--version", "v1"], "version and variant exclude each other"),
    ],
)
def test_misuse(asked: tuple[str, ...], cli: Cli, options: list[str], message: str) -> None:
    code, out, err = cli(*asked, *options)
    assert (code, out) == (2, "")
    assert message in err
