"""Who may let the system speak, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest

from chat_api.domain import conversation, notices, user
from chat_api.domain.commands import SYSTEM_ID, Actor, DeleteMessage, EditMessage
from chat_api.domain.conversation import Conversation
from chat_api.domain.errors import AlreadyExists, Forbidden, NotFound
from chat_api.domain.notices import Broadcast, DisconnectUser, NotifyConversation, NotifyUser
from chat_api.domain.user import User
from chat_api.testing import AT, SERVICE, register, send
from contracts.devices import DeviceType
from contracts.events import AdminAct, AdminActed, MessageCreated, MessageDeleted, UserNotified
from contracts.ids import new_id
from contracts.messages import MessageType, SenderType
from contracts.notices import NotificationDraft, SystemNotificationDraft

C, M = new_id(), new_id()
ALICE = Actor("alice")
TALK = Conversation(C, "alice", 4, members=frozenset(("alice",)))
SAID = SystemNotificationDraft(title="T", message="text", type="maintenance", is_important=True, data={"a": 1})
TOLD = NotificationDraft(title="T", content="text", type="reminder", action="open_it", conversation_id=C, data={"b": 2})


def notify(actor: Actor = SERVICE) -> NotifyConversation:
    """A notice for the conversation."""
    return NotifyConversation(C, M, actor, SAID, AT)


def noticed() -> Conversation:
    """The conversation with a notice in it."""
    (event,) = notices.notify_conversation(TALK, notify())
    return conversation.evolve(TALK, event)


def test_a_notice_is_a_message_of_nobody() -> None:
    """S5: the next place of the conversation; the sender is the system, its title is beside the text."""
    (event,) = notices.notify_conversation(TALK, notify())
    assert isinstance(event, MessageCreated)
    assert (event.seq, event.sender_id, event.sender_type) == (5, SYSTEM_ID, SenderType.SYSTEM)
    assert (event.message_type, event.content, event.is_important) == (MessageType.SYSTEM, "text", True)
    assert event.notice is not None
    assert (event.notice.title, event.notice.type, event.notice.data) == ("T", "maintenance", {"a": 1})
    assert event.exclude_user_ids == ()
    assert noticed().last_seq == 5


def test_a_notification_is_an_event_of_its_user() -> None:
    """S2: everything that was given is in it."""
    command = NotifyUser(M, SERVICE, "alice", TOLD, (DeviceType.MOBILE,), AT)
    (event,) = notices.notify_user(User("alice", None, ("customer",)), command)
    assert isinstance(event, UserNotified)
    said = event.notification
    assert (said.id, said.user_id, said.sender_type, said.created_at) == (M, "alice", SenderType.SYSTEM, AT)
    given = TOLD.model_dump()
    assert {name: getattr(said, name) for name in given} == given
    assert (event.device_types, said.broadcast_id) == ((DeviceType.MOBILE,), None)


def test_admins_acts_are_events_of_theirs() -> None:
    """Who, what, to whom, with what."""
    (said,) = notices.broadcast(Broadcast(M, Actor("root", privileged=True), TOLD, ("doctor",), AT), 7)
    assert isinstance(said, AdminActed)
    assert (said.user_id, said.act, said.target) == ("root", AdminAct.BROADCAST, M)
    assert said.details is not None
    assert (said.details["roles"], said.details["recipients"]) == (["doctor"], 7)
    assert NotificationDraft.model_validate(said.details["draft"]) == TOLD
    (closed,) = notices.disconnect_user(DisconnectUser(SERVICE, "alice", None, DeviceType.TABLET, AT))
    assert isinstance(closed, AdminActed)
    assert (closed.act, closed.target, closed.details) == (
        AdminAct.DISCONNECT_USER,
        "alice",
        {"device_type": DeviceType.TABLET},
    )
    (every,) = notices.disconnect_user(DisconnectUser(SERVICE, "alice", None, None, AT))
    assert isinstance(every, AdminActed)
    assert every.details is None


@pytest.mark.parametrize("actor", [ALICE, Actor("alice", staff=True)], ids=["customer", "staff"])
def test_nobody_else_speaks_for_the_system(actor: Actor) -> None:
    """Taking part is not enough, nor is being staff."""
    known = User("alice", None, ("customer",))
    attempts: list[Any] = [
        lambda: notices.notify_conversation(TALK, notify(actor)),
        lambda: notices.notify_user(known, NotifyUser(M, actor, "alice", TOLD, (), AT)),
        lambda: notices.broadcast(Broadcast(M, actor, TOLD, (), AT), 1),
        lambda: notices.disconnect_user(DisconnectUser(actor, "bob", None, None, AT)),
    ]
    for attempt in attempts:
        with pytest.raises(Forbidden):
            attempt()


def test_whom_nobody_knows_nobody_tells() -> None:
    """An unknown conversation, an unknown user."""
    with pytest.raises(NotFound):
        notices.notify_conversation(None, notify())
    with pytest.raises(NotFound):
        notices.notify_user(None, NotifyUser(M, SERVICE, "nobody", TOLD, (), AT))


def test_a_broadcast_is_told_to_each_with_an_id_of_its_own() -> None:
    """In the given order, with the broadcast's id in each."""
    ids = [("alice", new_id()), ("bob", new_id())]
    events = notices.told(TOLD, M, ids, AT)
    assert [(one.notification.user_id, one.notification.id) for one in events] == ids
    assert {one.notification.broadcast_id for one in events} == {M}


def test_what_the_system_said_is_changed_by_the_privileged_alone() -> None:
    """Also when it was said in the name of the one who tries; what is deleted has no title left."""
    named = send(C, "alice", sender_type=SenderType.SYSTEM)
    (event,) = conversation.decide(TALK, named)
    for state, message_id in ((noticed(), M), (conversation.evolve(TALK, event), named.message_id)):
        for command in (EditMessage(message_id, ALICE, "mine", AT), DeleteMessage(message_id, ALICE, AT)):
            with pytest.raises(Forbidden):
                conversation.decide(state, command)
        (gone,) = conversation.decide(state, DeleteMessage(message_id, SERVICE, AT))
        assert isinstance(gone, MessageDeleted)
        assert (gone.content, gone.notice) == ("", None)


def test_the_system_needs_no_membership_but_others_do_in_its_name_too() -> None:
    """The pair of sender and sender_type is what counts: neither alone opens the door."""
    (event,) = conversation.decide(TALK, send(C, SYSTEM_ID, sender_type=SenderType.SYSTEM))
    assert isinstance(event, MessageCreated)
    for sender, kind in ((SYSTEM_ID, SenderType.CHAT), ("stranger", SenderType.SYSTEM)):
        with pytest.raises(NotFound):
            conversation.decide(TALK, send(C, sender, sender_type=kind))


def test_a_repeat_with_another_sender_type_or_name_is_no_repeat() -> None:
    """And a message as it always was has the fingerprint that it always had."""
    one = send(C, "alice")
    assert one.fingerprint == send(C, "alice", client_msg_id=one.draft.client_msg_id).fingerprint
    others = [
        send(C, "alice", client_msg_id=one.draft.client_msg_id, **change)
        for change in ({"sender_type": SenderType.SYSTEM}, {"shown_name": "A."}, {"shown_name": "B."})
    ]
    assert len({one.fingerprint, *(other.fingerprint for other in others)}) == 4


def test_nobody_is_registered_as_the_system() -> None:
    """Or somebody could be the sender of what the system says, and be left out of it."""
    with pytest.raises(AlreadyExists):
        user.register(None, register(SYSTEM_ID))
