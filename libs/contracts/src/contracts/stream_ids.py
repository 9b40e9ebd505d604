"""The two kinds of event stream, each with its own gapless order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from contracts.errors import InvalidSubjectToken
from contracts.ids import USER_ID_PATTERN, UUID_PATTERN

_UUID = re.compile(UUID_PATTERN)
_USER_ID = re.compile(USER_ID_PATTERN)

CONVERSATION_PREFIX = "conversation:"
"""What stands before a conversation's id: for code on hot paths, which takes a stream apart without judging it."""


@dataclass(frozen=True, slots=True)
class ConversationStream:
    """`conversation:<id>`: what happened in one conversation."""

    conversation_id: str

    def __str__(self) -> str:
        return f"{CONVERSATION_PREFIX}{self.conversation_id}"


@dataclass(frozen=True, slots=True)
class UserStream:
    """`user:<id>`: what concerns one user alone: direct notifications, own read cursors, memberships."""

    user_id: str

    def __str__(self) -> str:
        return f"user:{self.user_id}"


StreamId: TypeAlias = ConversationStream | UserStream


def parse_stream_id(text: str) -> StreamId:
    """`conversation:<uuid>` or `user:<user id>`; raises `InvalidSubjectToken` for anything else."""
    kind, _, name = text.partition(":")
    if kind == "conversation" and _UUID.match(name):
        return ConversationStream(name)
    if kind == "user" and _USER_ID.match(name):
        return UserStream(name)
    raise InvalidSubjectToken(f"{text[:80]!r} is not a stream")
