"""How Postgres answers a sync: by indexes alone, for a user with 2,000 conversations in a database full of others."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.store import sync

BUSY = "busy"
CONVERSATIONS = 2000

# `busy` takes part in each of the first 2,000 conversations; 500 others share 3,000 more. Every conversation has its
# opening and nine messages; each transaction holds one event of each of them, as if all went on side by side.
FILL = [
    """
    INSERT INTO conversations
    SELECT md5(n::text)::uuid, 'owner', NULL, NULL, 10, 10, now(), now() FROM generate_series(1, 5000) n
    """,
    """
    INSERT INTO participants SELECT md5(n::text)::uuid, 'busy', true, 1, NULL, 8, now() FROM generate_series(1, 2000) n
    """,
    """
    INSERT INTO participants SELECT md5((n * 7 + k * 11)::text)::uuid, 'user-' || n, k % 5 > 0, 1, NULL, 1, now()
    FROM generate_series(1, 500) n, generate_series(1, 60) k ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO messages (message_id, conversation_id, seq, sender_id, sender_type, message_type, content, is_important,
                          created_at)
    SELECT md5(n || ':' || seq)::uuid, md5(n::text)::uuid, seq, 'owner', 'chat', 'text', 'hello', false, now()
    FROM generate_series(1, 5000) n, generate_series(2, 10) seq
    """,
    """
    INSERT INTO streams SELECT 'conversation:' || md5(n::text)::uuid, 10 FROM generate_series(1, 5000) n
    UNION ALL SELECT 'user:busy', 5
    """,
    "INSERT INTO events (event_id, stream, seq, type, version, data, metadata, recorded_at)"
    " SELECT md5('user' || seq)::uuid, 'user:busy', seq, 'user.registered', 1, '{}', '{}', now()"
    " FROM generate_series(1, 5) seq",
]
EVENTS = """
INSERT INTO events (event_id, stream, seq, type, version, data, metadata, recorded_at)
SELECT md5('event' || n || ':' || $1::int)::uuid, 'conversation:' || md5(n::text)::uuid, $1, 'message.created', 1,
       '{"content": "hello"}', '{}', now()
FROM generate_series(1, 5000) n
"""


@pytest.fixture(params=["no statistics", "old statistics", "fresh statistics"])
async def full(db: asyncpg.Connection[Any], request: pytest.FixtureRequest) -> asyncpg.Connection[Any]:
    """A database with 50,000 events, of which the planner knows nothing, the first ones, or all."""
    for statement in FILL:
        await db.execute(statement)
    for seq in range(1, 11):
        await db.execute(EVENTS, seq)
        if request.param == "old statistics" and seq == 2:
            await db.execute("ANALYZE")
    if request.param == "fresh statistics":
        await db.execute("ANALYZE")
    return db


async def plan(db: asyncpg.Connection[Any], statement: Any, **values: Any) -> dict[str, Any]:
    """The plan that is used after a transaction's first statement, for one with named parameters, and what it took."""
    names = list(values)
    sql = re.sub(r":(\w+)", lambda found: f"${names.index(found[1]) + 1}", str(statement))
    types = ", ".join("bigint" if isinstance(value, int) else "text" for value in values.values())
    literals = ", ".join(str(value) if isinstance(value, int) else f"'{value}'" for value in values.values())
    async with db.transaction():
        await db.execute(str(sync._STAND).replace(":stream", "'user:busy'"))
        await db.execute(f"PREPARE asked ({types}) AS {sql}")
        found = await db.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE asked ({literals})")
        await db.execute("DEALLOCATE asked")
    explained: dict[str, Any] = json.loads(found)[0]
    return explained


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan's node and all below it."""
    yield node
    for child in node.get("Plans", ()):
        yield from nodes(child)


def assert_by_index(explained: dict[str, Any], *indexes: str) -> None:
    """No table is read from end to end, and these indexes are used."""
    found = list(nodes(explained["Plan"]))
    whole = [node["Relation Name"] for node in found if node["Node Type"] == "Seq Scan"]
    assert whole == [], json.dumps(explained, indent=1)
    assert set(indexes) <= {node.get("Index Name") for node in found}, json.dumps(explained, indent=1)


async def test_every_page_is_read_by_index(full: asyncpg.Connection[Any]) -> None:
    """A snapshot's pages; increments of somebody who was away for long, for a while, and not at all."""
    for after in (sync.FIRST_ID, "80000000-0000-0000-0000-000000000000"):
        for limit in (201, 501):
            explained = await plan(full, sync._CONVERSATIONS, user_id=BUSY, after=after, limit=limit)
            assert_by_index(
                explained,
                "participants_user_id_conversation_id_idx",
                "conversations_pkey",
                "messages_conversation_id_seq_key",
            )
            assert explained["Plan"]["Actual Rows"] == limit
    ids = [row[0] for row in await full.fetch("SELECT DISTINCT txid::text::bigint FROM events ORDER BY 1")]
    for user, txid, least in (
        (BUSY, 0, 201),
        (BUSY, ids[-3], 201),
        (BUSY, 2**40, 0),
        ("user-7", 0, 201),
        ("nobody", 0, 0),
    ):
        explained = await plan(full, sync._EVENTS, user_id=user, txid=str(txid), position=0, limit=201)
        assert_by_index(explained, "participants_user_id_conversation_id_idx", "events_stream_txid_position_idx")
        assert explained["Plan"]["Actual Rows"] == least, user


async def test_what_is_asked_first_is_read_by_index(full: asyncpg.Connection[Any]) -> None:
    """Where everything stands."""
    assert_by_index(await plan(full, sync._STAND, stream="user:busy"), "streams_pkey")


async def test_last_messages_are_read_by_index(full: asyncpg.Connection[Any], engine: AsyncEngine) -> None:
    """What a snapshot's page adds to its conversations; and the page is what it should be."""
    async with sync.snapshot(engine) as connection:
        page = await sync.conversations(connection, BUSY, after=sync.FIRST_ID, limit=200)
    assert [(one.last_seq, one.unread_count, one.last_message is not None) for one in page] == [(10, 2, True)] * 200
    ids = [one.last_message.id for one in page if one.last_message]
    statement = "SELECT * FROM messages WHERE message_id = ANY(CAST(:ids AS uuid[]))"
    assert_by_index(await plan(full, statement, ids="{" + ",".join(ids) + "}"), "messages_pkey")
