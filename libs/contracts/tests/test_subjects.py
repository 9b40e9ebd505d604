"""Every subject is built from checked tokens, and taken apart into what it was built from."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import subjects
from contracts.errors import InvalidSubjectToken, NotOurSubject
from contracts.events import EVENT_CLASSES
from contracts.ids import new_id
from contracts.stream_ids import ConversationStream, UserStream

LETTERS = string.ascii_letters + string.digits + "_-"
user_ids = st.text(LETTERS, min_size=1, max_size=64)
conversation_ids = st.uuids().map(str)
event_types = st.sampled_from([event.type for event in EVENT_CLASSES])
bad_tokens = st.one_of(
    st.text().filter(lambda text: not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text)),
    st.sampled_from(
        [
            "",
            "alice.>",
            "*",
            ">",
            "alice.bob",
            "alice bob",
            " alice",
            "alice\n",
            "alice\r\n",
            "alice\t",
            "١٢٣",
            "élise",
            "ａｌｉｃｅ",
            "a" * 65,
            "alice\x00",
            "$SYS",
            "alice/../bob",
        ]
    ),
)


@given(user_ids)
def test_user_round_trip(user_id: str) -> None:
    """A user's subject gives back the user id, and has exactly three tokens."""
    assert subjects.parse_user(subjects.user(user_id)) == user_id
    assert len(subjects.user(user_id).split(".")) == 3


@given(user_ids)
def test_offline_round_trip(user_id: str) -> None:
    """An offline subject gives back the user id, and matches `natter.offline.*`."""
    assert subjects.parse_offline(subjects.offline(user_id)) == user_id
    assert len(subjects.offline(user_id).split(".")) == len(subjects.OFFLINE_ALL.split("."))


@given(user_ids, event_types)
def test_user_event_round_trip(user_id: str, event_type: str) -> None:
    """The subject of an event in a user's stream gives back the stream, in five tokens."""
    subject = subjects.event(UserStream(user_id), event_type)
    assert subjects.parse_event(subject) == UserStream(user_id)
    assert len(subject.split(".")) == 5


@given(conversation_ids, event_types)
def test_conversation_event_round_trip(conversation_id: str, event_type: str) -> None:
    """The subject of an event in a conversation's stream gives back the stream, in five tokens."""
    subject = subjects.event(ConversationStream(conversation_id), event_type)
    assert subjects.parse_event(subject) == ConversationStream(conversation_id)
    assert len(subject.split(".")) == 5


@given(user_ids, st.integers(min_value=0, max_value=2**63))
def test_receipt_round_trip(inbox_id: str, ticket: int) -> None:
    """A receipt's subject gives back its ticket, and lies under what the fan-out subscribes to."""
    subject = subjects.receipt(inbox_id, ticket)
    assert subjects.parse_receipt(subject) == ticket
    assert subject.rpartition(".")[0] == subjects.receipts(inbox_id).removesuffix(".*")


@given(bad_tokens)
def test_bad_tokens_are_refused(token: str) -> None:
    """No builder lets a token through that could be a wildcard, a second token or an invisible twin."""
    builders = (
        subjects.user,
        subjects.offline,
        subjects.room,
        subjects.command,
        subjects.receipts,
        subjects.control,
        lambda text: subjects.receipt(text, 1),
        lambda text: subjects.event(UserStream(text), "user.registered"),
        lambda text: subjects.event(ConversationStream(text), "message.created"),
    )
    for build in builders:
        with pytest.raises(InvalidSubjectToken):
            build(token)


@given(bad_tokens)
def test_parsers_refuse_bad_tokens(token: str) -> None:
    """A subject with such a token is none of ours, whoever sent it."""
    for prefix, parse in (("natter.user.", subjects.parse_user), ("natter.offline.", subjects.parse_offline)):
        with pytest.raises(NotOurSubject):
            parse(prefix + token)
    with pytest.raises(NotOurSubject):
        subjects.parse_event(f"natter.events.user.{token}.user_registered")


@given(st.text(LETTERS + ".*> ", max_size=80))
def test_built_subjects_have_no_wildcards(text: str) -> None:
    """Whatever is asked for, a subject that a builder returns holds no wildcard, no space and no further token."""
    for build in (subjects.user, subjects.offline, subjects.command, subjects.control):
        try:
            subject = build(text)
        except InvalidSubjectToken:
            continue
        assert len(subject.split(".")) == 3
        assert not set(subject) & set("*> \t\r\n")


@pytest.mark.parametrize(
    "event_type", ["message", "Message.created", "message.created.", "message..x", "a.*", "a.>", ""]
)
def test_event_types_are_checked(event_type: str) -> None:
    """An event's type becomes a token, so it is held to its own shape."""
    with pytest.raises(InvalidSubjectToken):
        subjects.event(UserStream("alice"), event_type)


def test_event_types_become_one_token() -> None:
    """The dots of a type would be further tokens, so they become underscores."""
    conversation_id = new_id()
    subject = subjects.event(ConversationStream(conversation_id), "message.created")
    assert subject == f"natter.events.conversation.{conversation_id}.message_created"


def test_control_takes_several_tokens() -> None:
    """Each part of a control subject is a token of its own."""
    assert subjects.control("canary", "edge-1") == "natter.control.canary.edge-1"
    with pytest.raises(InvalidSubjectToken):
        subjects.control("canary", "edge.1")


@pytest.mark.parametrize(
    "subject",
    ["", "natter.user.", "natter.user.alice.bob", "natter.room.alice", "x.natter.user.alice", "natter.users.alice"],
)
def test_foreign_subjects_are_not_users(subject: str) -> None:
    """Only what `user` builds is parsed as a user's subject."""
    with pytest.raises(NotOurSubject):
        subjects.parse_user(subject)


@pytest.mark.parametrize(
    "subject",
    [
        "natter.receipt.x.",
        "natter.receipt.x.a",
        "natter.receipt.x.-1",
        "natter.receipt.x.١",
        "natter.receipt.x." + "9" * 5000,
        "natter.user.x.1",
        "natter.receipt.1",
    ],
)
def test_foreign_subjects_are_no_receipts(subject: str) -> None:
    """A receipt's subject ends in a plain decimal ticket; anything else is refused as a contract error."""
    with pytest.raises(NotOurSubject):
        subjects.parse_receipt(subject)


@pytest.mark.parametrize(
    "subject", ["natter.events.user.alice", "natter.events.room.alice.x", "natter.events.conversation.alice.x", "a.b"]
)
def test_foreign_subjects_are_no_events(subject: str) -> None:
    """Only the two kinds of stream have events."""
    with pytest.raises(NotOurSubject):
        subjects.parse_event(subject)
