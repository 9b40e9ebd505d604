"""The schema's history, on real Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from alembic import command
from pydantic import SecretStr
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from contracts.codec import encode
from contracts.pushes import PushState
from notifier.errors import StoreMisconfigured
from notifier.migrate import configuration, migrate
from notifier.settings import NotifierSettings
from notifier.stopping import Stop
from notifier.store import Store

from .support import Bench, Servers, offline

TABLES = text("SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname IN ('notifier', 'public')")


def to_revision(connection: Connection, revision: str) -> None:
    """Back to an older schema."""
    command.downgrade(configuration(connection), revision)


async def test_everything_lives_in_the_schema_notifier(engine: AsyncEngine) -> None:
    """Tables and version table: nothing of ours is outside our schema."""
    async with engine.connect() as connection:
        tables = set((await connection.execute(TABLES)).scalars())
    assert tables == {
        f"notifier.{name}" for name in ("alembic_version", "deliveries", "poison", "pushes", "retractions")
    }


async def test_what_an_earlier_release_left_behind_is_sent(
    settings: NotifierSettings, engine: AsyncEngine, store: Store, benches: Callable[..., Bench]
) -> None:
    """A row of the first schema, which knew no devices, waits through the migration and becomes a push."""
    given = offline("alice")
    values = {"event": given.event.id, "payload": encode(given).decode(), "at": given.decided_at}
    async with engine.begin() as connection:
        await connection.run_sync(to_revision, "0001")
        await connection.execute(
            text(
                "INSERT INTO notifier.deliveries (event_id, user_id, reason, payload, decided_at)"
                " VALUES (:event, 'alice', 'no_connection', :payload, :at)"
            ),
            values,
        )
    await migrate(settings, Stop())
    bench = benches()
    assert await bench.round() == 1
    assert [row.state for row in await store.pushes()] == [PushState.SENT]


async def test_several_migrations_at_once_are_one(settings: NotifierSettings) -> None:
    """Two containers that start together do not get in each other's way, and again changes nothing."""
    await asyncio.gather(*(migrate(settings, Stop()) for _ in range(3)))


async def test_a_wrong_password_is_said_not_waited_for(settings: NotifierSettings) -> None:
    """Waiting would not make it right."""
    wrong = settings.model_copy(update={"database_password": SecretStr("wrong")})
    with pytest.raises(StoreMisconfigured, match="Password"):
        await migrate(wrong, Stop())


async def test_postgres_away_is_waited_for(servers: Servers, settings: NotifierSettings) -> None:
    """The migration starts before Postgres does, and is done when it is there."""
    await servers.part("postgres", "kill")
    try:
        waiting = asyncio.create_task(migrate(settings, Stop()))
        done, _ = await asyncio.wait({waiting}, timeout=0.3)
        assert not done
    finally:
        await servers.part("postgres", "start")
    async with asyncio.timeout(20):
        await waiting
