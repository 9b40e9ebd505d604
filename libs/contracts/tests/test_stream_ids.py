"""A stream's name and the stream itself say the same."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import InvalidSubjectToken
from contracts.stream_ids import ConversationStream, UserStream, parse_stream_id


@given(st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=64))
def test_user_stream_round_trip(user_id: str) -> None:
    """Every user's stream is found again by its name."""
    assert parse_stream_id(str(UserStream(user_id))) == UserStream(user_id)


@given(st.uuids().map(str))
def test_conversation_stream_round_trip(conversation_id: str) -> None:
    """Every conversation's stream is found again by its name."""
    assert parse_stream_id(str(ConversationStream(conversation_id))) == ConversationStream(conversation_id)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "user:",
        "user",
        "user:alice.>",
        "user:alice\n",
        "user:" + "a" * 65,
        "conversation:alice",
        "conversation:0198F3A0-0000-7000-8000-000000000001",
        "conversation:0198f3a0-0000-7000-8000-000000000001\n",
        "room:alice",
        "User:alice",
    ],
)
def test_anything_else_is_no_stream(name: str) -> None:
    """A name that neither kind of stream can have is refused."""
    with pytest.raises(InvalidSubjectToken):
        parse_stream_id(name)
