"""One transaction per command (or batch of sends): locks first, then decisions, events and read tables, then commit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from chat_api.commands.ports import (
    AttachmentLink,
    Clash,
    KnownConsult,
    Once,
    Recordable,
    SendContext,
    StoredResponse,
)
from chat_api.domain.attachments import Upload
from chat_api.domain.commands import SendMessage
from chat_api.domain.conversation import Conversation
from chat_api.domain.errors import IdempotencyConflict
from chat_api.domain.notices import Broadcast
from chat_api.domain.user import Membership, User
from chat_api.store import accounts, attachments, broadcasts, consults, counts, event_store, projections, queries
from chat_api.store.accounts import PostgresAccounts
from chat_api.store.database import translated
from chat_api.store.devices import PostgresDevices
from chat_api.store.event_store import NewEvent
from chat_api.store.preferences import PostgresPreferences
from contracts.attachments import Attachment
from contracts.ids import new_id
from contracts.messages import Message
from contracts.stream_ids import StreamId
from kit import tracing

# A second request with the same key waits here until the first has committed or rolled back.
_CLAIM = text("""
INSERT INTO idempotency_keys (user_id, key, fingerprint) VALUES (:user_id, :key, :fingerprint)
ON CONFLICT (user_id, key) DO UPDATE
SET fingerprint = excluded.fingerprint, status = NULL, body = NULL, created_at = now()
WHERE idempotency_keys.created_at < now() - make_interval(secs => :ttl_s)
RETURNING 1
""")

_CLAIMED = text("SELECT fingerprint, status, body FROM idempotency_keys WHERE user_id = :user_id AND key = :key")

_REMEMBER = text("UPDATE idempotency_keys SET status = :status, body = :body WHERE user_id = :user_id AND key = :key")

_FORGET = text("""
DELETE FROM idempotency_keys WHERE ctid IN (
    SELECT ctid FROM idempotency_keys WHERE created_at < now() - make_interval(secs => :ttl_s) LIMIT :batch)
""")


class PostgresTransaction:
    """The `Transaction` port on one connection."""

    def __init__(self, connection: AsyncConnection, once: Once | None) -> None:
        self._connection = connection
        self._once = once
        self.replay: StoredResponse | None = None
        self.appended = 0

    @property
    def accounts(self) -> PostgresAccounts:
        """Sessions and credentials, in this transaction."""
        return PostgresAccounts(self._connection)

    @property
    def devices(self) -> PostgresDevices:
        """Registered devices, in this transaction."""
        return PostgresDevices(self._connection)

    @property
    def preferences(self) -> PostgresPreferences:
        """Wishes and mutes, in this transaction."""
        return PostgresPreferences(self._connection)

    async def send_contexts(self, commands: Sequence[SendMessage]) -> list[SendContext]:
        """One context per command, in order."""
        return await queries.for_sending(self._connection, commands)

    async def messages(self, ids: Sequence[str]) -> dict[str, tuple[Message, bytes | None]]:
        """Messages by id, with the fingerprints of the sends that made them."""
        return await queries.messages_by_id(self._connection, ids)

    async def conversation(
        self, conversation_id: str, user_ids: Sequence[str], message_ids: Sequence[str] = ()
    ) -> Conversation | None:
        """The state that a decision about these users and messages needs."""
        return await queries.conversation_state(self._connection, conversation_id, user_ids, message_ids)

    async def membership(self, conversation_id: str, user_id: str) -> Membership | None:
        """The user's active place in the conversation."""
        return await queries.membership(self._connection, conversation_id, user_id)

    async def members_among(self, pairs: Collection[tuple[str, str]]) -> dict[str, frozenset[str]]:
        """Of pairs of conversation and user: who takes part, by conversation."""
        return await queries.members_among(self._connection, pairs)

    async def user(self, user_id: str) -> User | None:
        """A registered user."""
        return await queries.user(self._connection, user_id)

    async def conversations_of(self, user_id: str, up_to: int) -> int:
        """In how many conversations the user takes part, counted up to a limit."""
        return await counts.conversations_of(self._connection, user_id, up_to)

    async def participants_of(self, conversation_id: str, up_to: int) -> int:
        """How many take part in the conversation, counted up to a limit."""
        return await counts.participants_of(self._connection, conversation_id, up_to)

    async def unknown_users(self, user_ids: Sequence[str]) -> list[str]:
        """Those that nobody registered."""
        return await queries.unknown_users(self._connection, user_ids)

    async def consult(self, conversation_id: str) -> KnownConsult | None:
        """The consult that the conversation is, if it is one."""
        return await consults.known(self._connection, conversation_id)

    async def uploads(self, ids: Sequence[str]) -> dict[str, Upload]:
        """Stored files by id; they stay as they are until the transaction ends."""
        return await attachments.uploads(self._connection, ids)

    async def upload_stored(self, attachment: Attachment, now: datetime) -> bool:
        """All of a file is there; False if it was given up meanwhile."""
        return await attachments.stored(self._connection, attachment, now)

    async def link_attachments(self, links: Sequence[AttachmentLink]) -> None:
        """Note which messages carry which files."""
        await attachments.link(self._connection, links)

    async def forget_attachment_of(self, message_id: str, now: datetime) -> None:
        """Nobody gets the message's file any more."""
        await attachments.forget_of_message(self._connection, message_id, now)

    async def set_credentials(self, user_id: str, password_hash: str) -> None:
        """Give a new user a password."""
        await queries.set_credentials(self._connection, user_id, password_hash)

    async def begin_broadcast(self, command: Broadcast) -> int:
        """Accept a broadcast; returns how many users it is for."""
        return await broadcasts.begin(self._connection, command)

    async def append(
        self, events: Sequence[Recordable], now: datetime, heads: Mapping[StreamId, int] | None = None
    ) -> list[int]:
        """Record events in order and bring the read tables up to date; returns each event's seq.

        `heads` are the last seqs of all streams concerned, if the caller has just read them under the lock.
        """
        if not events:
            return []
        ends = dict(heads or await event_store.heads(self._connection, {event.stream for event in events}))
        new: list[NewEvent] = []
        # Of the request that this task carries out; a batch of sends is carried out by none, and each brings its own.
        traceparent = tracing.current()
        trace = {} if traceparent is None else {"traceparent": traceparent}
        for event in events:
            ends[event.stream] += 1
            beside = {**trace, **event.metadata}
            new.append(NewEvent(event.stream, ends[event.stream], new_id(), event.data, beside, now))
        await event_store.append(self._connection, new)
        await projections.project(self._connection, new)
        self.appended += len(new)
        return [event.seq for event in new]

    async def claim(self, once: Once, ttl_s: int) -> None:
        """Take the key, or set `replay`; raises `IdempotencyConflict` if it stands for another request."""
        key = {"user_id": once.user_id, "key": once.key}
        taken = await self._connection.scalar(_CLAIM, {**key, "fingerprint": once.fingerprint, "ttl_s": ttl_s})
        if taken is not None:
            return
        row = (await self._connection.execute(_CLAIMED, key)).one()
        if row.fingerprint != once.fingerprint:
            raise IdempotencyConflict
        self.replay = StoredResponse(row.status, row.body)

    async def remember(self, response: StoredResponse) -> None:
        """Keep the answer for a repeat of the same request; nothing to do without a key."""
        if self._once is not None:
            await self._connection.execute(
                _REMEMBER,
                {
                    "user_id": self._once.user_id,
                    "key": self._once.key,
                    "status": response.status,
                    "body": response.body,
                },
            )


@asynccontextmanager
async def _clashes() -> AsyncIterator[None]:
    """Turns a violated uniqueness into `Clash`: locks are per stream, a `client_msg_id` counts across all of them."""
    try:
        yield
    except IntegrityError as error:
        if getattr(error.orig, "sqlstate", None) == "23505":
            raise Clash from error
        raise


class PostgresUnitOfWork:
    """The `UnitOfWork` port. `on_committed` is called after a commit that appended events; it must not block."""

    def __init__(self, engine: AsyncEngine, on_committed: Callable[[], None], idempotency_ttl_s: int) -> None:
        self._engine = engine
        self._on_committed = on_committed
        self._idempotency_ttl_s = idempotency_ttl_s

    @asynccontextmanager
    async def begin(
        self, streams: Collection[StreamId], *, once: Once | None = None
    ) -> AsyncIterator[PostgresTransaction]:
        """A transaction that holds the locks of `streams`; raises `DatabaseUnavailable` if Postgres is away."""
        async with translated(), _clashes(), self._engine.begin() as connection:
            transaction = PostgresTransaction(connection, once)
            # The locks come before the first write: see event_store.
            await event_store.lock(connection, streams)
            if once is not None:
                await transaction.claim(once, self._idempotency_ttl_s)
            yield transaction
        if transaction.appended:
            self._on_committed()

    async def conversation_of_message(self, message_id: str) -> str | None:
        """Where a message belongs; a message never moves, so this needs no lock."""
        async with translated(), self._engine.connect() as connection:
            return await queries.conversation_of_message(connection, message_id)

    async def owner_of_refresh_token(self, digest: bytes) -> str | None:
        """Whose session a refresh token belongs to; that never changes, so this needs no lock."""
        async with translated(), self._engine.connect() as connection:
            return await accounts.owner_of_refresh_token(connection, digest)

    async def forget_old_sessions(self, now: datetime, batch: int) -> int:
        """Delete sessions and refresh tokens that nobody needs any more, in batches; returns how many."""
        async with translated(), self._engine.begin() as connection:
            return await accounts.forget_sessions(connection, now, batch)

    async def consult(self, conversation_id: str) -> KnownConsult | None:
        """A consult as it stands, without a lock: what to lock follows from it."""
        async with translated(), self._engine.connect() as connection:
            return await consults.known(connection, conversation_id)

    async def forget_old_keys(self, batch: int) -> int:
        """Delete expired idempotency keys, at most `batch` of them; returns how many."""
        async with translated(), self._engine.begin() as connection:
            return (await connection.execute(_FORGET, {"ttl_s": self._idempotency_ttl_s, "batch": batch})).rowcount
