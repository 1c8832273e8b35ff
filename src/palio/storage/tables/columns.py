"""Columns and rules that tables are made of, and the collection of all tables."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DefaultClause,
    Float,
    ForeignKeyConstraint,
    Integer,
    MetaData,
    Table,
    UniqueConstraint,
    text,
)
from sqlalchemy.schema import SchemaItem

from palio.storage.tables.types import Json, Utc, Word

__all__ = [
    "SERIAL",
    "count",
    "json",
    "keyed",
    "later",
    "listed",
    "metadata",
    "real",
    "refers",
    "time",
    "word",
]

# Names of constraints are fixed, so that migrations mean the same on every database.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
SERIAL = BigInteger().with_variant(Integer, "sqlite")
"""The type of keys that the database numbers; SQLite numbers only INTEGER by itself."""


def word(name: str, *, null: bool = False) -> Column[Any]:
    """Return a column of text, enumerations included."""
    return Column(name, Word, nullable=null)


def later(column: Column[Any], default: str) -> Column[Any]:
    """Return a column that a migration added, with what it is where nothing was known."""
    column.server_default = DefaultClause(text(default))
    return column


def json(name: str) -> Column[Any]:
    """Return a column of records or builtins."""
    return Column(name, Json, nullable=True)


def time(name: str, *, null: bool = False) -> Column[Any]:
    """Return a column of moments."""
    return Column(name, Utc, nullable=null)


def count(name: str) -> Column[Any]:
    """Return a column of whole numbers."""
    return Column(name, BigInteger, nullable=False)


def real(name: str, *, null: bool = False) -> Column[Any]:
    """Return a column of numbers."""
    return Column(name, Float(53), nullable=null)


def refers(**fields: str) -> ForeignKeyConstraint:
    """Return the rule that fields name a record that exists: ``model="models.name"``."""
    return ForeignKeyConstraint(list(fields), list(fields.values()))


def listed(name: str, key: tuple[str, ...], *columns: SchemaItem) -> Table:
    """Return a table that keeps the order of arrival beside its unique key."""
    added = Column("added", SERIAL, primary_key=True, autoincrement=True)
    return Table(name, metadata, added, *columns, UniqueConstraint(*key))


def keyed(name: str, key: tuple[str, ...], *columns: SchemaItem) -> Table:
    """Return a table in the order of its key: for what is written often."""
    for column in columns:
        if isinstance(column, Column):
            column.primary_key = column.name in key
    return Table(name, metadata, *columns)
