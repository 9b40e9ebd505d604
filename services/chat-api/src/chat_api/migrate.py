"""Brings the database's schema up to this release; safe to run from several places at once."""

from __future__ import annotations

import asyncio
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, text

from chat_api.settings import ChatApiSettings
from chat_api.store.database import create_engine, is_away
from kit.backoff import full_jitter
from kit.logs import Stage, logger

log = logger()

MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_LOCK = 0x4E616D69
"""Key of the lock that one migration holds ("Nami")."""


@cache
def head_revision() -> str:
    """The schema that this release needs: migrations are numbered, and the last one is it.

    Read from the file names, because loading Alembic would make up half of a service's start.
    """
    return max(path.stem.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def _apply(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


async def upgrade(settings: ChatApiSettings) -> None:
    """Apply what is missing, waiting for Postgres as long as it takes."""
    # An index on a large table takes its time.
    engine = create_engine(settings, "chat-api migrate", patient=True)
    try:
        for wait_s in full_jitter(0.5, 5.0):
            try:
                async with engine.begin() as connection:
                    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
                    await connection.run_sync(_apply)
            except Exception as error:
                if not is_away(error):
                    raise
                log.warning("waiting for Postgres", stage=Stage.LIFECYCLE, error=type(error).__name__)
                await asyncio.sleep(wait_s)
            else:
                log.info("schema is up to date", stage=Stage.LIFECYCLE, revision=head_revision())
                return
    finally:
        await engine.dispose()
