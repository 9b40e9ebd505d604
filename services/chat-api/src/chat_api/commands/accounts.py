"""Signing in and out, refresh tokens, passwords, blocks: what changes an account, each in one transaction.

A refresh token is 256 bits of which only the digest is stored. Its successor is computed from it with a secret: so the
same token, come again because its answer was lost, gets the very same answer, and nothing readable is kept for that.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from chat_api.commands.ports import Once, Recordable, StoredResponse, Transaction
from chat_api.domain import accounts
from chat_api.domain.accounts import Refresh, RefreshToken, Session, Standing
from chat_api.domain.errors import NotFound, RefreshTokenUnknown, SessionOver, UserIsBlocked, WrongCredentials
from chat_api.domain.user import User
from contracts.control import Revocation
from contracts.events import AdminAct, AdminActed, EventData, SessionEnd, UserBlocked, UserSessionsEnded, UserUnblocked
from contracts.ids import new_id
from contracts.stream_ids import StreamId, UserStream

_PREFIX = "nrt_"
"""So that a scanner for secrets knows a refresh token when it sees one."""
_PURPOSE = b"natter refresh tokens"
USER_AGENT_LENGTH_MAX = 200


class AccountStore(Protocol):
    """Sessions and credentials, in the transaction."""

    async def standing(self, user_id: str) -> Standing | None: ...
    async def set_password(self, user_id: str, password_hash: str) -> None: ...
    async def session(self, session_id: str) -> Session | None: ...
    async def open_sessions(self, user_id: str, now: datetime) -> list[Session]: ...
    async def begin_session(self, session: Session, user_agent: str | None, expires_at: datetime) -> None: ...
    async def touch_session(self, session_id: str, now: datetime, expires_at: datetime) -> None: ...
    async def end_sessions(self, session_ids: Sequence[str], reason: SessionEnd, now: datetime) -> None: ...
    async def refresh_token(self, digest: bytes) -> RefreshToken | None: ...
    async def keep_refresh_token(self, digest: bytes, session_id: str, expires_at: datetime) -> None: ...
    async def use_refresh_token(self, digest: bytes, successor: bytes, now: datetime) -> None: ...
    async def retire_refresh_tokens(self, session_id: str, now: datetime) -> None: ...


class DevicesOfSessions(Protocol):
    """Devices that go when sessions end: nobody signed out is told anything."""

    async def forget_of_sessions(self, user_id: str, session_ids: Sequence[str]) -> None: ...
    async def forget_of_user(self, user_id: str) -> None: ...


class AccountTransaction(Transaction, Protocol):
    """A transaction that also sees accounts."""

    @property
    def accounts(self) -> AccountStore: ...
    @property
    def devices(self) -> DevicesOfSessions: ...


class AccountUnitOfWork(Protocol):
    """Begins them."""

    def begin(
        self, streams: Collection[StreamId], *, once: Once | None = None
    ) -> AbstractAsyncContextManager[AccountTransaction]: ...

    async def owner_of_refresh_token(self, digest: bytes) -> str | None: ...


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What a client gets: whom the access token is for, and the refresh token."""

    user: User
    session_id: str
    refresh_token: str
    refresh_expires_at: datetime
    issued_after: datetime | None
    """The access token must be younger than this, or it would count as revoked."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long sessions live, and how many of them a user may have."""

    refresh_ttl_s: float
    refresh_grace_s: float
    sessions_max: int


class Accounts:
    """Every command about accounts. `revoked` hears of what this process has revoked, after the commit."""

    def __init__(
        self, uow: AccountUnitOfWork, secret: str, limits: Limits, revoked: Callable[[Revocation], None]
    ) -> None:
        self._uow = uow
        self._key = hmac.digest(secret.encode(), _PURPOSE, hashlib.sha256)
        self._limits = limits
        self._revoked = revoked

    async def sign_in(self, user_id: str, password_hash: str, user_agent: str | None, now: datetime) -> SignedIn:
        """Begin a session; `password_hash` is the one that the password was found to match."""
        async with self._uow.begin({UserStream(user_id)}) as transaction:
            standing = await transaction.accounts.standing(user_id)
            # The password may have changed, or the user been blocked, while argon2 was at work.
            if standing is None or standing.password_hash != password_hash:
                raise WrongCredentials
            if standing.blocked_at is not None:
                raise UserIsBlocked
            opened = await transaction.accounts.open_sessions(user_id, now)
            ended = accounts.too_many(opened, self._limits.sessions_max)
            events = await self._end(transaction, ended, SessionEnd.REVOKED, user_id, now)
            signed_in = await self._begin_session(transaction, standing, user_agent, now)
        self._tell(events)
        return signed_in

    async def refresh(self, token: str, now: datetime) -> SignedIn:
        """The next pair of tokens; raises a `Refused`. A token that was used before ends its session."""
        digest = _digest(token)
        owner = await self._uow.owner_of_refresh_token(digest)
        if owner is None:
            raise RefreshTokenUnknown
        async with self._uow.begin({UserStream(owner)}) as transaction:
            found = await transaction.accounts.refresh_token(digest)
            standing = await transaction.accounts.standing(owner)
            if found is None or standing is None:
                raise RefreshTokenUnknown
            session = found.session
            worth = accounts.decide_refresh(found, standing, now, self._limits.refresh_grace_s)
            events: tuple[EventData, ...] = ()
            signed_in = None
            if worth is Refresh.REUSED:
                events = await self._end(transaction, [session], SessionEnd.REFRESH_TOKEN_REUSED, owner, now)
            else:
                signed_in = await self._rotate(
                    transaction, token, session, standing, now, again=worth is Refresh.REPEAT
                )
        self._tell(events)
        if signed_in is None:
            raise SessionOver("This refresh token was used before: its session is over, for whoever has it.")
        return signed_in

    async def sign_out(self, user_id: str, session_id: str | None, now: datetime) -> None:
        """End one session of the user, or all of them (None)."""
        async with self._uow.begin({UserStream(user_id)}) as transaction:
            if session_id is not None:
                session = await transaction.accounts.session(session_id)
                mine = [session] if session is not None and session.user_id == user_id else []
                events = await self._end(transaction, mine, SessionEnd.LOGOUT, user_id, now)
            else:
                standing = await transaction.accounts.standing(user_id) or Standing(User(user_id, None, ()))
                events = accounts.end_sessions(standing, SessionEnd.LOGOUT, user_id, now)
                await self._end_all(transaction, user_id, events, SessionEnd.LOGOUT, user_id, now)
        self._tell(events)

    async def change_password(
        self,
        user_id: str,
        session_id: str | None,
        *,
        old_hash: str,
        new_hash: str,
        user_agent: str | None,
        now: datetime,
    ) -> SignedIn:
        """Another password: every other session ends, and this one gets a new pair of tokens."""
        async with self._uow.begin({UserStream(user_id)}) as transaction:
            standing = await transaction.accounts.standing(user_id)
            if standing is None or standing.password_hash != old_hash:
                raise WrongCredentials
            await transaction.accounts.set_password(user_id, new_hash)
            opened = await transaction.accounts.open_sessions(user_id, now)
            others = [session for session in opened if session.session_id != session_id]
            events = await self._end(transaction, others, SessionEnd.PASSWORD_CHANGED, user_id, now)
            here = next((session for session in opened if session.session_id == session_id), None)
            if here is None:
                signed_in = await self._begin_session(transaction, standing, user_agent, now)
            else:
                await transaction.accounts.retire_refresh_tokens(here.session_id, now)
                signed_in = await self._give_token(transaction, _new_token(), here, standing, now)
        self._tell(events)
        return signed_in

    async def block(self, user_id: str, by: str, now: datetime, once: Once | None = None) -> None:
        """The user may not use the service any more, and every session ends."""
        await self._act(AdminAct.BLOCK_USER, user_id, by, now, once)

    async def unblock(self, user_id: str, by: str, now: datetime, once: Once | None = None) -> None:
        """The user may sign in again."""
        await self._act(AdminAct.UNBLOCK_USER, user_id, by, now, once)

    async def revoke_sessions(self, user_id: str, by: str, now: datetime, once: Once | None = None) -> None:
        """Every token of the user that was issued so far is good no more."""
        await self._act(AdminAct.REVOKE_SESSIONS, user_id, by, now, once)

    async def _act(self, act: AdminAct, user_id: str, by: str, now: datetime, once: Once | None) -> None:
        async with self._uow.begin({UserStream(user_id), UserStream(by)}, once=once) as transaction:
            if transaction.replay is not None:
                return
            standing = await transaction.accounts.standing(user_id)
            if standing is None:
                raise NotFound
            match act:
                case AdminAct.BLOCK_USER:
                    events = accounts.block(standing, by, now)
                case AdminAct.UNBLOCK_USER:
                    events = accounts.unblock(standing, by, now)
                case _:
                    events = accounts.end_sessions(standing, SessionEnd.REVOKED, by, now)
            await self._end_all(transaction, user_id, events, SessionEnd.REVOKED, by, now)
            if events:
                acted = AdminActed(user_id=by, act=act, target=user_id, acted_at=now)
                await transaction.append([Recordable(UserStream(by), acted, {"actor": by})], now)
            await transaction.remember(StoredResponse(204, ""))
        self._tell(events)

    async def _end(
        self, transaction: AccountTransaction, sessions: Sequence[Session], reason: SessionEnd, by: str, now: datetime
    ) -> tuple[EventData, ...]:
        """End these sessions, an event for each."""
        events = tuple(event for session in sessions for event in accounts.end_session(session, reason, by, now))
        if events:
            ids = [session.session_id for session in sessions]
            await transaction.accounts.end_sessions(ids, reason, now)
            await transaction.devices.forget_of_sessions(sessions[0].user_id, ids)
            stream = UserStream(sessions[0].user_id)
            await transaction.append([Recordable(stream, event, {"actor": by}) for event in events], now)
        return events

    async def _end_all(
        self,
        transaction: AccountTransaction,
        user_id: str,
        events: Sequence[EventData],
        reason: SessionEnd,
        by: str,
        now: datetime,
    ) -> None:
        """End every session, with events that speak of them all."""
        if events:
            opened = await transaction.accounts.open_sessions(user_id, now)
            await transaction.accounts.end_sessions([session.session_id for session in opened], reason, now)
            await transaction.devices.forget_of_user(user_id)
            await transaction.append([Recordable(UserStream(user_id), event, {"actor": by}) for event in events], now)

    async def _begin_session(
        self, transaction: AccountTransaction, standing: Standing, user_agent: str | None, now: datetime
    ) -> SignedIn:
        session = Session(new_id(), standing.user.user_id, now)
        agent = user_agent[:USER_AGENT_LENGTH_MAX] if user_agent else None
        await transaction.accounts.begin_session(session, agent, self._expiry(now))
        return await self._give_token(transaction, _new_token(), session, standing, now)

    async def _rotate(
        self,
        transaction: AccountTransaction,
        token: str,
        session: Session,
        standing: Standing,
        now: datetime,
        *,
        again: bool,
    ) -> SignedIn:
        successor = self._successor(token)
        if again:
            known = await transaction.accounts.refresh_token(_digest(successor))
            if known is None:  # the secret was changed in the same ten seconds
                raise RefreshTokenUnknown
            return self._signed_in(successor, session, standing, known.expires_at)
        await transaction.accounts.use_refresh_token(_digest(token), _digest(successor), now)
        return await self._give_token(transaction, successor, session, standing, now)

    async def _give_token(
        self, transaction: AccountTransaction, token: str, session: Session, standing: Standing, now: datetime
    ) -> SignedIn:
        expires_at = self._expiry(now)
        await transaction.accounts.keep_refresh_token(_digest(token), session.session_id, expires_at)
        await transaction.accounts.touch_session(session.session_id, now, expires_at)
        return self._signed_in(token, session, standing, expires_at)

    def _signed_in(self, token: str, session: Session, standing: Standing, expires_at: datetime) -> SignedIn:
        return SignedIn(standing.user, session.session_id, token, expires_at, standing.sessions_ended_at)

    def _expiry(self, now: datetime) -> datetime:
        return now + timedelta(seconds=self._limits.refresh_ttl_s)

    def _successor(self, token: str) -> str:
        return _PREFIX + _text(hmac.digest(self._key, token.encode(), hashlib.sha256))

    def _tell(self, events: Sequence[EventData]) -> None:
        for event in events:
            revocation = revocation_of(event)
            if revocation is not None:
                self._revoked(revocation)


def revocation_of(event: EventData) -> Revocation | None:
    """What an event says about tokens, if it says anything."""
    match event:
        case UserBlocked():
            return Revocation(user_id=event.user_id, blocked=True, at=event.blocked_at)
        case UserUnblocked():
            return Revocation(user_id=event.user_id, lifted=True, at=event.unblocked_at)
        case UserSessionsEnded():
            return Revocation(user_id=event.user_id, session_id=event.session_id, at=event.ended_at)
        case _:
            return None


def _new_token() -> str:
    return _PREFIX + _text(secrets.token_bytes(32))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
