"""What SQL finds is what asking every version finds: in order, and over all pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from palio.delivery.ports import DeliveryUnit
from palio.ports import Store
from palio.registry.domain import AliasMove, Manifest, MoveKind, Version
from palio.registry.search.fields import MAX_TEXT
from palio.registry.search.pages import Key, Order
from palio.registry.search.query import All, Condition, Either, Node, Not, Query
from palio.storage.store import SqlStore
from palio.testing.memory import MemoryStore
from palio.testing.records import ODD, RECORDS

WHEN = datetime(2026, 11, 1, tzinfo=UTC)
LONG = "é" * MAX_TEXT
MODELS = [
    replace(RECORDS["models"][0], name=name, deleted_at=deleted_at)
    for name, deleted_at in (("m", None), ("n", None), ("o", WHEN))
]
PLAIN = Version(
    model="m",
    version="0",
    ordinal=1,
    stage="development",
    flavor="plain",
    signature=None,
    manifest=Manifest((), ""),
    metrics={},
    training={},
    tags={},
    description="",
    created_at=WHEN,
    created_by="ann",
)

# Few values, so that they meet: blanks at the end, case, accents, wildcards, long tails.
WORDS = st.sampled_from(["", "a", "A", "b", "a ", "ab", "é", "e\u0301", "%", "_", "🦉", ODD])
TAGS = st.sampled_from(["", "a", "b", "a\0b", LONG + "a", LONG + "b"])
LONGER = st.sampled_from(["", "a", "ab", LONG + "a", LONG + "b", LONG])
NUMBERS = st.sampled_from([-0.0, 0.0, 0.1 + 0.2, 0.3, 1.0, -1.0, 5e-324, 1.7e308, 2.0**53 + 2])
TIMES = st.sampled_from([WHEN, WHEN + timedelta(microseconds=1), WHEN - timedelta(days=9_999)])


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Version], list[AliasMove]]:
    """Return versions of two models, and moves of their aliases."""
    fields = st.fixed_dictionaries(
        {
            "model": st.sampled_from(["m", "m", "n", "o"]),
            "stage": st.sampled_from(["development", "production"]),
            "description": LONGER,
            "framework": WORDS,
            "parent": st.none() | WORDS,
            "metrics": st.dictionaries(st.sampled_from(["auc", "roc auc"]), NUMBERS),
            "backtest": st.dictionaries(st.sampled_from(["auc"]), NUMBERS),
            "tags": st.dictionaries(st.sampled_from(["team", "auc"]), WORDS | TAGS),
            "created_at": TIMES,
            "deleted_at": st.sampled_from([None, None, WHEN]),
        }
    )
    versions = [
        replace(PLAIN, version=str(number), ordinal=number % 3, **found)
        for number, found in enumerate(draw(st.lists(fields, max_size=9)))
    ]
    if not versions:
        return [], []
    steps = st.tuples(
        st.sampled_from(["champion", "a", "é"]), st.sampled_from(versions), st.booleans()
    )
    moves = [
        AliasMove(
            model=version.model,
            alias=alias,
            seq=seq,
            kind=MoveKind.SET if points else MoveKind.CLEARED,
            version=version.version if points else None,
            previous=None,
            at=WHEN,
            actor="ann",
        )
        for seq, (alias, version, points) in enumerate(draw(st.lists(steps, max_size=6)))
    ]
    return versions, moves


def conditions() -> st.SearchStrategy[Condition]:
    texts = ("model", "version", "stage", "framework", "description", "parent", "alias")
    marks = ["=", "!=", "<", "<=", ">", ">="]
    return st.one_of(
        _about([*texts, "tags.team", "tags.auc", "tags.none"], [*marks, "contains"], WORDS),
        _about(["metrics.auc", "metrics.roc auc", "backtest.auc", "ordinal"], marks, NUMBERS),
        _about(["created_at"], marks, TIMES.map(lambda at: at.isoformat(timespec="microseconds"))),
        _about(["deleted"], ["=", "!="], st.sampled_from([0.0, 1.0])),
    )


def _about(fields: list[str], marks: list[str], values: st.SearchStrategy[object]) -> object:
    several = st.lists(values, min_size=1, max_size=3).map(tuple)
    one = st.builds(
        Condition, st.sampled_from(fields), st.sampled_from(marks), values.map(lambda v: (v,))
    )
    return one | st.builds(
        Condition, st.sampled_from(fields), st.sampled_from(["in", "not in"]), several
    )


def nodes() -> st.SearchStrategy[Node]:
    def around(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
        parts = st.lists(inner, min_size=2, max_size=3).map(tuple)
        return st.builds(All, parts) | st.builds(Either, parts) | st.builds(Not, inner)

    return st.recursive(conditions(), around, max_leaves=6)


ORDERS = st.lists(
    st.builds(
        Key,
        st.sampled_from(
            ["metrics.auc", "tags.team", "stage", "description", "created_at", "ordinal", "parent"]
        ),
        st.booleans(),
    ),
    max_size=3,
).map(lambda keys: Order(tuple(keys)))


def found(
    store: Store[DeliveryUnit], query: Query, order: Order, size: int
) -> list[tuple[str, str]]:
    """Walk all pages, by the tokens that a caller would send."""
    names: list[tuple[str, str]] = []
    token = ""
    while True:
        with store.read() as unit:
            page = unit.versions.search(
                query, order=order, limit=size, after=order.place_of(token)
            )
        names += [(version.model, version.version) for _, version in page]
        if len(page) < size:
            return names
        arrival, last = page[-1]
        token = order.token(order.place(last, arrival))


def fill(
    store: Store[DeliveryUnit], versions: Sequence[Version], moves: Sequence[AliasMove]
) -> None:
    with store.write() as unit:
        unit.models.put_many(MODELS)
        for place, version in enumerate(versions):  # as something else first: facts must change
            before = replace(version, tags={"gone": "x"}, stage="testing", metrics={"auc": 7.0})
            if place % 2:
                unit.versions.add(before)
            else:
                unit.versions.add_missing([before, version])
        unit.versions.put_many(versions)
        unit.alias_moves.put_many(moves)


def empty(store: SqlStore) -> None:
    with store.engine.begin() as connection:
        for table in ("alias_moves", "versions", "version_facts", "models"):
            connection.exec_driver_sql(f"DELETE FROM {table}")


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(world=worlds(), asked=st.lists(st.tuples(nodes(), ORDERS), min_size=4, max_size=4),
       size=st.integers(1, 4))  # fmt: skip
def test_sql_finds_what_memory_finds(
    sql_store: SqlStore,
    world: tuple[list[Version], list[AliasMove]],
    asked: list[tuple[Node, Order]],
    size: int,
) -> None:
    memory = MemoryStore()
    empty(sql_store)
    for store in (memory, sql_store):
        fill(store, *world)
    for node, order in [*asked, (None, asked[0][1]), (asked[0][0], Order())]:
        query = Query(node)
        expected = found(memory, query, order, 100)
        assert found(sql_store, query, order, 100) == expected
        assert found(sql_store, query, order, size) == expected
        assert found(memory, query, order, size) == expected
