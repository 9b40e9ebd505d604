"""Request bodies, to the last of their limits."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ValidationError

from chat_api.http.consult_schemas import NewConsult
from chat_api.http.schemas import (
    PARTICIPANTS_MAX,
    ChatSendBody,
    ConversationChange,
    EditBody,
    NewConversation,
    NewParticipants,
    NewUser,
    ReadBody,
    SendBody,
    TokenRequest,
)
from contracts.messages import MessageDraft

GOOD: dict[type[BaseModel], dict[str, Any]] = {
    TokenRequest: {"user_id": "alice", "password": "x"},
    NewUser: {"user_id": "alice"},
    NewConversation: {},
    ConversationChange: {"title": "t"},
    NewParticipants: {"user_ids": ["bob"]},
    SendBody: {"client_msg_id": "1", "content": "x"},
    ChatSendBody: {"content": "x"},
    EditBody: {"content": "x"},
    ReadBody: {"seq": 1},
    NewConsult: {},
}


@pytest.mark.parametrize("body", GOOD, ids=lambda body: body.__name__)
def test_the_smallest_body_is_enough(body: type[BaseModel]) -> None:
    """What is not needed may be left out."""
    assert body.model_validate(GOOD[body]).model_fields_set == set(GOOD[body])


@pytest.mark.parametrize("body", GOOD, ids=lambda body: body.__name__)
def test_unknown_fields_are_mistakes(body: type[BaseModel]) -> None:
    """A misspelt field is told, not ignored."""
    with pytest.raises(ValidationError, match="colour"):
        body.model_validate(GOOD[body] | {"colour": "red"})


BAD: list[tuple[type[BaseModel], dict[str, Any]]] = [
    (TokenRequest, {"password": ""}),
    (TokenRequest, {"password": "x" * 257}),
    (TokenRequest, {"user_id": "alice.>"}),
    (NewUser, {"user_id": "*"}),
    (NewUser, {"name": ""}),
    (NewUser, {"name": "x" * 201}),
    (NewUser, {"name": "a\x00b"}),
    (NewUser, {"roles": []}),
    (NewUser, {"roles": ["king"]}),
    (NewUser, {"password": "1234567"}),
    (NewConversation, {"title": ""}),
    (NewConversation, {"title": "x" * 201}),
    (NewConversation, {"title": "\x00"}),
    (NewConversation, {"participant_ids": ["a b"]}),
    (NewConversation, {"participant_ids": ["a"] * (PARTICIPANTS_MAX + 1)}),
    (NewConversation, {"metadata": {"k": "x" * 5000}}),
    (NewConversation, {"metadata": []}),
    (ConversationChange, {"title": None}),
    (ConversationChange, {"title": None, "metadata": None}),
    (ConversationChange, {"title": "a\x00b"}),
    (NewParticipants, {"user_ids": []}),
    (NewParticipants, {"user_ids": ["a"] * (PARTICIPANTS_MAX + 1)}),
    (SendBody, {"content": ""}),
    (SendBody, {"message_type": "system"}),
    (SendBody, {"reply_to": "x"}),
    (SendBody, {"exclude_user_ids": ["a"] * 101}),
    (SendBody, {"sender_id": "a.b"}),
    (ChatSendBody, {"client_msg_id": ""}),
    (EditBody, {"content": "x" * 10_001}),
    (ReadBody, {"seq": 0}),
    (ReadBody, {"seq": 2**53}),
    (ReadBody, {"seq": 1.5}),
    (ReadBody, {"seq": None}),
    (ReadBody, {"seq": None, "message_ids": None}),
    (ReadBody, {"message_ids": ["m"]}),
    (NewConsult, {"client_msg_id": "m"}),
    (NewConsult, {"client_msg_id": "m", "content": None}),
    (NewConsult, {"topic": "\x00"}),
]

GOOD_TOO: list[tuple[type[BaseModel], dict[str, Any]]] = [
    *GOOD.items(),
    (ConversationChange, {"title": None, "metadata": {}}),
    (ConversationChange, {"title": "two\nlines", "metadata": None}),
    (ReadBody, {"seq": 1, "message_ids": None}),
    (ReadBody, {"seq": 2**53 - 1}),
    (ReadBody, {"seq": None, "message_ids": ["m"], "user_id": "bob"}),
    (NewConsult, {"client_msg_id": None, "content": None}),
    (NewConsult, {"client_msg_id": "m", "content": "two\nlines"}),
]

BEYOND_SCHEMAS = {"metadata": {"k": "x" * 5000}}
"""No schema can say how many bytes an object has."""


@pytest.mark.parametrize(("body", "changes"), BAD)
def test_bad_bodies(body: type[BaseModel], changes: dict[str, Any]) -> None:
    """Each limit is kept."""
    with pytest.raises(ValidationError):
        body.model_validate(GOOD[body] | changes)


@pytest.mark.parametrize(("body", "given"), GOOD_TOO)
def test_what_is_taken_fits_the_document(body: type[BaseModel], given: dict[str, Any]) -> None:
    """Who reads the schema is not told less than there is."""
    body.model_validate(given)
    assert Draft202012Validator(body.model_json_schema()).is_valid(given)


@pytest.mark.parametrize(("body", "changes"), [one for one in BAD if one[1] != BEYOND_SCHEMAS])
def test_what_is_refused_does_not_fit_the_document(body: type[BaseModel], changes: dict[str, Any]) -> None:
    """Who keeps to the schema is not told afterwards that the request was a mistake."""
    assert not Draft202012Validator(body.model_json_schema()).is_valid(GOOD[body] | changes)


def test_http_and_socket_take_the_same_message() -> None:
    """What can be sent over a socket can be sent over HTTP: every field of the draft is one of the body."""
    assert set(MessageDraft.model_fields) <= set(SendBody.model_fields)


def test_passwords_do_not_show() -> None:
    """A body may be logged by mistake; its password must not be."""
    assert "hunter2hunter2" not in repr(NewUser(user_id="alice", password="hunter2hunter2"))
