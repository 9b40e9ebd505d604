"""Brings the notifier's schema up to date; safe to run from several processes at once, and again."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from kit.backoff import full_jitter
from kit.logs import Stage, logger
from notifier.database import open_engine, translated
from notifier.errors import StoreMisconfigured, StoreUnavailable
from notifier.settings import NotifierSettings
from notifier.stopping import Stop

log = logger()

ONE_MIGRATION_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended('notifier.migrate', 0))")
CREATE_SCHEMA = text("CREATE SCHEMA IF NOT EXISTS notifier")


async def migrate(settings: NotifierSettings, stop: Stop) -> None:
    """Upgrade to the newest revision, waiting for Postgres as long as it takes (or until stopped).

    Raises `StoreError` when waiting would not help.
    """
    engine = open_engine(settings)
    try:
        for wait_s in full_jitter(0.5, 5.0):
            try:
                async with translated(), engine.begin() as connection:
                    await connection.run_sync(_upgrade)
                log.info("schema is up to date", stage=Stage.LIFECYCLE)
                return
            except StoreMisconfigured:
                raise
            except StoreUnavailable as away:
                log.warning("waiting for Postgres", stage=Stage.LIFECYCLE, reason=str(away))
            await stop.pause(wait_s)
            if stop:
                return
    finally:
        await engine.dispose()


def _upgrade(connection: Connection) -> None:
    connection.execute(ONE_MIGRATION_AT_A_TIME)
    connection.execute(CREATE_SCHEMA)
    command.upgrade(configuration(connection), "head")


def configuration(connection: Connection) -> Config:
    """Alembic's, on an open connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config
