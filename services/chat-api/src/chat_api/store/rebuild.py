"""The read tables anew from the record: made in a schema of their own, compared with the live ones, put in their place.

Everything goes on meanwhile. At the end writers wait at the gate (event_store) while what is left is replayed, both
sets are compared and exchanged, in one transaction: killed at any moment, a rebuild leaves nothing but its own schema,
which the next one drops. Nothing is published, because nothing is appended.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Table, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from chat_api.store import projections
from chat_api.store.event_store import GATE_LOCK, NewEvent
from chat_api.store.tables import (
    consults,
    conversations,
    messages,
    metadata,
    mutes,
    notification_settings,
    notifications,
    participants,
    users,
)
from chat_api.store.upcast import upcast
from contracts.errors import ContractError
from contracts.stream_ids import parse_stream_id

TABLES: tuple[Table, ...] = (
    users,
    conversations,
    participants,
    messages,
    notifications,
    consults,
    notification_settings,
    mutes,
)
"""What follows from the record."""
SHADOW = "natter_rebuild"
REBUILD_LOCK = 0x4E617262
"""Key of the session lock that one rebuild holds ("Narb")."""
BATCH = 1000
WRITERS_WAIT_S = 30
"""Longest wait until the last writer is through."""
READERS_WAIT_S, READERS_TRIES = 0.2, 150
"""Readers are asked for the tables again and again, and never kept waiting for longer. Shorter than Postgres' own
deadlock timeout: when two readers and the exchange are in each other's way, it is the exchange that gives way."""
_LOCK_REFUSED = ("55P03", "40P01")
_REASONS = dict.fromkeys(
    _LOCK_REFUSED, "somebody holds a lock on the tables for too long (a long transaction, a dump?): try again later"
) | {"2BP01": "something of yours depends on the tables (a view?): drop it and make it again afterwards"}
"""Why the exchange could not be done, by Postgres' code."""

_NEXT = """
SELECT position, CAST(txid AS text) AS txid_text, event_id, stream, seq, type, version, CAST(data AS text) AS data,
       CAST(metadata AS text) AS metadata, recorded_at
FROM "{live}".events
WHERE (txid, position) > (CAST(CAST(:txid AS text) AS xid8), :position) {fence}
ORDER BY txid, position LIMIT :limit
"""
_FENCE = "AND txid < pg_snapshot_xmin(pg_current_snapshot())"

_GRANTS = text("""
WITH live AS (
    SELECT oid, relname, relacl, pg_get_userbyid(relowner) AS owner FROM pg_class
    WHERE relnamespace = CAST(quote_ident(CAST(:live AS text)) AS regnamespace)
      AND relname = ANY(CAST(:tables AS text[]))
), granted AS (
    SELECT relname, NULL AS columns, granted.* FROM live, aclexplode(relacl) AS granted
    UNION ALL
    SELECT relname, format('(%I)', attname), granted.*
    FROM live JOIN pg_attribute ON attrelid = live.oid, aclexplode(attacl) AS granted
)
SELECT 1 AS step, format('GRANT %s %s ON %I.%I TO %s %s', privilege_type, columns, CAST(:shadow AS text), relname,
                         CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
                         CASE WHEN is_grantable THEN 'WITH GRANT OPTION' END) AS statement FROM granted
UNION ALL
SELECT 2, format('ALTER TABLE %I.%I OWNER TO %I', CAST(:shadow AS text), relname, owner) FROM live
WHERE owner <> current_user
ORDER BY step
""")


class RebuildFailed(Exception):
    """The rebuild could not be done; the live tables are as they were. The message is for people."""


class Progress(Protocol):
    """Who is told how far the replay is."""

    def started(self, total: int) -> None:
        """So many events are to be replayed; some more may come."""

    def advanced(self, count: int) -> None:
        """So many more are done."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A table as it was and as it was rebuilt. Checksums do not depend on the order of rows."""

    table: str
    live_rows: int
    live_checksum: int
    rebuilt_rows: int
    rebuilt_checksum: int
    differing: int
    """Rows that are missing, in excess, or different."""


async def rebuild(
    engine: AsyncEngine, *, revision: str, migration_lock: int, check: bool, progress: Progress
) -> list[Comparison]:
    """Rebuild the read tables and put them in the place of the live ones; with `check` compare only.

    `engine` must be patient and is not to be used for anything else. Raises `RebuildFailed` if the schema is not at
    `revision`, if another rebuild or a migration is running, if an event cannot be read, or if somebody holds a lock.
    """
    async with engine.connect() as connection:
        work = _Rebuild(connection, await _begin(connection, revision, migration_lock))
        await work.make_shadow()
        progress.started(await work.count())
        while await work.replay(_FENCE, progress):
            pass
        await work.analyze()
        try:
            return await work.finish(check, progress)
        except DBAPIError as error:
            reason = _REASONS.get(getattr(error.orig, "sqlstate", None) or "")
            if reason is None:
                raise
            raise RebuildFailed(reason) from error


async def _begin(connection: AsyncConnection, revision: str, migration_lock: int) -> str:
    """Make sure that nobody else is at the tables; returns the schema that they are in."""
    if not await connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": REBUILD_LOCK}):
        raise RebuildFailed("another rebuild is running")
    if not await connection.scalar(text("SELECT pg_try_advisory_lock_shared(:key)"), {"key": migration_lock}):
        raise RebuildFailed("a migration is running")
    live = await connection.scalar(text("SELECT current_schema()"))
    known = await connection.scalar(text("SELECT to_regclass('alembic_version') IS NOT NULL"))
    found = await connection.scalar(text("SELECT version_num FROM alembic_version")) if known else "nothing"
    if found != revision:
        raise RebuildFailed(
            f"the database's schema is at {found}, this release needs {revision}: run `chat_api migrate`"
        )
    await connection.commit()
    return str(live)


class _Rebuild:
    def __init__(self, connection: AsyncConnection, live: str) -> None:
        self._connection = connection
        self._live = live
        self._cursor: dict[str, Any] = {"txid": "0", "position": 0}

    async def make_shadow(self) -> None:
        """The tables as this release declares them, empty; what an earlier rebuild has left is dropped."""
        await self._run(f"DROP SCHEMA IF EXISTS {SHADOW} CASCADE", f"CREATE SCHEMA {SHADOW}")
        await self._connection.execution_options(schema_translate_map={None: SHADOW})
        await self._connection.run_sync(metadata.create_all, tables=TABLES, checkfirst=False)
        await self._connection.commit()

    async def count(self) -> int:
        """How many events there are."""
        found = await self._connection.scalar(text(f'SELECT count(*) FROM "{self._live}".events'))  # noqa: S608
        await self._connection.commit()
        return int(found or 0)

    async def replay(self, fence: str, progress: Progress) -> bool:
        """Replay the next events in the record's order; False if these were the last ones for now."""
        # Not the live schema: what the shadow lacks must be an error, never be written there.
        await self._run(f"SET LOCAL search_path TO {SHADOW}")
        statement = text(_NEXT.format(live=self._live, fence=fence))
        rows = (await self._connection.execute(statement, {**self._cursor, "limit": BATCH})).all()
        await projections.project(self._connection, [_event(row) for row in rows])
        if rows:
            self._cursor = {"txid": rows[-1].txid_text, "position": rows[-1].position}
            progress.advanced(len(rows))
        if fence:
            await self._connection.commit()
        return len(rows) == BATCH

    async def analyze(self) -> None:
        """Statistics move with a table: the first query after the exchange finds them there."""
        await self._run(*(f"ANALYZE {SHADOW}.{table.name}" for table in TABLES))
        await self._connection.commit()

    async def finish(self, check: bool, progress: Progress) -> list[Comparison]:
        """With all writers outside: replay what is left, compare, exchange. One transaction."""
        await self._run(f"SET LOCAL lock_timeout = '{WRITERS_WAIT_S}s'")
        await self._connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": GATE_LOCK})
        # For whoever writes without passing the gate: an older release that still runs.
        await self._run(f'LOCK TABLE "{self._live}".events IN SHARE ROW EXCLUSIVE MODE')
        while await self.replay("", progress):
            pass
        found = [await self._compare(table) for table in TABLES]
        if not check:
            await self._exchange()
        await self._run(f"DROP SCHEMA {SHADOW} CASCADE")
        await self._connection.commit()
        return found

    async def _compare(self, table: Table) -> Comparison:
        sides = [await self._checksum(schema, table) for schema in (self._live, SHADOW)]
        differing = 0 if sides[0] == sides[1] else await self._differing(table)
        return Comparison(table.name, *sides[0], *sides[1], differing)

    async def _checksum(self, schema: str, table: Table) -> tuple[int, int]:
        row = f"ROW({', '.join(column.name for column in table.columns)})"
        statement = f'SELECT count(*), sum(hashtextextended(CAST({row} AS text), 0)) FROM "{schema}".{table.name}'  # noqa: S608
        rows, checksum = (await self._connection.execute(text(statement))).one()
        return rows, int(checksum or 0) % 2**64

    async def _differing(self, table: Table) -> int:
        left, right = (
            f"CAST(ROW({', '.join(f'{side}.{column.name}' for column in table.columns)}) AS text)" for side in "lr"
        )
        keys = ", ".join(column.name for column in table.primary_key.columns)
        statement = (
            f'SELECT count(*) FROM "{self._live}".{table.name} l FULL JOIN {SHADOW}.{table.name} r'  # noqa: S608
            f" USING ({keys}) WHERE {left} IS DISTINCT FROM {right}"
        )
        return int(await self._connection.scalar(text(statement)) or 0)

    async def _exchange(self) -> None:
        names = [table.name for table in TABLES]
        await self._take_from_readers(", ".join(f'"{self._live}".{name}' for name in names))
        grants = await self._connection.execute(_GRANTS, {"live": self._live, "shadow": SHADOW, "tables": names})
        statements = [row.statement for row in grants]
        for name in names:
            statements += [
                f'DROP TABLE "{self._live}".{name}',
                f'ALTER TABLE {SHADOW}.{name} SET SCHEMA "{self._live}"',
            ]
        await self._run(*statements)

    async def _take_from_readers(self, tables: str) -> None:
        for attempt in range(1, READERS_TRIES + 1):
            savepoint = await self._connection.begin_nested()
            try:
                await self._run(
                    f"SET LOCAL lock_timeout = '{int(READERS_WAIT_S * 1000)}ms'",
                    f"LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE",
                )
            except DBAPIError as error:
                await savepoint.rollback()
                if getattr(error.orig, "sqlstate", None) not in _LOCK_REFUSED or attempt == READERS_TRIES:
                    raise
                await asyncio.sleep(random.uniform(0.2, 1) * READERS_WAIT_S)  # noqa: S311
            else:
                await savepoint.commit()
                return

    async def _run(self, *statements: str) -> None:
        for statement in statements:
            await self._connection.exec_driver_sql(statement)


def _event(row: Any) -> NewEvent:
    try:
        data = upcast(row.type, row.version, json.loads(row.data))
    except ContractError as error:
        raise RebuildFailed(f"event {row.event_id} at position {row.position}: {error}") from error
    return NewEvent(
        parse_stream_id(row.stream), row.seq, str(row.event_id), data, json.loads(row.metadata), row.recorded_at
    )


def equal(found: Sequence[Comparison]) -> bool:
    """Whether the live tables were what the record says."""
    return not any((one.live_rows, one.live_checksum) != (one.rebuilt_rows, one.rebuilt_checksum) for one in found)
