"""The ports kept in memory, and builders of values, for tests of whatever stands on `commands`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from chat_api.commands.ports import AttachmentLink, KnownConsult, Once, Recordable, SendContext, StoredResponse
from chat_api.domain import consult, conversation
from chat_api.domain.attachments import Upload
from chat_api.domain.commands import Actor, CreateConversation, RegisterUser, SendMessage
from chat_api.domain.consult import ConsultState
from chat_api.domain.conversation import Conversation
from chat_api.domain.errors import IdempotencyConflict
from chat_api.domain.notices import Broadcast
from chat_api.domain.user import Membership, User
from contracts.attachments import Attachment
from contracts.events import (
    ConversationCreated,
    EventData,
    MessageCreated,
    MessageDeleted,
    MessageEdited,
    UserReadAdvanced,
    UserRegistered,
)
from contracts.ids import new_id
from contracts.messages import Message, MessageDraft
from contracts.stream_ids import ConversationStream, StreamId, UserStream

AT = datetime(2026, 1, 31, 8, 15, 30, 123000, tzinfo=UTC)
"""An instant; tests that need a later one add to it."""

SERVICE = Actor("host-application", privileged=True)


def after(seconds: float) -> datetime:
    """The instant so long after `AT`."""
    return AT + timedelta(seconds=seconds)


def create(owner_id: str, *others: str, conversation_id: str | None = None, **changes: Any) -> CreateConversation:
    """A command that opens a conversation."""
    fields: dict[str, Any] = {
        "conversation_id": conversation_id or new_id(),
        "actor": Actor(owner_id),
        "owner_id": owner_id,
        "participant_ids": others,
        "title": None,
        "metadata": None,
        "now": AT,
    }
    return CreateConversation(**(fields | changes))


def send(conversation_id: str, sender_id: str, content: str = "hello", **changes: Any) -> SendMessage:
    """A command that sends a text. What is no field of the command is one of the draft."""
    own = {"message_id", "sender_name", "upload", "privileged", "sender_type", "shown_name", "now", "exclude_user_ids"}
    draft = {"client_msg_id": new_id(), "content": content} | {k: v for k, v in changes.items() if k not in own}
    fields: dict[str, Any] = {"message_id": new_id(), "sender_name": None, "now": AT}
    return SendMessage(
        conversation_id=conversation_id,
        sender_id=sender_id,
        draft=MessageDraft(**draft),
        **(fields | {k: v for k, v in changes.items() if k in own}),
    )


def upload(owner_id: str, media_type: str = "image/png", *, used: bool = False, **facts: Any) -> Upload:
    """A file that `owner_id` has uploaded."""
    fields: dict[str, Any] = {"id": new_id(), "name": "a file", "size_bytes": 1, "sha256": "0" * 64}
    return Upload(Attachment(media_type=media_type, **(fields | facts)), owner_id, used)


def register(user_id: str, name: str | None = None, roles: tuple[str, ...] = ("customer",)) -> RegisterUser:
    """A command that makes a user known."""
    return RegisterUser(user_id, name, roles, AT)


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event as the record in memory keeps it."""

    stream: StreamId
    seq: int
    data: EventData
    metadata: dict[str, str]


@dataclass(slots=True)
class _Record:
    events: list[Recorded] = field(default_factory=list)
    credentials: dict[str, str] = field(default_factory=dict)
    keys: dict[tuple[str, str], tuple[bytes, StoredResponse | None]] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    carriers: dict[str, str] = field(default_factory=dict)

    def copy(self) -> _Record:
        return _Record(
            list(self.events), dict(self.credentials), dict(self.keys), dict(self.uploads), dict(self.carriers)
        )

    def of(self, stream: StreamId) -> list[Recorded]:
        return [event for event in self.events if event.stream == stream]

    def consult(self, conversation_id: str) -> KnownConsult | None:
        state: ConsultState | None = None
        for event in self.of(ConversationStream(conversation_id)):
            state = consult.evolve(state, event.data)
        notes = (
            event.data.conversation_id
            for event in self.events
            if isinstance(event.data, ConversationCreated) and event.data.notes_of == conversation_id
        )
        return None if state is None else KnownConsult(state, next(notes, None))


class MemoryTransaction:
    """The `Transaction` port on a copy of the record; whoever began it keeps or drops the copy."""

    def __init__(self, record: _Record, locked: frozenset[StreamId], once: Once | None) -> None:
        self._record = record
        self._locked = locked
        self._once = once
        self.replay: StoredResponse | None = None

    async def send_contexts(self, commands: Sequence[SendMessage]) -> list[SendContext]:
        """One context per command, in order, as narrow as Postgres' is."""
        return [await self._send_context(command) for command in commands]

    async def _send_context(self, command: SendMessage) -> SendContext:
        reply_to = command.draft.reply_to
        state = await self.conversation(
            command.conversation_id, [command.sender_id], [reply_to] if reply_to is not None else []
        )
        sender = await self.user(command.sender_id)
        sent = next(
            (
                event.data.id
                for event in self._record.events
                if isinstance(event.data, MessageCreated)
                and (event.data.sender_id, event.data.client_msg_id) == command.key
            ),
            None,
        )
        narrow = None if state is None else replace(state, metadata=None, messages={})
        return SendContext(narrow, sender.name if sender else None, sent)

    async def messages(self, ids: Sequence[str]) -> dict[str, tuple[Message, bytes | None]]:
        """Messages as they are now, by id, with the fingerprints of their sends."""
        found: dict[str, tuple[Message, bytes | None]] = {}
        for event in self._record.events:
            if isinstance(event.data, MessageCreated | MessageEdited | MessageDeleted) and event.data.id in ids:
                fingerprint = (
                    bytes.fromhex(event.metadata["fingerprint"])
                    if "fingerprint" in event.metadata
                    else found[event.data.id][1]
                )
                found[event.data.id] = (conversation.as_message(event.data), fingerprint)
        return found

    async def conversation(
        self, conversation_id: str, user_ids: Sequence[str], message_ids: Sequence[str] = ()
    ) -> Conversation | None:
        """The fold of the conversation's events, narrowed to what was asked for."""
        whole = self._fold(conversation_id)
        if whole is None:
            return None
        messages = {key: message for key, message in whole.messages.items() if key in message_ids}
        return replace(whole, members=whole.members & set(user_ids), message_ids=frozenset(messages), messages=messages)

    def _fold(self, conversation_id: str) -> Conversation | None:
        state: Conversation | None = None
        for event in self._record.of(ConversationStream(conversation_id)):
            state = conversation.evolve(state, event.data)
        return state

    async def membership(self, conversation_id: str, user_id: str) -> Membership | None:
        """The user's active place in the conversation."""
        state = self._fold(conversation_id)
        if state is None or user_id not in state.members:
            return None
        read = [
            event.data.seq
            for event in self._record.of(UserStream(user_id))
            if isinstance(event.data, UserReadAdvanced) and event.data.conversation_id == conversation_id
        ]
        return Membership(state.last_seq, max(read, default=0))

    async def members_among(self, pairs: Collection[tuple[str, str]]) -> dict[str, frozenset[str]]:
        """Of pairs of conversation and user: who takes part, by conversation."""
        folds = {conversation_id: self._fold(conversation_id) for conversation_id, _ in pairs}
        return {
            conversation_id: frozenset() if state is None else state.members & {user for _, user in pairs}
            for conversation_id, state in folds.items()
        }

    async def user(self, user_id: str) -> User | None:
        """A registered user."""
        for event in self._record.of(UserStream(user_id)):
            if isinstance(event.data, UserRegistered):
                return User(user_id, event.data.name, event.data.roles)
        return None

    async def conversations_of(self, user_id: str, up_to: int) -> int:
        """In how many conversations the user takes part, counted up to a limit."""
        opened = {one.data.conversation_id for one in self._record.events if isinstance(one.data, ConversationCreated)}
        states = [self._fold(conversation_id) for conversation_id in opened]
        return min(up_to, sum(1 for state in states if state is not None and user_id in state.members))

    async def participants_of(self, conversation_id: str, up_to: int) -> int:
        """How many take part in the conversation, counted up to a limit."""
        state = self._fold(conversation_id)
        return 0 if state is None else min(up_to, len(state.members))

    async def unknown_users(self, user_ids: Sequence[str]) -> list[str]:
        """Those that nobody registered."""
        return [user_id for user_id in user_ids if await self.user(user_id) is None]

    async def consult(self, conversation_id: str) -> KnownConsult | None:
        """The fold of the conversation's events, as a consult."""
        return self._record.consult(conversation_id)

    async def uploads(self, ids: Sequence[str]) -> dict[str, Upload]:
        """Stored files by id."""
        return {key: self._record.uploads[key] for key in ids if key in self._record.uploads}

    async def upload_stored(self, attachment: Attachment, now: datetime) -> bool:
        """All of a file is there; False if it was given up meanwhile."""
        del now
        found = self._record.uploads.get(attachment.id)
        if found is not None:
            self._record.uploads[attachment.id] = replace(found, attachment=attachment)
        return found is not None

    async def link_attachments(self, links: Sequence[AttachmentLink]) -> None:
        """Note which messages carry which files."""
        for one in links:
            found = self._record.uploads[one.attachment_id]
            self._record.uploads[one.attachment_id] = replace(found, used=True)
            self._record.carriers[one.message_id] = one.attachment_id

    async def forget_attachment_of(self, message_id: str, now: datetime) -> None:
        """Nobody gets the message's file any more."""
        del now
        self._record.uploads.pop(self._record.carriers.pop(message_id, ""), None)

    async def set_credentials(self, user_id: str, password_hash: str) -> None:
        """Give a new user a password; an existing one keeps its own."""
        self._record.credentials.setdefault(user_id, password_hash)

    async def begin_broadcast(self, command: Broadcast) -> int:
        """How many registered users it is for."""
        registered = [event.data for event in self._record.events if isinstance(event.data, UserRegistered)]
        return sum(1 for user in registered if not command.roles or set(user.roles) & set(command.roles))

    async def append(
        self, events: Sequence[Recordable], now: datetime, heads: Mapping[StreamId, int] | None = None
    ) -> list[int]:
        """Record events in order; a stream that was not locked, or a wrong head, is a mistake of the caller."""
        del now
        for stream, head in (heads or {}).items():
            assert len(self._record.of(stream)) == head, f"{stream} ends at another seq than {head}"
        seqs = []
        for event in events:
            assert event.stream in self._locked, f"{event.stream} is written without its lock"
            seqs.append(len(self._record.of(event.stream)) + 1)
            self._record.events.append(Recorded(event.stream, seqs[-1], event.data, event.metadata))
        return seqs

    def claim(self) -> None:
        """Take the key, or set `replay`; raises `IdempotencyConflict` if it stands for another request."""
        if self._once is None:
            return
        key = (self._once.user_id, self._once.key)
        fingerprint, self.replay = self._record.keys.setdefault(key, (self._once.fingerprint, None))
        if fingerprint != self._once.fingerprint:
            raise IdempotencyConflict

    async def remember(self, response: StoredResponse) -> None:
        """Keep the answer for a repeat of the same request; nothing to do without a key."""
        if self._once is not None:
            self._record.keys[self._once.user_id, self._once.key] = (self._once.fingerprint, response)


class MemoryUnitOfWork:
    """The `UnitOfWork` port: one transaction at a time, kept if its block ends, dropped if it raises."""

    def __init__(self) -> None:
        self._record = _Record()
        self._turn = asyncio.Lock()
        self.begun = 0

    @asynccontextmanager
    async def begin(
        self, streams: Collection[StreamId], *, once: Once | None = None
    ) -> AsyncIterator[MemoryTransaction]:
        """A transaction on a copy of the record."""
        async with self._turn:
            self.begun += 1
            copy = self._record.copy()
            transaction = MemoryTransaction(copy, frozenset(streams), once)
            transaction.claim()
            yield transaction
            self._record = copy

    async def conversation_of_message(self, message_id: str) -> str | None:
        """Where a message belongs."""
        for event in self._record.events:
            if isinstance(event.data, MessageCreated) and event.data.id == message_id:
                return event.data.conversation_id
        return None

    async def consult(self, conversation_id: str) -> KnownConsult | None:
        """A consult as it stands."""
        return self._record.consult(conversation_id)

    def add_upload(self, upload: Upload) -> None:
        """A file that somebody has uploaded."""
        self._record.uploads[upload.attachment.id] = upload

    @property
    def uploads(self) -> dict[str, Upload]:
        """Uploaded files by id."""
        return dict(self._record.uploads)

    def events(self, stream: StreamId | None = None) -> list[Recorded]:
        """What is recorded, of one stream or of all."""
        return list(self._record.events) if stream is None else self._record.of(stream)

    @property
    def credentials(self) -> dict[str, str]:
        """Password hashes by user."""
        return dict(self._record.credentials)
