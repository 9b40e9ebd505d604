"""The tables as SQLAlchemy sees them are the tables as the migrations made them."""

from __future__ import annotations

import re
from typing import Any

import asyncpg

from chat_api import migrate
from chat_api.store.database import create_engine
from chat_api.store.tables import metadata

# Everything that a query or a plan can depend on: columns, constraints, indexes.
CATALOGUE = """
SELECT 'column ' || table_name || '.' || column_name || ' ' || udt_name || ' ' || is_nullable || ' '
       || coalesce(column_default, '-') || ' ' || is_identity || ' ' || coalesce(identity_generation, '-')
FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'
UNION ALL
SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
FROM pg_constraint
WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version' AND contype <> 'n'
UNION ALL
SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'
ORDER BY 1
"""


async def catalogue(connection: asyncpg.Connection[Any]) -> list[str]:
    """One line per column, constraint and index."""
    lines = [row[0] for row in await connection.fetch(CATALOGUE)]
    return [re.sub(r"\bpublic\.", "", line) for line in lines]


async def test_metadata_is_what_the_migrations_made(servers: Any, database: str, db: asyncpg.Connection[Any]) -> None:
    """A migration without its table, or a table without its migration, shows up as a line of difference."""
    connection = await servers.connect("postgres")
    await connection.execute(f"CREATE DATABASE {database}_declared TEMPLATE template0")
    engine = create_engine(servers.settings(f"{database}_declared"), "test")
    try:
        async with engine.begin() as declared:
            await declared.run_sync(metadata.create_all)
        other = await servers.connect(f"{database}_declared")
        try:
            assert await catalogue(other) == await catalogue(db)
        finally:
            await other.close()
    finally:
        await engine.dispose()
        await connection.execute(f"DROP DATABASE {database}_declared WITH (FORCE)")
        await connection.close()


async def test_migrating_again_changes_nothing(servers: Any, database: str, db: asyncpg.Connection[Any]) -> None:
    """Several processes may migrate at once, and a database that is up to date stays as it is."""
    import asyncio

    before = await catalogue(db)
    await asyncio.gather(*(migrate.upgrade(servers.settings(database)) for _ in range(3)))
    assert await catalogue(db) == before
    assert await db.fetchval("SELECT version_num FROM alembic_version") == migrate.head_revision()


async def test_migrating_an_empty_database_from_several_places(servers: Any, database: str) -> None:
    """One does it, the others wait and find it done."""
    import asyncio

    connection = await servers.connect("postgres")
    await connection.execute(f"CREATE DATABASE {database}_empty TEMPLATE template0")
    try:
        await asyncio.gather(*(migrate.upgrade(servers.settings(f"{database}_empty")) for _ in range(3)))
        other = await servers.connect(f"{database}_empty")
        assert await other.fetchval("SELECT count(*) FROM events") == 0
        await other.close()
    finally:
        await connection.execute(f"DROP DATABASE {database}_empty WITH (FORCE)")
        await connection.close()
