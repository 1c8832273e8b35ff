"""Run by Alembic inside a connection that `palio.storage.schema` has opened."""

from __future__ import annotations

from alembic import context

from palio.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
