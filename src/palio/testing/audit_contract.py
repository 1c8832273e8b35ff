"""What the audit log of every store must do; part of `palio.testing.contracts.StoreContract`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta, timezone
from typing import Any

import pytest

from palio.access.audit import GENESIS, AuditQuery, Change, first_break
from palio.delivery.ports import DeliveryUnit
from palio.ports import Store
from palio.testing.records import ODD, RECORDS, WHEN
from palio.testing.steps import (
    change,
    in_threads,
    plain_change,
)

__all__ = ["AuditLogContract"]

_EAST = timezone(timedelta(hours=9))
_OF_M = [
    ("model.create", "m"),
    ("version.rollback", "m"),
    ("version.promote", "m:v1"),
    ("alias.set", "m@next"),
    ("something.new", "m:v2"),
    ("endpoint.create", "pay"),
    ("endpoint.override", "an"),
    ("experiment.start", "mine"),
]
_NOT_OF_M = [
    ("model.create", "M"),
    ("model.create", "mm"),
    ("version.promote", "mm:v1"),
    ("version.promote", "M:v1"),
    ("version.promote", "x:m"),
    ("alias.set", "other@m"),
    ("endpoint.create", "m"),
    ("experiment.start", "m"),
    ("lifecycle.declare", "m"),
    ("key.create", "m"),
    ("experiment.start", "pay"),
    ("endpoint.create", "mine"),
    ("version.promote", "pay"),
]
_THREADS = 8


class AuditLogContract:
    """Tests on the audit log of a store that is new."""

    def test_entries_are_sealed_in_order(self, store: Store[DeliveryUnit]) -> None:
        """Each entry carries the hash of the one before it, and the chain holds as read."""
        changes = [
            change(action=f"a.{number}", at=WHEN + timedelta(seconds=number))
            for number in range(5)
        ]
        for one in changes:
            with store.write() as unit:
                unit.audit.append(one)
        with store.read() as unit:
            entries, head = unit.audit.entries(), unit.audit.head()
        assert [entry.action for entry in entries] == [one.action for one in changes]
        assert [entry.seq for entry in entries] == [1, 2, 3, 4, 5]
        assert entries[0].prev_hash == GENESIS
        assert first_break(entries) is None
        assert head == 5

    def test_entry_comes_back_as_it_was(self, store: Store[DeliveryUnit]) -> None:
        """Before and after, texts and times survive; the entry returned is the one kept."""
        with store.write() as unit:
            made = [unit.audit.append(change()), unit.audit.append(Change(**plain_change()))]
        with store.read() as unit:
            assert list(unit.audit.entries()) == made

    def test_pages(self, store: Store[DeliveryUnit]) -> None:
        """Entries are read from any number, by as many as are asked for."""
        with store.write() as unit:
            made = [unit.audit.append(change()) for _ in range(5)]
        with store.read() as unit:
            assert list(unit.audit.entries(after=1, limit=2)) == made[1:3]
            assert list(unit.audit.entries(after=3)) == made[3:]
            assert list(unit.audit.entries(after=5)) == []

    def test_the_head_has_the_last_hash(self, store: Store[DeliveryUnit]) -> None:
        """What the next entry will follow is known before it is there."""
        with store.read() as unit:
            assert unit.audit.head_hash() == GENESIS
        for _ in range(2):
            with store.write() as unit:
                made = unit.audit.append(change())
            with store.read() as unit:
                assert unit.audit.head_hash() == made.hash

    def test_nothing_asked_finds_all(self, store: Store[DeliveryUnit]) -> None:
        """A query without conditions is a page."""
        with store.write() as unit:
            made = [unit.audit.append(change()) for _ in range(5)]
        with store.read() as unit:
            found = unit.audit.find(AuditQuery(), after=1, limit=3)
            assert list(found) == made[1:4]
            assert list(unit.audit.find(AuditQuery(), after=-1, limit=0)) == []

    @pytest.mark.parametrize(
        ("fields", "found"),
        [
            ({"actor": "ann"}, [1, 3]),
            ({"actor": "Ann"}, [2]),
            ({"actor": "an%"}, []),
            ({"action": "version.promote"}, [1, 2]),
            ({"action": "version"}, [1, 2]),
            ({"action": "version.pro"}, []),
            ({"action": "versions"}, [4]),
            ({"action": "Version"}, []),
            ({"since": WHEN + timedelta(seconds=3)}, [3, 4]),
            ({"until": WHEN + timedelta(seconds=3)}, [1, 2]),
            (
                {
                    "since": (WHEN + timedelta(seconds=2)).astimezone(_EAST),
                    "until": (WHEN + timedelta(seconds=4)).astimezone(_EAST),
                },
                [2, 3],
            ),
            ({"actor": "ann", "action": "alias.set", "since": WHEN}, [3]),
            ({"actor": ODD}, []),
        ],
    )
    def test_who_what_and_when(
        self, store: Store[DeliveryUnit], fields: dict[str, Any], found: list[int]
    ) -> None:
        """Names are compared exactly, the start belongs to a time, its end does not."""
        made = [("ann", "version.promote"), ("Ann", "version.promote")]
        made += [("ann", "alias.set"), ("bob", "versions.x")]
        with store.write() as unit:
            for number, (actor, action) in enumerate(made, start=1):
                at = WHEN + timedelta(seconds=number)
                unit.audit.append(change(actor=actor, action=action, at=at))
        with store.read() as unit:
            entries = unit.audit.find(AuditQuery(**fields), after=0, limit=10)
            paged = unit.audit.find(AuditQuery(**fields), after=2, limit=1)
        assert [entry.seq for entry in entries] == found
        assert [entry.seq for entry in paged] == [seq for seq in found if seq > 2][:1]

    def test_what_belongs_to_a_model(self, store: Store[DeliveryUnit]) -> None:
        """Its own name, versions, aliases, endpoints and experiments; nobody else's.

        The model is called ``m``, and so are an endpoint and an experiment of another model,
        a lifecycle and a key.
        """
        other = replace(RECORDS["models"][0], name="other")
        mine = replace(RECORDS["experiments"][0], key="mine", model="m")
        with store.write() as unit:
            unit.models.put_many([replace(other, name="m"), other])
            unit.endpoints.put_many(RECORDS["endpoints"])  # pay and an, both of m
            unit.endpoints.add(replace(RECORDS["endpoints"][0], name="m", model="other"))
            unit.experiments.put_many([mine, replace(mine, key="m", model="other")])
            for action, subject in (*_OF_M, *_NOT_OF_M):
                unit.audit.append(change(action=action, subject=subject))
        with store.read() as unit:
            found = unit.audit.find(AuditQuery(model="m"), after=0, limit=100)
            assert [(entry.action, entry.subject) for entry in found] == _OF_M
            page = unit.audit.find(AuditQuery(model="m", action="alias"), after=0, limit=1)
            assert [(entry.action, entry.subject) for entry in page] == [("alias.set", "m@next")]
            assert not unit.audit.find(AuditQuery(model=""), after=0, limit=100)
            assert not unit.audit.find(AuditQuery(model="%"), after=0, limit=100)

    def test_no_two_follow_the_same_entry(self, store: Store[DeliveryUnit]) -> None:
        """Many threads append, none is lost, and the chain holds."""

        def append(thread: int) -> None:
            for turn in range(10):
                with store.write() as unit:
                    unit.audit.append(change(actor=f"{thread}", action=f"{turn}"))

        in_threads([append] * _THREADS)
        with store.read() as unit:
            entries = unit.audit.entries()
            assert unit.audit.head() == len(entries)
        assert first_break(entries) is None
        assert {(entry.actor, entry.action) for entry in entries} == {
            (f"{thread}", f"{turn}") for thread in range(_THREADS) for turn in range(10)
        }
