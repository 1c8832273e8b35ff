"""Moments on SQLite are written as SQLAlchemy writes them, so that old and new rows compare."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import DateTime
from sqlalchemy.dialects import sqlite

from palio.storage.tables.types import Utc

DIALECT = sqlite.dialect()


@given(st.datetimes(timezones=st.just(UTC)))
def test_moments_on_sqlite(moment: datetime) -> None:
    write, read = Utc().bind_processor(DIALECT), Utc().result_processor(DIALECT, None)
    assert write is not None
    assert read is not None
    theirs = DateTime().dialect_impl(DIALECT).bind_processor(DIALECT)
    assert theirs is not None
    assert write(moment) == theirs(moment.replace(tzinfo=None))
    assert read(write(moment)) == moment
    assert write(None) is None
    assert read(None) is None
