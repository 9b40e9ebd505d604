"""How Alembic reaches the database: on the connection that `notifier.migrate` hands over, in our schema only."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

SCHEMA = "notifier"

connection: Connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table_schema=SCHEMA)
with context.begin_transaction():
    context.run_migrations()
