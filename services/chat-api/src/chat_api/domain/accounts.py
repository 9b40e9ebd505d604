"""Accounts: who may sign in, what a refresh token is worth, and what ends sessions. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from chat_api.domain.errors import RefreshTokenExpired, SessionOver, UserIsBlocked
from chat_api.domain.user import User
from contracts.events import (
    EventData,
    SessionEnd,
    UserBlocked,
    UserRegistered,
    UserSessionsEnded,
    UserUnblocked,
    UserUpdated,
)


@dataclass(frozen=True, slots=True)
class Standing:
    """A registered user, and what was decided about that user's tokens."""

    user: User
    blocked_at: datetime | None = None
    sessions_ended_at: datetime | None = None
    """All tokens issued up to then are good no more."""
    password_hash: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in, as long as its refresh tokens are renewed."""

    session_id: str
    user_id: str
    created_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token by its digest; used once, it has a successor."""

    session: Session
    expires_at: datetime
    used_at: datetime | None = None
    successor_hash: bytes | None = None
    successor_used: bool = False


class Refresh(Enum):
    """What a refresh token is worth."""

    ROTATE = "rotate"
    """Used for the first time: the next one takes its place."""
    REPEAT = "repeat"
    """Used a moment ago by somebody who did not get the answer: the same answer again."""
    REUSED = "reused"
    """Used before: somebody else has it. The session ends."""


def decide_refresh(token: RefreshToken, standing: Standing, now: datetime, grace_s: float) -> Refresh:
    """What to do with a refresh token; raises a `Refused` if its session or its user is gone."""
    if standing.blocked_at is not None:
        raise UserIsBlocked
    if token.session.ended_at is not None:
        raise SessionOver
    if token.used_at is not None:
        # A client that lost the answer comes again at once, and has not used what it never got.
        lost = token.successor_hash is not None and not token.successor_used
        soon = now - token.used_at <= timedelta(seconds=grace_s)
        return Refresh.REPEAT if lost and soon else Refresh.REUSED
    if token.expires_at <= now:
        raise RefreshTokenExpired
    return Refresh.ROTATE


def end_session(session: Session, reason: SessionEnd, by: str, now: datetime) -> tuple[EventData, ...]:
    """The session is over; one that is over already stays as it is."""
    if session.ended_at is not None:
        return ()
    return (
        UserSessionsEnded(user_id=session.user_id, session_id=session.session_id, reason=reason, by=by, ended_at=now),
    )


def end_sessions(standing: Standing, reason: SessionEnd, by: str, now: datetime) -> tuple[EventData, ...]:
    """All tokens issued so far are good no more. Nothing to say of who is blocked: nothing of his is good anyway."""
    if standing.blocked_at is not None:
        return ()
    return (UserSessionsEnded(user_id=standing.user.user_id, reason=reason, by=by, ended_at=now),)


def block(standing: Standing, by: str, now: datetime) -> tuple[EventData, ...]:
    """The user may not use the service any more."""
    if standing.blocked_at is not None:
        return ()
    return (UserBlocked(user_id=standing.user.user_id, by=by, blocked_at=now),)


def unblock(standing: Standing, by: str, now: datetime) -> tuple[EventData, ...]:
    """The user may sign in again; tokens from before the block do not come back to life."""
    if standing.blocked_at is None:
        return ()
    user_id = standing.user.user_id
    return (
        UserUnblocked(user_id=user_id, by=by, unblocked_at=now),
        UserSessionsEnded(user_id=user_id, reason=SessionEnd.REVOKED, by=by, ended_at=now),
    )


def too_many(sessions: Sequence[Session], sessions_max: int) -> Sequence[Session]:
    """Of the open sessions, longest unused first: those that end so that one more fits."""
    return sessions[: max(0, len(sessions) - sessions_max + 1)]


def met(
    user: User | None, user_id: str, name: str | None, roles: tuple[str, ...], now: datetime
) -> tuple[EventData, ...]:
    """What an issuer's token says about a user, known or not; a name that it does not say stays."""
    if user is None:
        return (UserRegistered(user_id=user_id, name=name, roles=roles, registered_at=now),)
    name = user.name if name is None else name
    if (user.name, user.roles) == (name, roles):
        return ()
    return (UserUpdated(user_id=user_id, name=name, roles=roles, updated_at=now),)
