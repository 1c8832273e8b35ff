"""The language: what it takes, what it means, how it says what is wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palio.errors import InvalidInput
from palio.registry.domain import Manifest, Version
from palio.registry.search.fields import FIELDS, MAX_TEXT, facts_of
from palio.registry.search.parsing import parse_query
from palio.registry.search.query import Query

VERSION = Version(
    model="credit",
    version="v10",
    ordinal=10,
    stage="staging",
    flavor="sklearn",
    signature=None,
    manifest=Manifest((), ""),
    metrics={"auc": 0.85, "roc auc": 0.5, "f1-score": 0.25, "val.loss": 1.5},
    training={},
    tags={"team": "risk", "note": "it's"},
    description="The second one, with Älter",
    created_at=datetime(2026, 11, 1, 12, tzinfo=UTC),
    created_by="ann",
    type="classification",
    framework="",
    backtest={"profit": -3e6},
    parent="credit:v9",
)
HOLDS = [
    "",
    "  ",
    "model = 'credit'",
    "version = 'v10' and ordinal = 10 and ordinal in (1, 10)",
    "STAGE IN ('staging', 'testing') AND NOT flavor = 'plain'",
    "metrics.auc > 0.8 and tags.team = 'risk'",
    "metrics.auc>.8 and(tags.team='risk')",
    "metrics.auc >= 8.5e-1 and metrics.auc <= 0.85 and not metrics.auc < 0.85",
    'metrics."roc auc" = 0.5 and metrics.`roc auc` == 0.5 and metrics."auc" <> 0',
    "metrics.f1-score < +0.3 and metrics.val.loss > 1",
    "backtest.profit < -1000000",
    "tags.note = 'it''s'",
    "description contains 'second' and description contains 'Älter'",
    "not description contains 'SECOND'",  # texts keep their case
    "alias = 'champion' and alias != 'champion'",  # of several, any one
    "alias in ('shadow') and not alias = 'none'",
    "created_at >= '2026-11-01' and created_at < '2026-11-01T14:00:01+02:00'",
    "created_at in ('2026-11-01T12:00:00Z')",
    "framework = '' and not framework = 'pytorch'",
    "parent = 'credit:v9'",
    "deleted = false and deleted != true",
    "deleted in (true, false)",
    "not (stage = 'testing' or stage = 'production')",
    "not not stage = 'staging'",
    "stage = 'x' and stage = 'y' or stage = 'staging'",  # `and` binds closer than `or`
    "stage = 'staging' or stage = 'x' and stage = 'y'",
    "not stage = 'x' and stage = 'staging'",  # and `not` closest
    "not metrics.none > 1 and not metrics.none <= 1 and not metrics.none != 1",
    "not approved_by = 'bob' and not approved_by != 'bob' and not approved_by not in ('bob')",
]
HOLDS_NOT = [
    "metrics.none != 1",
    "tags.none not in ('a')",
    "approved_by != 'bob'",
    "tags.team = 'Risk'",
    "tags.team contains 'risks'",
    "stage = 'staging' and (stage = 'x' or stage = 'y')",
    "not (stage = 'staging' or stage = 'x')",
    "version < 'v1'",  # texts compare letter by letter
    "deleted = true",
    "alias = 'Champion'",
]


@pytest.mark.parametrize("where", HOLDS)
def test_what_holds(where: str) -> None:
    assert parse_query(where).admits(VERSION, ["shadow", "champion"])


@pytest.mark.parametrize("where", HOLDS_NOT)
def test_what_does_not_hold(where: str) -> None:
    assert not parse_query(where).admits(VERSION, ["champion"])


def test_no_alias_holds_nothing() -> None:
    assert not parse_query("alias != 'x'").admits(VERSION)
    assert parse_query("not alias = 'x'").admits(VERSION)


def test_deleted_versions_are_found_when_asked_for() -> None:
    gone = replace(VERSION, deleted_at=datetime(2026, 12, 1, tzinfo=UTC))
    for where, found in {
        "": False,
        "stage = 'staging'": False,
        "not stage = 'x'": False,
        "deleted = true": True,
        "stage = 'staging' and deleted in (true, false)": True,
        "deleted = false": False,
    }.items():
        assert parse_query(where).admits(gone) is found, where


def test_versions_of_deleted_models_are_deleted() -> None:
    for where in ("", "stage = 'staging'", "deleted = false", "deleted != true"):
        assert parse_query(where).knowing([]).admits(VERSION)
        assert not parse_query(where).knowing(["credit"]).admits(VERSION)
        assert parse_query(where).knowing(["other"]).admits(VERSION)
    for where in ("deleted = true", "deleted != false", "deleted in (false, true)"):
        assert parse_query(where).knowing(["credit"]).admits(VERSION)
    assert not parse_query("deleted not in (true, false)").knowing(["x"]).admits(VERSION)


WRONG = {
    "stage": "stage takes = == != <> < <= > >=, in, not in or contains; at character 6, near",
    "stage =": "expected a text in single quotes, as in 'risk', found the end; at character 8",
    "stage = staging": "expected a text in single quotes, as in 'risk', found 'staging'; at "
    "character 9, near 'stage = »staging'",
    'stage = "staging"': '" stands around names, as in metrics."roc auc"; texts stand in single',
    "stage = 'staging": "this quote is not closed; a quote inside a text is written ''",
    "stag = 'x'": "no field is named 'stag'; did you mean 'stage'?; at character 1",
    "metric.auc > 1": "no field is named 'metric.auc'; did you mean 'metrics.auc'?",
    "metrics > 1": 'metrics needs a name, as in metrics.x or metrics."x y"',
    "zzz = 1": "no field is named 'zzz'; there are model, version, stage,",
    "metrics.auc > '1'": "expected a number, as in 0.8, found \"'1'\"",
    "metrics.auc > 1e999": "expected a number, as in 0.8, found '1e999'",
    "metrics.auc contains 'a'": "contains looks into texts, and metrics.auc is a number",
    "tags.team > 5": "expected a text in single quotes",
    "ordinal > 1.2.3": "'1' has no meaning here",
    "created_at > 'yesterday'": "expected a day or moment in single quotes, as in '2026-11-01'",
    "created_at > '0001-01-01T00:00:00+23:00'": "expected a day or moment",
    "deleted > true": "deleted takes = == != <>",
    "deleted = 1": "expected true or false, found '1'",
    "stage in 'x'": "expected ( and a list of values, found \"'x'\"",
    "stage in ()": "expected a text in single quotes, as in 'risk', found ')'",
    "stage in ('a' 'b')": "expected , and another value, or the ) that closes the list",
    "stage not 'x'": "expected in, found \"'x'\"",
    "(stage = 'x'": "expected and, or, or the ) that closes the bracket, found the end",
    "stage = 'x')": "expected and, or, or the end, found ')'; at character 12",
    "stage = 'x' stage = 'y'": "expected and, or, or the end, found 'stage'",
    "and": "no field is named 'and'",
    "()": "expected the name of a field, found ')'",
    "= 'x'": "expected the name of a field, found '='",
    "stage = 'x' or": "expected the name of a field, found the end",
    "stage = 'x';": "';' has no meaning here; at character 12",
    "a\0b": "this character cannot be searched for; at character 2",
    "\ud800": "this character cannot be searched for; at character 1",
    "(" * 14 + "stage = 'x'" + ")" * 14: "this is nested deeper than 12; ask in steps",
    "not " * 3_000: "it has 12000 characters, of at most 4000",
    " or ".join(["ordinal = 1"] * 31): "more than 30 conditions; ask in steps",
    f"ordinal in ({', '.join(['1'] * 101)})": "more than 100 values in one list",
    f"stage = '{'x' * MAX_TEXT}'": f"a text has at most {MAX_TEXT - 1} characters",
    f"tags.{'x' * 200} = 'x'": "names have at most 200 characters",
}


@pytest.mark.parametrize("where", WRONG)
def test_what_is_wrong_is_told_with_its_place(where: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_query(where)
    assert str(caught.value).startswith("where: ")
    assert WRONG[where] in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert caught.value.details["field"] == "where"
    assert 1 <= int(str(caught.value.details["position"])) <= len(where) + 1


@given(st.text() | st.lists(st.sampled_from(
    ["metrics.auc", "tags.`a b`", "stage", "=", "in", "not", "and", "or", "(", ")", ",", "'x'",
     "1", "contains", "deleted", "true", "<=", "'",
     '"', "created_at", "'2026-11-01'"]), max_size=12)
    .map(" ".join))  # fmt: skip
def test_any_text_is_understood_or_refused(where: str) -> None:
    try:
        query = parse_query(where)
    except InvalidInput:
        return
    assert query.admits(VERSION) in (True, False)
    assert isinstance(query, Query)


def test_every_field_can_be_asked() -> None:
    values = {"created_at": "'2026-11-01'", "ordinal": "1", "deleted": "true"}
    for field in FIELDS:
        assert parse_query(f"{field} = {values.get(field, repr('x'))}").where is not None
    missing = {"alias", "approved_by"}  # of this version
    assert FIELDS.keys() - facts_of(VERSION).keys() == missing
