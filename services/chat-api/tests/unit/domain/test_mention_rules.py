"""Who can be mentioned, and what a mention changes about a message's fingerprint."""

from __future__ import annotations

import hashlib
import json

import pytest

from chat_api.domain.commands import Actor, DeleteMessage, EditMessage, RemoveParticipant
from chat_api.domain.conversation import Conversation, as_message, decide, evolve
from chat_api.domain.errors import UnknownUsers
from chat_api.testing import AT, after, create, send
from contracts.events import MessageCreated, MessageDeleted, MessageEdited
from contracts.ids import new_id

C = new_id()


def opened() -> Conversation:
    """A conversation of alice's, with bob and carol."""
    (created,) = decide(None, create("alice", "bob", "carol", conversation_id=C))
    return evolve(None, created)


def test_a_mention_stays_with_its_message_until_it_is_deleted() -> None:
    """In the order in which it was written, through every edit."""
    state = opened()
    said = send(C, "alice", mentions=["carol", "bob", "carol"])
    (created,) = decide(state, said)
    assert isinstance(created, MessageCreated)
    assert created.mentions == ("carol", "bob")
    state = evolve(state, created)
    (edited,) = decide(state, EditMessage(said.message_id, Actor("alice"), "other words", after(1)))
    assert isinstance(edited, MessageEdited)
    assert as_message(edited).mentions == ("carol", "bob")
    (deleted,) = decide(evolve(state, edited), DeleteMessage(said.message_id, Actor("alice"), after(2)))
    assert isinstance(deleted, MessageDeleted)
    assert deleted.mentions is None


def test_nobody_mentioned_is_no_mention() -> None:
    """An empty list reads like none, in the event as in the message."""
    (created,) = decide(opened(), send(C, "alice", mentions=[]))
    assert isinstance(created, MessageCreated)
    assert created.mentions is None


@pytest.mark.parametrize("mentions", [["eve"], ["bob", "eve"], ["bob", "carol"]])
def test_who_takes_no_part_cannot_be_mentioned(mentions: list[str]) -> None:
    """Neither a stranger nor somebody who has left; one of them is enough."""
    state = opened()
    (left,) = decide(state, RemoveParticipant(C, Actor("carol"), "carol", AT))
    with pytest.raises(UnknownUsers) as refused:
        decide(evolve(state, left), send(C, "alice", mentions=mentions))
    assert mentions[-1] in refused.value.message
    assert "bob" not in refused.value.message


def test_a_message_without_mentions_has_the_fingerprint_that_it_always_had() -> None:
    """Releases before mentions stored this digest: a repeat of what they took is still a repeat."""
    command = send(C, "alice", "hello", extra_metadata={"a": 1})
    before = {
        "message_type": "text",
        "content": "hello",
        "attachment_id": None,
        "reply_to": None,
        "is_important": False,
        "extra_metadata": {"a": 1},
    }
    text = json.dumps([C, before], sort_keys=True, separators=(",", ":"))
    assert command.fingerprint == hashlib.sha256(text.encode()).digest()


def test_mentions_are_part_of_the_fingerprint() -> None:
    """The same words to somebody else are another message."""
    found = {
        send(C, "alice", client_msg_id="m", mentions=mentions).fingerprint
        for mentions in (None, ["bob"], ["carol"], ["bob", "carol"])
    }
    assert len(found) == 4
