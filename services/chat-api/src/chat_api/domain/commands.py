"""Commands: what somebody wants to happen. Everything a decision needs from outside (time, ids) is part of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from chat_api.domain.attachments import Upload
from contracts.messages import MessageDraft, SenderType

SYSTEM_ID = "system"
"""Who says what the system says: in no conversation, and nobody who can be registered."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks. `privileged` is a host application or an admin: it may act in conversations that it is no part of."""

    user_id: str
    privileged: bool = False
    staff: bool = False
    """Consultants and doctors may change the conversations that they take part in."""


@dataclass(frozen=True, slots=True)
class CreateConversation:
    """Open a conversation; the owner is a participant whether named or not."""

    conversation_id: str
    actor: Actor
    owner_id: str
    participant_ids: tuple[str, ...]
    title: str | None
    metadata: dict[str, Any] | None
    now: datetime


@dataclass(frozen=True, slots=True)
class UpdateConversation:
    """Change title or metadata; what is None stays."""

    conversation_id: str
    actor: Actor
    title: str | None
    metadata: dict[str, Any] | None
    now: datetime


@dataclass(frozen=True, slots=True)
class AddParticipants:
    """Let users in; those who are in already change nothing."""

    conversation_id: str
    actor: Actor
    user_ids: tuple[str, ...]
    now: datetime


@dataclass(frozen=True, slots=True)
class RemoveParticipant:
    """Take a user out, or leave."""

    conversation_id: str
    actor: Actor
    user_id: str
    now: datetime


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Say something. (sender, client_msg_id) names it for ever."""

    conversation_id: str
    message_id: str
    sender_id: str
    sender_name: str | None
    draft: MessageDraft
    now: datetime
    exclude_user_ids: tuple[str, ...] = ()
    traceparent: str | None = None
    """The trace that it is part of. Sends share transactions, so each carries its own."""
    sender_type: SenderType = SenderType.CHAT
    shown_name: str | None = None
    """What a host application wants to be shown in place of the sender's registered name."""
    privileged: bool = False
    """A service or an admin asks: the message may carry what somebody else has uploaded."""
    upload: Upload | None = None
    """What `draft.attachment_id` was found to name."""
    as_outsider: bool = False
    """A service or an admin writes an internal note without taking part."""

    @property
    def key(self) -> tuple[str, str]:
        """What makes a repeat a repeat."""
        return (self.sender_id, self.draft.client_msg_id)

    @property
    def fingerprint(self) -> bytes:
        """Digest of everything that the sender chose: a repeat with another one is a mistake, not a repeat."""
        body = self.draft.model_dump(mode="json", exclude={"client_msg_id"})
        # Only what differs from how it always was: a repeat may be of a message that an earlier release took.
        if self.draft.mentions is None:
            del body["mentions"]
        if self.sender_type is not SenderType.CHAT:
            body["sender_type"] = self.sender_type.value
        if self.shown_name is not None:
            body["sender_name"] = self.shown_name
        text = json.dumps([self.conversation_id, body], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).digest()


@dataclass(frozen=True, slots=True)
class EditMessage:
    """Change the text of one's own message."""

    message_id: str
    actor: Actor
    content: str
    now: datetime


@dataclass(frozen=True, slots=True)
class DeleteMessage:
    """Take back one's own message; a tombstone stays."""

    message_id: str
    actor: Actor
    now: datetime


@dataclass(frozen=True, slots=True)
class AdvanceRead:
    """Say up to where the user has read."""

    conversation_id: str
    user_id: str
    seq: int
    now: datetime


@dataclass(frozen=True, slots=True)
class RegisterUser:
    """Make a user known. The password's hash is a credential, not part of any event."""

    user_id: str
    name: str | None
    roles: tuple[str, ...]
    now: datetime


ConversationCommand: TypeAlias = (
    CreateConversation
    | UpdateConversation
    | AddParticipants
    | RemoveParticipant
    | SendMessage
    | EditMessage
    | DeleteMessage
)
