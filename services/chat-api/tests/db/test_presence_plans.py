"""How Postgres answers "with whom of these do I share a conversation": by indexes alone, whatever it believes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.store import presence

# `busy` and `staff` take part in 2,000 conversations each, 100 of which they share; 500 others in 60 each.
FILL = [
    "INSERT INTO participants SELECT md5(n::text)::uuid, 'busy', true, 1, NULL, 0, now()"
    " FROM generate_series(1, 2000) n",
    "INSERT INTO participants SELECT md5(n::text)::uuid, 'staff', true, 1, NULL, 0, now()"
    " FROM generate_series(1901, 3900) n",
    """
    INSERT INTO participants SELECT md5((n * 7 + k * 11)::text)::uuid, 'user-' || n, k % 5 > 0, 1, NULL, 1, now()
    FROM generate_series(1, 500) n, generate_series(1, 60) k ON CONFLICT DO NOTHING
    """,
    "INSERT INTO participants SELECT md5('far' || n)::uuid, 'far-' || n, true, 1, NULL, 1, now()"
    " FROM generate_series(1, 200) n",
    "INSERT INTO participants VALUES (md5('1')::uuid, 'gone', false, 1, 5, 1, now())",
]
ASKED = ["staff", "gone", *(f"far-{n}" for n in range(1, 100)), *(f"user-{n}" for n in range(1, 100))]


@pytest.fixture(params=["no statistics", "old statistics", "fresh statistics"])
async def full(db: asyncpg.Connection[Any], request: pytest.FixtureRequest) -> asyncpg.Connection[Any]:
    """A database of whose 34,000 memberships the planner knows nothing, the first ones, or all."""
    for number, statement in enumerate(FILL):
        await db.execute(statement)
        if request.param == "old statistics" and number == 0:
            await db.execute("ANALYZE")
    if request.param == "fresh statistics":
        await db.execute("ANALYZE")
    return db


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan's node and all below it."""
    yield node
    for child in node.get("Plans", ()):
        yield from nodes(child)


async def explained(db: asyncpg.Connection[Any], statement: Any, **values: str) -> dict[str, Any]:
    """The plan of a statement with named parameters, and what it took."""
    names = list(values)
    sql = re.sub(r"(?<!:):(\w+)", lambda found: f"${names.index(found[1]) + 1}", str(statement))
    async with db.transaction():
        await db.execute(f"PREPARE asked AS {sql}")
        literals = ", ".join(values.values())
        found = await db.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE asked ({literals})")
        await db.execute("DEALLOCATE asked")
    plan: dict[str, Any] = json.loads(found)[0]["Plan"]
    return plan


async def test_companions_are_found_by_index(full: asyncpg.Connection[Any], engine: AsyncEngine) -> None:
    """200 others at once, by somebody with 2,000 conversations: no table is read from end to end."""
    for asker in ("busy", "staff", "far-3", "nobody"):
        asked = "'{" + ",".join(ASKED) + "}'"
        plan = await explained(full, presence._COMPANIONS, user_ids=asked, user_id=f"'{asker}'")
        whole = [node["Relation Name"] for node in nodes(plan) if node["Node Type"] == "Seq Scan"]
        assert whole == [], json.dumps(plan, indent=1)
    async with engine.connect() as connection:
        found = await presence.companions(connection, "busy", ASKED)
        expected = await full.fetch(
            "SELECT DISTINCT b.user_id FROM participants a JOIN participants b USING (conversation_id)"
            " WHERE a.user_id = 'busy' AND a.is_active AND b.is_active AND b.user_id = ANY($1)",
            ASKED,
        )
        assert found == {row[0] for row in expected}
        assert "staff" in found
        assert not {"gone", "far-1"} & found
        assert await presence.companions(connection, "far-3", ["far-3", "busy"]) == {"far-3"}


async def test_membership_and_messages_are_found_by_index(full: asyncpg.Connection[Any]) -> None:
    """What a typing signal asks before it is told, and what receipts by message ids ask."""
    conversation = "md5('1')::uuid"
    for statement, values in (
        (presence._MEMBERS, {"conversation_id": conversation, "limit": "201"}),
        (presence._IS_MEMBER, {"conversation_id": conversation, "user_id": "'busy'"}),
        (presence._HIGHEST, {"conversation_id": conversation, "message_ids": "ARRAY[md5('a')::uuid, md5('b')::uuid]"}),
    ):
        plan = await explained(full, statement, **values)
        whole = [
            node["Relation Name"]
            for node in nodes(plan)
            if node["Node Type"] == "Seq Scan" and node["Relation Name"] == "participants"
        ]
        assert whole == [], json.dumps(plan, indent=1)
