"""What a client may write in a message, to the last byte of each limit."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.codec import decode, encode
from contracts.errors import Undecodable
from contracts.messages import CONTENT_CHARS_MAX, METADATA_BYTES_MAX, MessageDraft


def draft(**changes: Any) -> MessageDraft:
    """A valid draft with `changes`."""
    return MessageDraft(**({"client_msg_id": "m-1", "content": "hello"} | changes))


@pytest.mark.parametrize("content", ["x", "你" * CONTENT_CHARS_MAX, "🙂" * CONTENT_CHARS_MAX, " ", "\u202e"])
def test_content_within_the_limit(content: str) -> None:
    """The limit counts characters, not bytes."""
    assert draft(content=content).content == content


@pytest.mark.parametrize("content", ["", "x" * (CONTENT_CHARS_MAX + 1), "a\x00b"])
def test_content_beyond_the_limit(content: str) -> None:
    """Nothing, too much, and what Postgres cannot store."""
    with pytest.raises(ValidationError):
        draft(content=content)


def test_content_with_half_a_character_is_refused() -> None:
    """A lone surrogate is no text: it could be neither stored nor sent."""
    with pytest.raises(Undecodable):
        decode(MessageDraft, b'{"client_msg_id":"m-1","content":"\\ud800"}')


@pytest.mark.parametrize("kind", ["system", "", "TEXT", "video"])
def test_only_some_types_may_be_written(kind: str) -> None:
    """`system` is for the service alone."""
    with pytest.raises(ValidationError):
        draft(message_type=kind)


def _metadata_of_bytes(size: int) -> dict[str, Any]:
    return {"k": "x" * (size - len('{"k":""}'))}


def test_metadata_limit_is_exact() -> None:
    """The limit counts bytes of compact JSON."""
    assert draft(extra_metadata=_metadata_of_bytes(METADATA_BYTES_MAX)).extra_metadata
    with pytest.raises(ValidationError, match=str(METADATA_BYTES_MAX)):
        draft(extra_metadata=_metadata_of_bytes(METADATA_BYTES_MAX + 1))


@pytest.mark.parametrize(
    "metadata",
    [
        {"a": "\x00"},
        {"\x00": 1},
        {"a": [{"b": "x\x00y"}]},
        {"a": float("nan")},
        {"a": float("inf")},
        {"a": "\ud800"},
        {"a": ["\udfff"]},
    ],
)
def test_metadata_that_cannot_be_stored(metadata: dict[str, Any]) -> None:
    """What Postgres' JSON cannot hold is refused at the door, not by a failed transaction."""
    with pytest.raises(ValidationError):
        draft(extra_metadata=metadata)


@pytest.mark.parametrize("metadata", [{"a": "\\u0000"}, {"a": "\\\\u0000"}, {"path": "C:\\u0000"}])
def test_metadata_that_only_looks_like_nul(metadata: dict[str, Any]) -> None:
    """A backslash and the letters u0000 are six ordinary characters."""
    assert draft(extra_metadata=metadata).extra_metadata == metadata


def test_metadata_nested_too_deeply() -> None:
    """A thousand brackets are refused as invalid, not as a crash of whatever reads them."""
    value: Any = 1
    for _ in range(500):
        value = [value]
    with pytest.raises(ValidationError):
        draft(extra_metadata={"a": value})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=8), json_values, max_size=4))
def test_accepted_metadata_can_be_sent(metadata: dict[str, Any]) -> None:
    """Whatever is accepted survives encoding unchanged, and holds no NUL."""
    try:
        accepted = draft(extra_metadata=metadata)
    except ValidationError:
        return
    assert decode(MessageDraft, encode(accepted)).extra_metadata == json.loads(json.dumps(metadata))
    assert "\x00" not in str(metadata)


@given(st.text(min_size=1, max_size=200))
def test_accepted_content_can_be_sent(content: str) -> None:
    """Every text without NUL and half characters is a message."""
    if "\x00" in content:
        with pytest.raises(ValidationError):
            draft(content=content)
    else:
        assert decode(MessageDraft, encode(draft(content=content))).content == content


@pytest.mark.parametrize("taken_for_it", ["0", "1", '"true"', '"no"', "1.0", "null"])
def test_what_could_be_taken_for_a_flag_is_refused(taken_for_it: str) -> None:
    """The schema says boolean: 0 for false would make a promise of it that no document gives."""
    with pytest.raises(Undecodable, match="is_important"):
        decode(MessageDraft, f'{{"client_msg_id": "a", "content": "x", "is_important": {taken_for_it}}}')
