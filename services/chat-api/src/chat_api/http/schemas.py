"""Shapes of HTTP bodies that are not shared with socket and events; those come from `contracts`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator

from contracts.codec import Flag, PositiveNumber
from contracts.envelope import Envelope
from contracts.ids import ClientMsgId, UserId, Uuid
from contracts.messages import (
    SAYS_STORABLE,
    Content,
    DraftType,
    Message,
    MessageDraft,
    Metadata,
    SenderType,
    Title,
    storable,
)
from contracts.times import Instant
from kit.tokens import Role

PARTICIPANTS_MAX = 1000
"""Most users that one request may name; a larger room is filled by several requests."""

READ_MESSAGES_MAX = 200
"""Most messages that one receipt may name."""


Name = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(storable), SAYS_STORABLE]
UserIds = Annotated[list[UserId], Field(max_length=PARTICIPANTS_MAX)]


def given(name: str, kind: str, *, instead_of: str | None = None) -> dict[str, Any]:
    """A branch of a JSON schema: `name` is there and not null; `instead_of` is not, or is null."""
    absent = {} if instead_of is None else {instead_of: {"type": "null"}}
    return {"required": [name], "properties": {name: {"type": kind}, **absent}}


class Body(BaseModel):
    """Base of request bodies: a field that we do not know is a mistake worth telling."""

    model_config = ConfigDict(extra="forbid")


class TokenRequest(Body):
    """Name and password of a local account."""

    user_id: UserId
    password: SecretStr = Field(min_length=1, max_length=256)


class TokenResponse(BaseModel):
    """A bearer token, the refresh token for the next one, and their lives in seconds."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - a scheme's name
    expires_in: int
    refresh_token: str
    refresh_expires_in: int


class RefreshBody(Body):
    """The refresh token of the last answer; each is good once."""

    refresh_token: SecretStr = Field(min_length=1, max_length=256)


class LogoutBody(Body):
    """Which sessions end: this one, or all of the user's."""

    all: Flag = False


class PasswordBody(Body):
    """The password as it is, and as it shall be."""

    old_password: SecretStr = Field(min_length=1, max_length=256)
    new_password: SecretStr = Field(min_length=8, max_length=256)


class NewUser(Body):
    """A user to register; without a password the user can only come with tokens that the host application signs."""

    user_id: UserId
    name: Name | None = None
    roles: list[Role] = Field(default_factory=lambda: [Role.CUSTOMER], min_length=1, max_length=5)
    password: SecretStr | None = Field(default=None, min_length=8, max_length=256)


class UserOut(BaseModel):
    """A user, as the user sees itself."""

    user_id: UserId
    name: str | None = None
    roles: list[str]


class NewConversation(Body):
    """A conversation to open; the caller owns it, unless a service names the owner."""

    title: Title | None = None
    participant_ids: UserIds = Field(default_factory=list)
    metadata: Metadata | None = None
    owner_id: UserId | None = Field(default=None, description="Service and admin only.")


class ConversationChange(Body):
    """What to change; what is left out stays."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"anyOf": [given("title", "string"), given("metadata", "object")]}
    )

    title: Title | None = None
    metadata: Metadata | None = None

    @model_validator(mode="after")
    def _changes_something(self) -> ConversationChange:
        if self.title is None and self.metadata is None:
            raise ValueError("give a title or metadata")
        return self


class NewParticipants(Body):
    """Users to let in."""

    user_ids: Annotated[list[UserId], Field(min_length=1, max_length=PARTICIPANTS_MAX)]


class ParticipantOut(BaseModel):
    """Who takes part."""

    user_id: UserId
    name: str | None = None
    joined_at: Instant
    read_seq: int


ConversationKind = Literal["chat", "notes"]
"""What a conversation is: between people, or the notes that staff keeps on a consult."""


class ConversationOut(BaseModel):
    """A conversation as the caller sees it. `read_seq` is missing if the caller takes no part in it."""

    id: Uuid
    title: str | None = None
    owner_id: UserId
    metadata: dict[str, Any] | None = None
    kind: ConversationKind = Field(default="chat", description="`notes`: the staff's internal notes on a consult.")
    notes_of: Uuid | None = Field(default=None, description="The conversation that the notes are about.")
    last_seq: int
    read_seq: int | None = None
    unread_count: int
    muted: bool = Field(default=False, description="Whether the caller has muted it.")
    muted_until: Instant | None = Field(default=None, description="Missing if it is muted for ever, or not at all.")
    last_message: Message | None = None
    created_at: Instant
    last_activity_at: Instant
    participants: list[ParticipantOut] | None = Field(default=None, description="Given for a single conversation.")


class ConversationPage(BaseModel):
    """One page of conversations, newest activity first; no `next_cursor` on the last one."""

    conversations: list[ConversationOut]
    next_cursor: str | None = None


class SendBody(MessageDraft):
    """A message to send. What it has beyond a client's is for a service, which speaks for its users, and for admins."""

    model_config = ConfigDict(extra="forbid")

    sender_id: UserId | None = Field(default=None, description="Service and admin only.")
    sender_type: SenderType = Field(
        default=SenderType.CHAT,
        description="`system`, for a service or an admin only: the system speaks, in the name of `sender_id` if given.",
    )
    sender_name: Name | None = Field(
        default=None, description="Service and admin only: shown in place of the registered name."
    )
    exclude_user_ids: list[UserId] = Field(default_factory=list, max_length=100, description="Service and admin only.")


class ChatSendBody(Body):
    """Body of the host application's own path; without a client_msg_id the Idempotency-Key is used, or a new id."""

    content: Content
    client_msg_id: ClientMsgId | None = None
    message_type: DraftType = DraftType.TEXT
    reply_to: Uuid | None = None
    is_important: Flag = False
    extra_metadata: Metadata | None = None


class ChatSent(BaseModel):
    """Answer of the host application's own path."""

    status: Literal["sent"] = "sent"
    message_id: Uuid


class MessagePage(BaseModel):
    """Messages in the order of their seq. `last_seq` is the conversation's, so that a client knows what is missing."""

    messages: list[Message]
    last_seq: int


class EventPage(BaseModel):
    """Durable events (CloudEvents) in the order of their seq."""

    events: list[dict[str, Any]]
    last_seq: int


def public_event(event: Envelope) -> dict[str, Any]:
    """An event as its readers get it: whom a host application left out is nobody else's business."""
    told = event.model_dump(mode="json", exclude_none=True)
    told["data"].pop("exclude_user_ids", None)
    return told


class SyncOut(BaseModel):
    """One page of a sync; ask again with `next_cursor` while `has_more`, and later for what has happened since.

    Without a cursor, or with one that is of no use any more (`reset`), the pages are a snapshot: `conversations`, and
    where the user's own stream stood when its first page was made. Otherwise they are increments: `events`.
    """

    events: list[dict[str, Any]] = Field(default_factory=list)
    conversations: list[ConversationOut] | None = None
    user_seq: int | None = None
    next_cursor: str
    has_more: bool
    reset: bool = False


class EditBody(Body):
    """The new text of a message."""

    content: Content


class ReadBody(Body):
    """Up to where the caller has read. A service may speak for a user, and may name messages instead of a seq."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "oneOf": [
                given("seq", "integer", instead_of="message_ids"),
                given("message_ids", "array", instead_of="seq"),
            ]
        },
    )

    seq: PositiveNumber | None = None
    user_id: UserId | None = Field(default=None, description="Service and admin only.")
    message_ids: Annotated[list[ClientMsgId], Field(min_length=1, max_length=READ_MESSAGES_MAX)] | None = Field(
        default=None,
        description="Service and admin only; instead of `seq`. Ids, or the senders' own (`client_msg_id`) of recent "
        "messages; the latest of them counts.",
    )

    @model_validator(mode="after")
    def _says_up_to_where(self) -> ReadBody:
        if (self.seq is None) == (self.message_ids is None):
            raise ValueError("give either seq or message_ids")
        return self


class ReadOut(BaseModel):
    """Where the caller's cursor is now."""

    seq: int
