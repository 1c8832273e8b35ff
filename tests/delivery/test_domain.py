"""Which version answers: one order, whatever else is configured."""

from __future__ import annotations

import itertools

import pytest

from palio.bucketing import Split
from palio.delivery.domain import Choice, Route, Table
from palio.errors import NotFound

SPLIT = Split.of(salt="s", weights={"control": 0.25, "challenger": 0.75})
VERSIONS = {"control": "1", "challenger": "2"}


def route(*, override: bool, experiment: bool, champion: bool) -> Route:
    return Route(
        endpoint="credit",
        model="m",
        champion="champ" if champion else None,
        override="over" if override else None,
        experiment="exp" if experiment else None,
        epoch=3 if experiment else 0,
        split=SPLIT if experiment else None,
        variants=VERSIONS if experiment else {},
    )


# design.md, section 3: the version named in the request; an operator's override; the running
# experiment; the alias champion
@pytest.mark.parametrize(
    ("asked", "override", "experiment", "champion"), [*itertools.product([True, False], repeat=4)]
)
def test_the_order(*, asked: bool, override: bool, experiment: bool, champion: bool) -> None:
    table = route(override=override, experiment=experiment, champion=champion)
    version = "asked" if asked else None
    if asked or override:
        assert table.choose("u", version) == Choice("m", "asked" if asked else "over")
    elif experiment:
        variant = SPLIT.assign("u")
        share = {"control": 0.25, "challenger": 0.75}[variant]
        assert table.choose("u") == Choice("m", VERSIONS[variant], "exp", variant, 3, share)
    elif champion:
        assert table.choose("u") == Choice("m", "champ")
    else:
        with pytest.raises(NotFound, match="credit has nothing to serve: m has no champion"):
            table.choose("u")


def test_an_experiment_follows_its_split() -> None:
    table = route(override=False, experiment=True, champion=True)
    units = [f"u{number}" for number in range(500)]
    chosen = [table.choose(unit) for unit in units]
    assert [choice.variant for choice in chosen] == SPLIT.assign_many(units).tolist()
    assert {choice.version for choice in chosen} == {"1", "2"}


def test_versions_that_may_be_chosen() -> None:
    assert route(override=True, experiment=True, champion=True).versions == [
        "1",
        "2",
        "champ",
        "over",
    ]
    assert route(override=False, experiment=False, champion=False).versions == []


def test_a_table_knows_its_routes() -> None:
    known = route(override=False, experiment=False, champion=True)
    table = Table(7, {"credit": known})
    assert table.route("credit") is known
    with pytest.raises(NotFound, match="palio endpoints create nowhere"):
        table.route("nowhere")
