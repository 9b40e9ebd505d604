"""What handlers need from the world; `store` provides it, `testing` fakes it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from chat_api.domain.attachments import Upload
from chat_api.domain.commands import SendMessage
from chat_api.domain.consult import ConsultState
from chat_api.domain.conversation import Conversation
from chat_api.domain.notices import Broadcast
from chat_api.domain.user import Membership, User
from contracts.attachments import Attachment
from contracts.events import EventData
from contracts.messages import Message
from contracts.stream_ids import StreamId


@dataclass(frozen=True, slots=True)
class SendContext:
    """What one send of a batch was found to refer to."""

    conversation: Conversation | None
    sender_name: str | None
    sent_id: str | None
    """The message that the same (sender, client_msg_id) made before."""


@dataclass(frozen=True, slots=True)
class Once:
    """An `Idempotency-Key`: whose it is, and the digest of the request that it stands for."""

    user_id: str
    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """What was answered when the key was first used."""

    status: int
    body: str


@dataclass(frozen=True, slots=True)
class Recordable:
    """An event to append, with what is remembered beside it and shown to nobody outside."""

    stream: StreamId
    data: EventData
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class KnownConsult:
    """A consult, and where its notes are, if anybody has had it."""

    state: ConsultState
    notes_id: str | None


@dataclass(frozen=True, slots=True)
class AttachmentLink:
    """A message that carries a file from now on."""

    attachment_id: str
    conversation_id: str
    message_id: str


class StoreUnavailable(Exception):
    """The store is away: nothing was decided, and the next command would fare no better."""


class Clash(Exception):
    """Somebody else took the same unique name at the same moment: decided anew, the answer will be another one."""


class Transaction(Protocol):
    """One transaction, holding the locks of the streams it was begun for."""

    replay: StoredResponse | None
    """Set if the transaction's `Once` was carried out before: answer this and do nothing."""

    async def send_contexts(self, commands: Sequence[SendMessage]) -> list[SendContext]: ...
    async def messages(self, ids: Sequence[str]) -> dict[str, tuple[Message, bytes | None]]: ...
    async def conversation(
        self, conversation_id: str, user_ids: Sequence[str], message_ids: Sequence[str] = ()
    ) -> Conversation | None: ...
    async def membership(self, conversation_id: str, user_id: str) -> Membership | None: ...
    async def members_among(self, pairs: Collection[tuple[str, str]]) -> dict[str, frozenset[str]]: ...
    async def user(self, user_id: str) -> User | None: ...
    async def unknown_users(self, user_ids: Sequence[str]) -> list[str]: ...
    async def conversations_of(self, user_id: str, up_to: int) -> int: ...
    async def participants_of(self, conversation_id: str, up_to: int) -> int: ...
    async def consult(self, conversation_id: str) -> KnownConsult | None: ...
    async def uploads(self, ids: Sequence[str]) -> dict[str, Upload]: ...
    async def upload_stored(self, attachment: Attachment, now: datetime) -> bool: ...
    async def link_attachments(self, links: Sequence[AttachmentLink]) -> None: ...
    async def forget_attachment_of(self, message_id: str, now: datetime) -> None: ...
    async def set_credentials(self, user_id: str, password_hash: str) -> None: ...
    async def append(
        self, events: Sequence[Recordable], now: datetime, heads: Mapping[StreamId, int] | None = None
    ) -> list[int]: ...
    async def begin_broadcast(self, command: Broadcast) -> int: ...
    async def remember(self, response: StoredResponse) -> None: ...


class Presence(Protocol):
    """Who is there, as far as the edges have told."""

    def is_online(self, user_id: str) -> bool: ...


class UnitOfWork(Protocol):
    """Begins transactions; each commits when its block ends, and rolls back when the block raises."""

    def begin(
        self, streams: Collection[StreamId], *, once: Once | None = None
    ) -> AbstractAsyncContextManager[Transaction]: ...

    async def conversation_of_message(self, message_id: str) -> str | None: ...
    async def consult(self, conversation_id: str) -> KnownConsult | None: ...
