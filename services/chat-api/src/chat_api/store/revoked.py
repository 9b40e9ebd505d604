"""What the record says of blocked users and ended sessions, as revocations for everybody who lets people in."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.store.database import translated
from contracts.control import REVOCATIONS_AGE_MAX_S, Revocation, block_key, session_key, user_key
from contracts.stream_ids import UserStream

PAGE_MAX = 500

_USER = "user:"

# The conditions are word for word those of the partial indexes.
_BLOCKS_OF_USER = text("""
SELECT DISTINCT ON (type) type, seq, CAST(data AS text) AS data FROM events
WHERE stream = :stream AND type IN ('user.blocked', 'user.unblocked') ORDER BY type, seq DESC
""")

_ALL_ENDED_OF_USER = text("""
SELECT CAST(data AS text) AS data FROM events
WHERE recorded_at > :since AND stream = :stream AND type = 'user.sessions_ended' AND data->>'session_id' IS NULL
ORDER BY recorded_at DESC LIMIT 1
""")

# Users with a block that stands, or with one whose end is news.
_BLOCKED = text("""
SELECT stream FROM (
    SELECT DISTINCT ON (stream) stream, type, recorded_at FROM events
    WHERE stream > :after AND type IN ('user.blocked', 'user.unblocked') ORDER BY stream, seq DESC
) AS last
WHERE type = 'user.blocked' OR recorded_at > :since
ORDER BY stream LIMIT :limit
""")

_ENDED = text("""
SELECT position, recorded_at, stream, CAST(data AS text) AS data FROM events
WHERE recorded_at > :since AND (recorded_at, position) > (:at, :position) AND type = 'user.sessions_ended'
ORDER BY recorded_at, position LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds now under one key."""

    key: str
    revocation: Revocation


def of_session(data: dict[str, Any]) -> Standing:
    """The end of one session, from the event's data. It holds for ever: sessions do not come back."""
    revocation = Revocation(user_id=data["user_id"], session_id=data["session_id"], at=data["ended_at"])
    return Standing(session_key(data["session_id"]), revocation)


def keys_of_user(user_id: str) -> tuple[str, str]:
    """The keys under which `of_user` may find something."""
    return block_key(user_id), user_key(user_id)


async def of_user(engine: AsyncEngine, user_id: str) -> list[Standing]:
    """What holds now for a user's tokens: whether the user is blocked, and up to which moment tokens are void.

    Read anew for every event instead of being taken from it: events may be handled twice and late, and what was true
    when an older one happened must not replace what is true now.
    """
    stream = str(UserStream(user_id))
    async with translated(), engine.connect() as connection:
        blocks = {row.type: row for row in await connection.execute(_BLOCKS_OF_USER, {"stream": stream})}
        ended = await connection.scalar(_ALL_ENDED_OF_USER, {"stream": stream, "since": _since()})
    found: list[Standing] = []
    moments: list[datetime] = []
    blocked, unblocked = blocks.get("user.blocked"), blocks.get("user.unblocked")
    if blocked is not None:
        at = datetime.fromisoformat(json.loads(blocked.data)["blocked_at"])
        # Every session is over, also when the block is lifted again. Tokens say their second only: one that is issued
        # right after the lifting must not look as if it were from before the block.
        moments.append(at.replace(microsecond=0) - timedelta(milliseconds=1))
        if unblocked is not None and unblocked.seq > blocked.seq:
            lifted = json.loads(unblocked.data)["unblocked_at"]
            found.append(Standing(block_key(user_id), Revocation(user_id=user_id, lifted=True, at=lifted)))
        else:
            found.append(Standing(block_key(user_id), Revocation(user_id=user_id, blocked=True, at=at)))
    if ended is not None:
        moments.append(datetime.fromisoformat(json.loads(ended)["ended_at"]))
    if moments and max(moments) > _since():
        found.append(Standing(user_key(user_id), Revocation(user_id=user_id, at=max(moments))))
    return found


async def blocked_users(engine: AsyncEngine) -> AsyncIterator[list[str]]:
    """Page by page: users who are blocked, and those who no longer are since a while that a token might survive."""
    after = _USER
    while True:
        async with translated(), engine.connect() as connection:
            rows = (await connection.execute(_BLOCKED, {"after": after, "since": _since(), "limit": PAGE_MAX})).all()
        yield [row.stream.removeprefix(_USER) for row in rows]
        if len(rows) < PAGE_MAX:
            return
        after = rows[-1].stream


async def ended_sessions(engine: AsyncEngine) -> AsyncIterator[list[dict[str, Any]]]:
    """Page by page: the data of every `user.sessions_ended` that a token might survive, oldest first."""
    since = _since()
    at, position = since, 0
    while True:
        async with translated(), engine.connect() as connection:
            values = {"since": since, "at": at, "position": position, "limit": PAGE_MAX}
            rows = (await connection.execute(_ENDED, values)).all()
        yield [json.loads(row.data) for row in rows]
        if len(rows) < PAGE_MAX:
            return
        at, position = rows[-1].recorded_at, rows[-1].position


def _since() -> datetime:
    return datetime.now(UTC) - timedelta(seconds=REVOCATIONS_AGE_MAX_S)
