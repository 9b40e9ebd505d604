"""A message: as a client writes it, and as everybody reads it."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from contracts.attachments import Attachment
from contracts.codec import Contract, Flag
from contracts.ids import ClientMsgId, UserId, Uuid
from contracts.times import Instant

CONTENT_CHARS_MAX = 10_000
"""Longest text of one message, in characters; four such messages still fit a frame."""

MENTIONS_MAX = 50
"""Most users that one message may mention."""

METADATA_BYTES_MAX = 4_096
"""Largest free-form metadata object, in bytes of compact JSON."""

METADATA_DEPTH_MAX = 32
"""Deepest nesting of it; encoders of ours and of others give up at a few hundred levels."""


class MessageType(StrEnum):
    """What a message holds."""

    TEXT = "text"
    IMAGE = "image"
    FILE = "file"
    VOICE = "voice"
    SYSTEM = "system"


class SenderType(StrEnum):
    """Who speaks: a person, or the system. Never a role name."""

    CHAT = "chat"
    SYSTEM = "system"


class DraftType(StrEnum):
    """What a client may write; `system` messages are made by the service alone."""

    TEXT = "text"
    IMAGE = "image"
    FILE = "file"
    VOICE = "voice"


def storable(text: str) -> str:
    """The text, if Postgres can hold it; raises ValueError. In annotations together with `SAYS_STORABLE`."""
    if "\x00" in text:
        raise ValueError("must not contain the NUL character")
    return text


SAYS_STORABLE = Field(json_schema_extra={"pattern": "^[^\\u0000]*$"})
"""The same for whoever reads the schema. No constraint: the validator's sentence is the better one."""


def _small_and_storable(value: dict[str, Any]) -> dict[str, Any]:
    if _deeper_than(METADATA_DEPTH_MAX, value):
        raise ValueError(f"must not be nested more than {METADATA_DEPTH_MAX} levels deep")
    encoded = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    try:
        size = len(encoded.encode())
    except UnicodeEncodeError:
        raise ValueError("must not contain half a character (a lone surrogate)") from None
    if size > METADATA_BYTES_MAX:
        raise ValueError(f"must not exceed {METADATA_BYTES_MAX} bytes of JSON")
    # Escaped backslashes aside: a backslash followed by the text u0000 is no NUL.
    if "\\u0000" in encoded.replace("\\\\", ""):
        raise ValueError("no text in it may contain the NUL character")
    return value


def _deeper_than(levels: int, value: object) -> bool:
    level = [value]
    for _ in range(levels):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return any(isinstance(value, (dict, list)) for value in level)


Metadata = Annotated[dict[str, Any], AfterValidator(_small_and_storable)]
"""A small JSON object that Natter carries and never looks into."""

Content = Annotated[
    str, StringConstraints(min_length=1, max_length=CONTENT_CHARS_MAX), AfterValidator(storable), SAYS_STORABLE
]


Title = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(storable), SAYS_STORABLE]
"""A headline of one line."""

NoticeType = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
"""The host application's own name for a kind of notice, such as `maintenance` or `appointment_reminder`."""


class Notice(Contract):
    """What makes a message of the system more than text; its text is the message's `content`."""

    title: Title
    type: NoticeType
    data: Metadata | None = None


def _without_repeats(user_ids: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(user_ids))


Mentions = Annotated[tuple[UserId, ...], Field(max_length=MENTIONS_MAX), AfterValidator(_without_repeats)]


class MessageDraft(Contract):
    """What a client sends: the body of `POST /v1/conversations/{id}/messages` and the heart of `send_message`."""

    client_msg_id: ClientMsgId
    message_type: DraftType = DraftType.TEXT
    content: Content
    attachment_id: Uuid | None = None
    reply_to: Uuid | None = None
    is_important: Flag = False
    mentions: Mentions | None = None
    """Users whom the message is about: they get a push in large conversations, too."""
    extra_metadata: Metadata | None = None


class Message(Contract):
    """A message as it is now: the same shape in HTTP answers, events and frames.

    `seq` is its place in the conversation's gapless order. A deleted message stays as a tombstone: `deleted_at` is
    set and `content` is empty.
    """

    id: Uuid
    conversation_id: Uuid
    seq: int = Field(ge=1)
    sender_id: UserId
    sender_type: SenderType
    sender_name: str | None = None
    message_type: MessageType
    content: str
    attachment_id: Uuid | None = None
    attachment: Attachment | None = None
    """What `attachment_id` names, as it was when the message was sent."""
    notice: Notice | None = None
    """Set on messages of the system that are notices (`message_type` is `system`)."""
    reply_to: Uuid | None = None
    is_important: bool = False
    mentions: tuple[UserId, ...] | None = None
    """Users whom it is about; None: nobody in particular."""
    extra_metadata: dict[str, Any] | None = None
    client_msg_id: str | None = None
    created_at: Instant
    edited_at: Instant | None = None
    deleted_at: Instant | None = None
