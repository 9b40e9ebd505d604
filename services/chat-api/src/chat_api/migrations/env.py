"""Alembic's entry: runs on the connection that `chat_api.migrate` hands over."""

from alembic import context

from chat_api.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
