"""Steps that tests of stores take: writing records, changes, running in threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from palio.access.audit import Change
from palio.delivery.ports import DeliveryUnit
from palio.errors import Conflict
from palio.experiments.designs.design import Variant
from palio.experiments.domain import State
from palio.experiments.events import LogEntry
from palio.ports import Collection, Store
from palio.registry.domain import AliasMove, Use
from palio.registry.service import Models
from palio.testing.records import KEYS, ODD, PARENTS, RECORDS, WHEN, prediction

__all__ = [
    "assert_chain",
    "change",
    "collection",
    "fill",
    "in_threads",
    "key_of",
    "move_often",
    "places",
    "plain_change",
    "put",
    "put_parents",
    "put_users",
    "words",
]


def put(store: Store[DeliveryUnit], name: str, records: Sequence[Any]) -> None:
    """Write records in one unit, after the records they name."""
    with store.write() as unit:
        put_parents(unit, name)
        collection(unit, name).put_many(records)


def put_parents(unit: DeliveryUnit, name: str) -> None:
    """Write the records that those of a collection name."""
    for parent in PARENTS.get(name, ()):
        collection(unit, parent).put_many(RECORDS[parent])


def put_users(store: Store[DeliveryUnit]) -> None:
    """Write endpoints and experiments, one in each state, on the model ``credit-risk``.

    The experiments compare ``v1`` and ``v2``; those that have started know ``king``.
    """
    plain, drafted = RECORDS["endpoints"][-1], RECORDS["experiments"][-1]
    variants = (Variant("control", "v1", 0.5), Variant("challenger", "v2", 0.5))
    design = replace(drafted.design, variants=variants)
    model = RECORDS["models"][0]
    states = [State.DRAFT, State.RUNNING, State.PAUSED, State.COMPLETED, State.STOPPED]
    with store.write() as unit:
        unit.models.put_many([replace(model, name=name) for name in ("credit-risk", "other")])
        unit.endpoints.put_many(
            [
                replace(plain, name="over", model="credit-risk", override="v"),
                replace(plain, name="plain", model="credit-risk"),
                replace(plain, name="elsewhere", model="other", override="v9"),
            ]
        )
        unit.experiments.put_many(
            replace(
                drafted,
                key=str(state),
                state=state,
                model="credit-risk",
                design=design,
                champion=None if state is State.DRAFT else "king",
            )
            for state in states
        )


def words(uses: Sequence[Use]) -> list[str]:
    """Return uses as words, in the order told."""
    return [f"{use.kind} {use.name}" for use in uses]


def key_of(name: str, record: Any) -> tuple[object, ...]:
    """Return a record's key."""
    return tuple(getattr(record, field) for field in KEYS[name])


def change(**fields: Any) -> Change:
    """Return a change with every field filled in."""
    full = {"before": {"stage": ODD, "n": 1}, "after": {"list": ["a", 0.1 + 0.2, None]}}
    return Change(**{**plain_change(), **full, "reason": ODD, **fields})


def plain_change() -> dict[str, Any]:
    """Return the fields of a change that must be given."""
    return {"at": WHEN, "actor": ODD, "action": "version.promote", "subject": ODD}


def fill(store: Store[DeliveryUnit], number: int) -> None:
    """Append predictions ``r0``, ``r1`` … each in a unit of its own."""
    for place in range(number):
        with store.write() as unit:
            unit.log.append([prediction(f"r{place}")])


def places(entries: Sequence[LogEntry], seqs: Sequence[int]) -> list[int]:
    """Return where entries stand among those appended."""
    return [seqs.index(entry.seq) for entry in entries]


def move_often(models: Models, thread: int) -> None:
    """Move the alias ``next`` five times by compare-and-set, again when somebody was faster."""
    done = 0
    while done < 5:
        now = models.aliases("m").get("next", "")
        try:
            models.set_alias("m", "next", f"{thread}", expected=now)
        except Conflict:
            continue
        done += 1


def assert_chain(moves: Sequence[AliasMove]) -> None:
    """Every move is numbered after the one before, and says where the alias pointed."""
    assert [move.seq for move in moves] == [*range(1, len(moves) + 1)]
    assert [move.previous for move in moves[1:]] == [move.version for move in moves[:-1]]


def in_threads(jobs: Sequence[Callable[[int], None]]) -> None:
    """Run jobs at once, each given its place; raise what the first of them raised."""
    ready = threading.Barrier(len(jobs))

    def run(place: int) -> None:
        ready.wait(timeout=30)
        jobs[place](place)

    with ThreadPoolExecutor(len(jobs)) as pool:
        list(pool.map(run, range(len(jobs))))


def collection(unit: DeliveryUnit, name: str) -> Collection[Any]:
    """Return a unit's collection by its name."""
    found: Collection[Any] = getattr(unit, name)
    return found
