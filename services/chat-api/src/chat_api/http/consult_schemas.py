"""Shapes of HTTP bodies about consults."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from chat_api.http.schemas import Body, ConversationOut, given
from chat_api.store.consults import State
from contracts.ids import ClientMsgId, UserId, Uuid
from contracts.messages import Content, Metadata, Title
from contracts.times import Instant


class NewConsult(Body):
    """What a customer needs. A first message repeated with its client_msg_id opens nothing twice."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "anyOf": [{"properties": {"client_msg_id": {"type": "null"}}}, given("content", "string")],
        },
    )

    topic: Title | None = None
    content: Content | None = Field(default=None, description="The customer's first message.")
    client_msg_id: ClientMsgId | None = Field(default=None, description="Of the first message.")
    metadata: Metadata | None = None
    customer_id: UserId | None = Field(default=None, description="Service and admin only.")

    @model_validator(mode="after")
    def _names_something(self) -> NewConsult:
        if self.client_msg_id is not None and self.content is None:
            raise ValueError("client_msg_id names a first message: give its content")
        return self


class AssignBody(Body):
    """Who shall have the consult: a consultant or a doctor who is online."""

    user_id: UserId


class HandOverBody(Body):
    """Who shall have the consult next; null: back into the queue. Customers never see the reason: it becomes a note."""

    user_id: UserId | None = None
    reason: Content | None = None


class ConsultOut(BaseModel):
    """A consult: who asks, since when, and who has it. Nothing of what was said."""

    conversation_id: Uuid
    customer_id: UserId
    customer_name: str | None = None
    topic: str | None = None
    state: State
    assignee_id: UserId | None = Field(default=None, description="Who has it, or had it when it was closed.")
    assignee_name: str | None = None
    opened_at: Instant
    taken_at: Instant | None = None
    closed_at: Instant | None = None
    notes_conversation_id: Uuid | None = Field(default=None, description="Told to those who may read the notes.")


class ConsultOpenedOut(BaseModel):
    """The conversation that was opened, and its place in the queue."""

    conversation: ConversationOut
    consult: ConsultOut


class ConsultPage(BaseModel):
    """One page of consults; no `next_cursor` on the last one."""

    consults: list[ConsultOut]
    next_cursor: str | None = None


class NoteBody(Body):
    """A note among staff."""

    client_msg_id: ClientMsgId
    content: Content
