"""How Postgres answers the notifier: by indexes alone, for users with 2,000 conversations in a database of others."""

from __future__ import annotations

import json
import re
from typing import Any

import asyncpg
import pytest

from chat_api.store import pushfacts

# `busy` takes part in each of the first 2,000 conversations and has read up to 8; 500 others share 3,000 more. Every
# conversation has its opening and nine messages.
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
    INSERT INTO events (event_id, stream, seq, type, version, data, metadata, recorded_at)
    SELECT md5('event' || n || ':' || seq)::uuid, 'conversation:' || md5(n::text)::uuid, seq, 'message.created', 1,
           '{"content": "hello"}', '{}', now()
    FROM generate_series(1, 5000) n, generate_series(2, 10) seq
    """,
    """
    INSERT INTO receipts SELECT 'conversation:' || md5(n::text)::uuid, seq, 'busy', md5(n::text)::uuid, 'edge-1',
                                'desktop', now()
    FROM generate_series(1, 2000) n, generate_series(2, 6) seq
    """,
    "INSERT INTO delivered SELECT md5(n::text)::uuid, 'busy', 6 FROM generate_series(1, 2000) n",
    "INSERT INTO synced SELECT 'user-' || n, '0', 0, pg_current_xact_id(), n, now() FROM generate_series(1, 5000) n",
    "INSERT INTO mutes SELECT md5(n::text)::uuid, 'busy', NULL FROM generate_series(1, 2000) n",
    "INSERT INTO users SELECT 'user-' || n, NULL, '{}', now() FROM generate_series(1, 5000) n",
]
LARGE = {"conversations", "participants", "messages", "events", "receipts"} | {"delivered", "synced", "mutes", "users"}


@pytest.fixture(params=["no statistics", "fresh statistics"])
async def full(db: asyncpg.Connection[Any], request: pytest.FixtureRequest) -> asyncpg.Connection[Any]:
    """A database with 45,000 messages, of which the planner knows nothing or everything."""
    for statement in FILL:
        await db.execute(statement)
    if request.param == "fresh statistics":
        await db.execute("ANALYZE")
    return db


async def plan(db: asyncpg.Connection[Any], statement: Any, **values: Any) -> tuple[list[dict[str, Any]], float]:
    """The nodes of the plan for a statement that is asked for often, and what carrying it out took in ms."""
    names = list(values)
    sql = re.sub(r"(?<!:):(\w+)", lambda found: f"${names.index(found[1]) + 1}", str(statement))
    types = ", ".join("text" if isinstance(value, str) else "int" for value in values.values())
    literals = ", ".join(f"'{value}'" if isinstance(value, str) else str(value) for value in values.values())
    async with db.transaction():
        await db.execute(str(pushfacts.PLANS))
        await db.execute(f"PREPARE asked ({types}) AS {sql}")
        explained = json.loads(await db.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE asked ({literals})"))[0]
        await db.execute("DEALLOCATE asked")
    found: list[dict[str, Any]] = [explained["Plan"]]
    for node in found:
        found.extend(node.get("Plans", ()))
    return found, explained["Execution Time"]


def assert_by_key(nodes: list[dict[str, Any]], rows_max: int) -> None:
    """No table is read from end to end, and no index either: what is looked at is what was asked for."""
    whole = [node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"]
    assert not LARGE & set(whole), whole
    for node in nodes:
        if node.get("Relation Name") in LARGE:
            looked_at = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
            assert looked_at <= rows_max, json.dumps(node, indent=1)
            assert node["Node Type"] != "Bitmap Heap Scan" or node["Actual Loops"] <= rows_max


def array(values: list[Any]) -> str:
    """A literal of Postgres."""
    return "{" + ",".join("NULL" if value is None else str(value) for value in values) + "}"


async def test_deliveries_are_looked_up_by_key(full: asyncpg.Connection[Any]) -> None:
    """Forty deliveries, of which one is outside of any conversation: some forty rows of each table."""
    ids = [row[0] for row in await full.fetch("SELECT md5(n::text)::uuid FROM generate_series(1, 39) n")]
    messages = [row[0] for row in await full.fetch("SELECT md5(n || ':5')::uuid FROM generate_series(1, 39) n")]
    events = [
        row[0] for row in await full.fetch("SELECT md5('event' || n || ':5')::uuid FROM generate_series(1, 40) n")
    ]
    nodes, _ = await plan(
        full,
        pushfacts._DELIVERIES,
        user_ids=array(["busy"] * 39 + ["user-1"]),
        event_ids=array(events),
        conversation_ids=array([*ids, None]),
        message_ids=array([*messages, None]),
        seqs=array([5] * 39 + [None]),
        chars=1024,
    )
    assert nodes[0]["Actual Rows"] == 40
    assert_by_key(nodes, 40)
    nodes, _ = await plan(full, pushfacts._MEMBERS, conversation_ids=array(ids), most=1001)
    assert_by_key(nodes, 600)


async def test_badges_are_counted_by_key(full: asyncpg.Connection[Any]) -> None:
    """Forty users, one with 2,000 conversations: each of theirs is looked at once, and one message of each."""
    nodes, took_ms = await plan(full, pushfacts._USERS, user_ids=array(["busy", *(f"user-{n}" for n in range(39))]))
    assert nodes[0]["Actual Rows"] == 40
    assert_by_key(nodes, 5_000)
    assert took_ms < 2_000
