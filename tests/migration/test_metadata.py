"""Stores with models, versions and aliases in them, from before metadata and deletions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Engine, text

from palio.registry.domain import ArtifactFile, Manifest, MoveKind, VersionDraft
from palio.registry.lifecycle import Lifecycle
from palio.storage import schema
from palio.storage.store import SqlStore, engine_for
from palio.testing.wired import Wired

THEN = datetime(2026, 1, 1, tzinfo=UTC)
OWN = Lifecycle(
    name="own",
    initial="new",
    production="live",
    retired="old",
    transitions={"new": ("live",), "live": ("old",), "old": ("live",)},
)
FILES = '{"files":[{"path":"model.skops","size_bytes":3,"sha256":"abc"}],"digest":"def"}'
# What a store of revision 0002 had: two versions, of which the second is champion, an alias
# beside it, an endpoint, and a lifecycle of the user's own.
CONTENT = (
    """INSERT INTO lifecycles
       (name, initial, production, retired, transitions, requires, aliases) VALUES
       ('own', 'new', 'live', 'old', '{"new":["live"],"live":["old"],"old":["live"]}',
        '{}', '{}')""",
    """INSERT INTO models (name, lifecycle, created_at, created_by, description) VALUES
       ('m', 'own', :then, 'ann', 'who pays'), ('plain', 'standard', :then, 'ann', '')""",
    *(
        f"""INSERT INTO versions
        (model, version, ordinal, stage, flavor, signature, manifest, metrics, training, tags,
         description, created_at, created_by, approved_by) VALUES
        ('m', '{number}', {number}, '{stage}', 'sklearn', NULL, '{FILES}', '{{"auc":0.5}}',
         '{{"seed":1}}', '{{"team":"risk"}}', 'one', :then, 'ann', 'bob')"""
        for number, stage in ((1, "old"), (2, "live"), (3, "new"))
    ),
    *(
        f"""INSERT INTO alias_moves
        (model, alias, seq, kind, version, previous, at, actor, reason) VALUES
        ('m', '{alias}', {seq}, 'set', '{version}', {previous}, :then, 'ann', 'why')"""
        for alias, seq, version, previous in (
            ("champion", 1, "1", "NULL"),
            ("champion", 2, "2", "'1'"),
            ("next", 1, "3", "NULL"),
        )
    ),
    """INSERT INTO endpoints (name, model, created_at, created_by, description) VALUES
       ('e', 'm', :then, 'ann', '')""",
)


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A store of revision 0002 with all that in it."""
    new: Callable[[], str] = (
        (lambda: str(tmp_path / "old.db"))
        if request.param == "sqlite"
        else request.getfixturevalue("new_postgres")
    )
    made = engine_for(new())
    then = "2026-01-01 00:00:00.000000" + ("" if request.param == "sqlite" else "+00")
    with made.connect() as connection, connection.begin():
        command.upgrade(schema._config(connection), "0002")
        for statement in CONTENT:
            given = {"then": then} if ":then" in statement else {}
            connection.execute(text(_escaped(statement)), given)
    yield made
    made.dispose()


def _escaped(statement: str) -> str:
    """Return a statement in which a colon stands for a parameter only before ``then``."""
    return statement.replace(":", "\\:").replace("\\:then", ":then")


@pytest.fixture
def wired(engine: Engine) -> Wired:
    schema.upgrade(engine)
    return Wired(SqlStore(engine))


def broken_references(engine: Engine) -> list[object]:
    """Return records that name others which are not there."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            return [*connection.execute(text("PRAGMA foreign_key_check"))]
        return [
            *connection.execute(
                text("SELECT conname FROM pg_constraint WHERE contype = 'f' AND NOT convalidated")
            )
        ]


def test_all_that_was_there_is_there(engine: Engine, wired: Wired) -> None:
    assert broken_references(engine) == []
    assert wired.lifecycles.get("own") == OWN
    model, plain = wired.models.list()
    assert (model.name, model.lifecycle, model.lifecycle_revision) == ("m", "own", 1)
    assert (model.description, model.tags, model.deleted_at) == ("who pays", {}, None)
    assert (plain.name, plain.lifecycle_revision) == ("plain", 1)
    first, second, third = wired.versions.list("m")
    assert [one.stage for one in (first, second, third)] == ["old", "live", "new"]
    assert first.manifest == Manifest((ArtifactFile("model.skops", 3, "abc"),), "def")
    assert (first.metrics, first.training, first.tags) == (
        {"auc": 0.5},
        {"seed": 1},
        {"team": "risk"},
    )
    assert (first.created_at, first.approved_by, first.signature) == (THEN, "bob", None)
    assert (first.type, first.framework, first.card, first.external_ref) == ("", "", "", "")
    assert (first.policy, first.parent, first.backtest, first.source) == (None, None, {}, {})
    assert (first.deleted_at, first.purged_at) == (None, None)
    assert wired.models.aliases("m") == {"champion": "2", "next": "3"}
    moves = wired.models.history("m")
    assert [(move.version, move.previous, move.at) for move in moves] == [
        ("1", None, THEN),
        ("2", "1", THEN),
    ]
    assert wired.endpoints.get("e").model == "m"


def test_it_works_on(engine: Engine, wired: Wired, tmp_path: Path) -> None:
    models, versions = wired.models, wired.versions
    assert models.at("m", THEN).version == "2"
    assert models.rollback("m").version == "1"
    assert models.clear_alias("m", "next").kind is MoveKind.CLEARED
    versions.delete("m:3")
    assert versions.purge("m:3").purged_at is not None
    assert versions.restore(versions.delete("m:2").reference).stage == "old"
    later = wired.lifecycles.declare(
        Lifecycle(
            name="own",
            initial="new",
            production="live",
            retired="old",
            transitions={**OWN.transitions, "new": ("tried",), "tried": ("live",)},
        )
    )
    assert (later.revision, wired.models.lifecycle("m")) == (2, OWN)
    assert models.adopt("m").lifecycle_revision == 2
    (tmp_path / "model.bin").write_bytes(b"bytes")
    made = versions.register("m", VersionDraft(version="4", flavor="x", parent="m:1"), tmp_path)
    assert (made.ordinal, made.stage, made.parent) == (4, "new", "m:1")
    versions.promote(versions.move("m:4", "tried").reference)
    assert models.edit("m", tags={"team": "risk"}).tags == {"team": "risk"}
    assert broken_references(engine) == []
    assert wired.audit.verify().broken is None


def test_nothing_refers_to_what_is_not_there(engine: Engine, wired: Wired) -> None:
    """The rules that tie records together came through, too."""
    for statement in (
        "UPDATE alias_moves SET version = 'no' WHERE seq = 1",
        "UPDATE versions SET model = 'no' WHERE version = '3'",
        "DELETE FROM models WHERE name = 'm'",
    ):
        with pytest.raises(Exception, match=r"(?i)foreign key"), engine.begin() as connection:
            connection.execute(text(statement))
    assert wired.models.aliases("m") == {"champion": "2", "next": "3"}
