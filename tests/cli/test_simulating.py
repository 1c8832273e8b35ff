"""`palio experiments simulate`: its numbers are those of the split, and nothing is recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.e2e.worlds import World

from palio.bucketing import Split
from palio.experiments.designs.assignment import Namespace
from palio.experiments.designs.audience import Condition
from palio.experiments.designs.design import ExperimentDraft, Metrics, Variant

Cli = Callable[..., tuple[int, str, str]]
Told = Callable[..., Any]

SIMULATE = ("experiments", "simulate")
OLD = ("--weights", "control=0.95,challenger=0.05")
NEW = ("--to", "control=0.8,challenger=0.2")


def test_shares_and_moves(told: Told) -> None:
    found = told(*SIMULATE, *OLD, *NEW, "--count", 20_000, "--salt", "s")
    units = [f"unit-{number}" for number in range(20_000)]
    old, new = (
        Split.of(salt="s", weights=weights).assign_many(units)
        for weights in ({"control": 0.95, "challenger": 0.05}, {"control": 0.8, "challenger": 0.2})
    )
    assert (found["experiment"], found["units"], found["outside"]) == (None, 20_000, {})
    for one, weight in zip(found["variants"], (0.95, 0.05), strict=True):
        n = int((old == one["variant"]).sum())
        assert (one["units"], one["share"], one["weight"]) == (n, n / 20_000, weight)
        error = sqrt(weight * (1 - weight) / 20_000)
        assert one["z"] == pytest.approx((n / 20_000 - weight) / error)
        assert abs(one["z"]) < 4
    moved = {(one["source"], one["target"]): one["units"] for one in found["moves"]}
    assert moved == {
        ("control", "control"): int(((old == "control") & (new == "control")).sum()),
        ("control", "challenger"): int(((old == "control") & (new == "challenger")).sum()),
        ("challenger", "challenger"): int((old == "challenger").sum()),
    }


def test_who_takes_no_part_and_why(told: Told) -> None:
    found = told(*SIMULATE, *OLD, "--count", 10_000, "--coverage", 0.5, "--namespace", "n:0-2500")
    assert list(found["outside"]) == ["namespace", "coverage"]
    inside = sum(one["units"] for one in found["variants"])
    assert inside + sum(found["outside"].values()) == found["units"] == 10_000
    assert abs(inside / 10_000 - 0.125) <= 4 * sqrt(0.125 * 0.875 / 10_000)


def test_people_read_it(cli: Cli) -> None:
    code, out, _ = cli(*SIMULATE, *OLD, *NEW, "--count", 20_000, "--coverage", 0.5)
    assert code == 0
    assert "of 20,000 units take part (" in out
    assert "do not because of the coverage" in out
    assert "from / to" in out
    moved = float(out.rsplit("\n", 2)[-2].split("%")[0])
    assert moved == pytest.approx(7.5, abs=4 * 100 * sqrt(0.075 * 0.925 / 20_000))


def test_units_of_a_file(told: Told, tmp_path: Path) -> None:
    file = tmp_path / "units.txt"
    file.write_text("Zoë\n用户\n\nu1\nu1\n", "utf-8")
    assert told(*SIMULATE, *OLD, "--units", file)["units"] == 3


def designs() -> list[ExperimentDraft]:
    variants = (Variant("control", "v1", 0.5), Variant("challenger", "v2", 0.5))
    return [
        ExperimentDraft(
            key=key,
            endpoint="credit",
            variants=variants,
            metrics=Metrics("brier"),
            holdout=0.1,
            namespace=Namespace("n", start, stop),
            audience=(Condition.parse("age >= 18"),),
        )
        for key, start, stop in (("a", 0, 5_000), ("b", 5_000, 8_000), ("c", 4_000, 9_000))
    ]


def test_an_experiment_beside_another(world: World, cli: Cli, told: Told) -> None:
    with world.opened() as opened:
        for one in designs():
            opened.experiments.draft(one)
        opened.experiments.start("a")
        before = opened.audit.verify().entries
        array = opened.experiments.get("b").assigner().assign_many(
            [f"unit-{n}" for n in range(5_000)], [{"age": 20}] * 5_000
        )  # fmt: skip
    store = ("--store", world.store)
    found = told(*store, *SIMULATE, "b", "--count", 5_000)
    assert [one["units"] for one in found["variants"]] == [
        int(np.sum(array == key)) for key in ("control", "challenger")
    ]
    assert list(found["outside"]) == ["holdout", "namespace"]
    [beside] = found["neighbours"]
    assert (beside["experiment"], beside["in_both"]) == ("a", 0)
    assert abs(beside["units"] / 5_000 - 0.45) <= 4 * sqrt(0.45 * 0.55 / 5_000)
    [beside] = told(*store, *SIMULATE, "c", "--count", 5_000)["neighbours"]
    assert abs(beside["in_both"] / 5_000 - 0.09) <= 4 * sqrt(0.09 * 0.91 / 5_000)
    code, out, _ = cli(*store, *SIMULATE, "c", "--count", 500, *NEW)
    assert code == 0
    assert "the audience is not asked" in out
    assert "runs beside it" in out
    with world.opened() as opened:
        assert opened.audit.verify().entries == before
        assert opened.experiments.analyze("a").arms[0].units == 0


def test_a_sticky_experiment_keeps_its_units(world: World, cli: Cli, told: Told) -> None:
    with world.opened() as opened:
        kept = replace(designs()[0], key="kept", audience=(), sticky=True)
        opened.experiments.draft(kept)
    asked = ("--store", world.store, *SIMULATE, "kept", "--count", 500, "--to")
    stays = [(one["source"], one["target"]) for one in told(*asked, NEW[1])["moves"]]
    assert stays == [(key, key) for key in ("", "challenger", "control")]
    moves = told(*asked, "control=0,challenger=1")["moves"]
    gone = [(one["source"], one["target"]) for one in moves]
    assert gone == [("", ""), ("challenger", "challenger"), ("control", "challenger")]
    _, out, _ = cli(*asked, NEW[1])
    assert "then keep their variant unless its weight becomes 0" in out
    assert "0.00% of the units move" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--count", 5], "give the key of an experiment or --weights, one of them"),
        (["key", *OLD, "--count", 5], "give the key of an experiment or --weights, one of them"),
        ([*OLD], "give --units or --count, one of them"),
        ([*OLD, "--count", 5, "--units", "x"], "give --units or --count, one of them"),
        (["key", "--count", 5, "--coverage", 0.5], "--coverage is of use with --weights only"),
        (["--weights", "control", "--count", 5], "--weights 'control' is not of the form"),
        (["--weights", "a=0.5", "--count", 5], "weights of a split must sum to 1, got 0.5"),
        ([*OLD, "--to", "a=x", "--count", 5], "--to 'a=x' is not of the form"),
        ([*OLD, "--count", 5, "--coverage", 0], r"--coverage must be in (0, 1], got 0"),
        ([*OLD, "--count", 5, "--namespace", "n:"], "'n:' is no range of a namespace"),
        ([*OLD, "--count", 5, "--namespace", "n:5-5"], "slots must be 0 <= start < stop"),
    ],
)
def test_what_cannot_be_simulated(cli: Cli, arguments: list[Any], message: str) -> None:
    code, out, err = cli(*SIMULATE, *arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_files_that_have_no_units(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "units"
    for content, message in ((b"\n\n", "has no unit; write one a line"), (b"\xff", "no text in")):
        file.write_bytes(content)
        code, _, err = cli(*SIMULATE, *OLD, "--units", file)
        assert code == 2
        assert message in err
    code, _, err = cli(*SIMULATE, *OLD, "--units", tmp_path / "nothing")
    assert code == 2
    assert "No such file" in err
