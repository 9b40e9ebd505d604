"""Sessions, refresh tokens and passwords in Postgres: secrets and short memories, no part of the record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chat_api.domain.accounts import RefreshToken, Session, Standing
from chat_api.domain.user import User
from contracts.control import Revocation
from contracts.events import SessionEnd

USED_TOKENS_KEPT = timedelta(days=7)
"""So long the second use of a refresh token is known as such; afterwards it is refused like one that never was."""
SESSIONS_KEPT = timedelta(days=7)
"""So long a session that is over can still be looked at."""

_STANDING = text("""
SELECT u.user_id, u.name, u.roles, u.blocked_at, u.sessions_ended_at, c.password_hash
FROM users u LEFT JOIN credentials c USING (user_id) WHERE u.user_id = :user_id
""")

_SET_PASSWORD = text("UPDATE credentials SET password_hash = :password_hash WHERE user_id = :user_id")

_SESSION = text("""
SELECT session_id, user_id, created_at, ended_at FROM sessions WHERE session_id = CAST(:session_id AS uuid)
""")

_OPEN = text("""
SELECT session_id, user_id, created_at, ended_at FROM sessions
WHERE user_id = :user_id AND ended_at IS NULL AND expires_at > :now ORDER BY last_used_at, session_id
""")

_BEGIN = text("""
INSERT INTO sessions (session_id, user_id, user_agent, created_at, last_used_at, expires_at)
VALUES (CAST(:session_id AS uuid), :user_id, :user_agent, :now, :now, :expires_at)
""")

_TOUCH = text("""
UPDATE sessions SET last_used_at = :now, expires_at = :expires_at WHERE session_id = CAST(:session_id AS uuid)
""")

_END = text("""
UPDATE sessions SET ended_at = :now, end_reason = :reason
WHERE session_id = ANY(CAST(:session_ids AS uuid[])) AND ended_at IS NULL
""")

_OWNER = text("""
SELECT s.user_id FROM refresh_tokens t JOIN sessions s USING (session_id) WHERE t.token_hash = :digest
""")

_TOKEN = text("""
SELECT s.session_id, s.user_id, s.created_at, s.ended_at, t.expires_at, t.used_at, t.successor_hash,
       (n.used_at IS NOT NULL) AS successor_used
FROM refresh_tokens t JOIN sessions s USING (session_id)
     LEFT JOIN refresh_tokens n ON n.token_hash = t.successor_hash
WHERE t.token_hash = :digest
""")

_KEEP = text("""
INSERT INTO refresh_tokens (token_hash, session_id, expires_at) VALUES (:digest, CAST(:session_id AS uuid), :expires_at)
""")

_USE = text("UPDATE refresh_tokens SET used_at = :now, successor_hash = :successor WHERE token_hash = :digest")

_RETIRE = text("""
UPDATE refresh_tokens SET used_at = :now WHERE session_id = CAST(:session_id AS uuid) AND used_at IS NULL
""")

_FORGET_TOKENS = text("""
DELETE FROM refresh_tokens WHERE ctid IN (SELECT ctid FROM refresh_tokens WHERE used_at < :before LIMIT :batch)
""")

_FORGET_SESSIONS = text("""
WITH gone AS (
    DELETE FROM sessions WHERE session_id IN (
        (SELECT session_id FROM sessions WHERE ended_at < :before LIMIT :batch)
        UNION
        (SELECT session_id FROM sessions WHERE expires_at < :before LIMIT :batch))
    RETURNING session_id
), tokens AS (
    DELETE FROM refresh_tokens WHERE session_id IN (SELECT session_id FROM gone)
), devices AS (
    DELETE FROM push_devices WHERE session_id IN (SELECT session_id FROM gone)
)
SELECT count(*) FROM gone
""")

# Small: who is blocked, and what ended since a moment. Each part has an index of its own.
_REVOKED = text("""
SELECT user_id, CAST(NULL AS uuid) AS session_id, 'blocked' AS what, blocked_at AS at
FROM users WHERE blocked_at IS NOT NULL
UNION ALL
SELECT user_id, NULL, CASE WHEN blocked_at IS NULL THEN 'all' ELSE 'before' END, sessions_ended_at
FROM users WHERE sessions_ended_at > :users_since
UNION ALL
SELECT user_id, session_id, 'session', ended_at FROM sessions WHERE ended_at > :sessions_since
""")


class PostgresAccounts:
    """The `AccountStore` port on one connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def standing(self, user_id: str) -> Standing | None:
        """A registered user with what was decided about its tokens."""
        row = (await self._connection.execute(_STANDING, {"user_id": user_id})).one_or_none()
        if row is None:
            return None
        user = User(row.user_id, row.name, tuple(row.roles))
        return Standing(user, row.blocked_at, row.sessions_ended_at, row.password_hash)

    async def set_password(self, user_id: str, password_hash: str) -> None:
        """Another password for an account that has one."""
        await self._connection.execute(_SET_PASSWORD, {"user_id": user_id, "password_hash": password_hash})

    async def session(self, session_id: str) -> Session | None:
        """One session, over or not."""
        row = (await self._connection.execute(_SESSION, {"session_id": session_id})).one_or_none()
        return None if row is None else _session(row)

    async def open_sessions(self, user_id: str, now: datetime) -> list[Session]:
        """Sessions that may still be renewed, longest unused first."""
        return [_session(row) for row in await self._connection.execute(_OPEN, {"user_id": user_id, "now": now})]

    async def begin_session(self, session: Session, user_agent: str | None, expires_at: datetime) -> None:
        """A new one."""
        values = {"session_id": session.session_id, "user_id": session.user_id, "user_agent": user_agent}
        await self._connection.execute(_BEGIN, {**values, "now": session.created_at, "expires_at": expires_at})

    async def touch_session(self, session_id: str, now: datetime, expires_at: datetime) -> None:
        """It was renewed."""
        await self._connection.execute(_TOUCH, {"session_id": session_id, "now": now, "expires_at": expires_at})

    async def end_sessions(self, session_ids: Sequence[str], reason: SessionEnd, now: datetime) -> None:
        """They are over; those that were over before keep their end."""
        values = {"session_ids": list(session_ids), "reason": reason.value, "now": now}
        await self._connection.execute(_END, values)

    async def refresh_token(self, digest: bytes) -> RefreshToken | None:
        """A refresh token with its session."""
        row = (await self._connection.execute(_TOKEN, {"digest": digest})).one_or_none()
        if row is None:
            return None
        return RefreshToken(_session(row), row.expires_at, row.used_at, row.successor_hash, row.successor_used)

    async def keep_refresh_token(self, digest: bytes, session_id: str, expires_at: datetime) -> None:
        """A new one."""
        values = {"digest": digest, "session_id": session_id, "expires_at": expires_at}
        await self._connection.execute(_KEEP, values)

    async def use_refresh_token(self, digest: bytes, successor: bytes, now: datetime) -> None:
        """It was exchanged for its successor."""
        await self._connection.execute(_USE, {"digest": digest, "successor": successor, "now": now})

    async def retire_refresh_tokens(self, session_id: str, now: datetime) -> None:
        """None of the session's refresh tokens may be used any more."""
        await self._connection.execute(_RETIRE, {"session_id": session_id, "now": now})


async def owner_of_refresh_token(connection: AsyncConnection, digest: bytes) -> str | None:
    """Whose session a refresh token belongs to."""
    found = await connection.scalar(_OWNER, {"digest": digest})
    return None if found is None else str(found)


async def forget_sessions(connection: AsyncConnection, now: datetime, batch: int) -> int:
    """Delete what nobody needs any more, at most about `batch` of each kind; returns the larger number."""
    tokens = await connection.execute(_FORGET_TOKENS, {"before": now - USED_TOKENS_KEPT, "batch": batch})
    sessions = await connection.scalar(_FORGET_SESSIONS, {"before": now - SESSIONS_KEPT, "batch": batch})
    return max(tokens.rowcount, int(sessions or 0))


async def revoked(connection: AsyncConnection, users_since: datetime, sessions_since: datetime) -> list[Revocation]:
    """Everybody who is blocked, and what ended since; who was unblocked since is told as such."""
    rows = await connection.execute(_REVOKED, {"users_since": users_since, "sessions_since": sessions_since})
    return [one for row in rows for one in _revocations(row)]


def _revocations(row: Any) -> list[Revocation]:
    session_id = None if row.session_id is None else str(row.session_id)
    one = Revocation(user_id=row.user_id, session_id=session_id, blocked=row.what == "blocked", at=row.at)
    # Unblocking ends all sessions: who is not blocked now, and whose sessions ended, may have been unblocked then.
    return [one, Revocation(user_id=row.user_id, lifted=True, at=row.at)] if row.what == "all" else [one]


def _session(row: Any) -> Session:
    return Session(str(row.session_id), row.user_id, row.created_at, row.ended_at)
