"""What `GET /v1/sync` answers, as far as a client needs it to be complete.

Without a cursor, or with one that is too old (`reset`), the pages are a snapshot: where each of the user's streams
stands. With a cursor they are increments: every event since, of the user's own stream and of the conversations that the
user takes part in, in the order of the record.
"""

from __future__ import annotations

from pydantic import Field

from contracts.codec import Contract
from contracts.envelope import Envelope
from contracts.ids import Uuid


class ConversationHead(Contract):
    """Where a conversation stood when the snapshot was taken. The answer holds more: all that a list shows."""

    id: Uuid
    last_seq: int = Field(ge=1)


class SyncPage(Contract):
    """One page; ask again with `next_cursor` while `has_more`.

    `conversations` and `user_seq` (the last seq of the user's own stream) are there on the pages of a snapshot only. On
    the first page of a snapshot that answers a cursor, `reset` is true: what the client has may have a hole that no
    increment fills. Conversations that a whole snapshot does not name are no longer the user's.
    """

    events: tuple[Envelope, ...] = ()
    conversations: tuple[ConversationHead, ...] | None = None
    user_seq: int | None = Field(default=None, ge=0)
    next_cursor: str
    has_more: bool = False
    reset: bool = False
