"""Identifiers keep to their shape, and sort by the time they were made."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from contracts.ids import USER_ID_PATTERN, UUID_PATTERN, ClientMsgId, UserId, Uuid, new_id

USER = TypeAdapter(UserId)
UUID = TypeAdapter(Uuid)
CLIENT_MSG = TypeAdapter(ClientMsgId)
KNOWN = "01981f5e-7d2a-7c30-9c4e-5b1d6a0f2e47"
"""An id that does not change: a test's name has to be the same in every process of a run."""


def test_new_ids_sort_by_creation() -> None:
    """Ids made one after the other are unique and in order."""
    ids = [new_id() for _ in range(10_000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)


def test_new_ids_are_canonical_version_7() -> None:
    """An id looks the same everywhere: lower case, version 7."""
    made = new_id()
    assert re.match(UUID_PATTERN, made)
    assert made[14] == "7"


@given(st.text(max_size=70))
def test_user_id_type_and_pattern_agree(text: str) -> None:
    """The type that validates JSON and the pattern that guards subjects refuse the same texts."""
    try:
        USER.validate_python(text)
        valid = True
    except ValidationError:
        valid = False
    assert valid is bool(re.match(USER_ID_PATTERN, text))


@pytest.mark.parametrize("text", ["alice\n", "", "a" * 65, "alice.>", "*", "１", "a b"])
def test_bad_user_ids(text: str) -> None:
    """What would change a subject is no user id; a trailing newline is the classic hole of `$`."""
    with pytest.raises(ValidationError):
        USER.validate_python(text)
    assert not re.match(USER_ID_PATTERN, text)


@pytest.mark.parametrize("text", [KNOWN + "\n", KNOWN.upper(), "{" + KNOWN + "}", KNOWN[:-1], ""])
def test_bad_uuids(text: str) -> None:
    """A UUID has one spelling only."""
    with pytest.raises(ValidationError):
        UUID.validate_python(text)


@pytest.mark.parametrize("text", ["", "a" * 65, "a b", "a\n", "ü", "a/b"])
def test_bad_client_msg_ids(text: str) -> None:
    """A client's own name for a message is short and printable ASCII."""
    with pytest.raises(ValidationError):
        CLIENT_MSG.validate_python(text)
