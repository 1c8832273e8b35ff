"""The schema of a store: made when it is new, checked when it is opened, upgraded when asked."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from palio.errors import Conflict
from palio.storage.store import translated_errors

__all__ = ["current_revision", "latest_revision", "prepare", "upgrade"]

_MIGRATING = 0x70616C6970  # the advisory lock that lets one process migrate on PostgreSQL


def latest_revision() -> str:
    """Return the schema that this Palio works with."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def current_revision(engine: Engine) -> str | None:
    """Return the schema that a store has; ``None`` when it is new."""
    with translated_errors(), engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def prepare(engine: Engine) -> None:
    """Make the schema of a new store; refuse one that is older or newer than this Palio.

    Raises
    ------
    Conflict
        With the remedy, if the store has another schema.
    """
    current, latest = current_revision(engine), latest_revision()
    if current is None:
        upgrade(engine)
    elif current != latest:
        known = {step.revision for step in ScriptDirectory.from_config(_config()).walk_revisions()}
        remedy = (
            "make a copy of the store, then run `palio store upgrade`"
            if current in known
            else "it was made by a newer Palio; install that one"
        )
        raise Conflict(
            f"the store has schema {current}, this Palio works with {latest}; {remedy}",
            current=current,
            latest=latest,
        )


def upgrade(engine: Engine) -> str:
    """Take a store to the latest schema; several processes may ask at once.

    Returns
    -------
    str
        The revision that the store has now.
    """
    begin = {"palio_begin": "BEGIN IMMEDIATE"}
    with (
        translated_errors(),
        engine.connect().execution_options(**begin) as connection,
        connection.begin(),
    ):
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _MIGRATING})
        command.upgrade(_config(connection), "head")
    return latest_revision()


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config
