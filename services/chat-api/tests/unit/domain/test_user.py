"""Registration, read cursors, and the notes of memberships."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat_api.domain.commands import AdvanceRead
from chat_api.domain.errors import AlreadyExists, NotFound, SeqOutOfRange
from chat_api.domain.user import Membership, User, advance_read, memberships_noted, register
from chat_api.testing import AT, after
from chat_api.testing import register as registration
from contracts.events import (
    ConversationCreated,
    ConversationUpdated,
    ParticipantJoined,
    ParticipantLeft,
    UserConversationJoined,
    UserConversationLeft,
    UserReadAdvanced,
    UserRegistered,
)
from contracts.ids import new_id

C = new_id()


def test_registration() -> None:
    """A new user is registered with name and roles."""
    assert register(None, registration("alice", "Alice", ("doctor",))) == (
        UserRegistered(user_id="alice", name="Alice", roles=("doctor",), registered_at=AT),
    )


def test_the_same_registration_again_changes_nothing() -> None:
    """A host application may register whenever it likes."""
    assert register(User("alice", "Alice", ("doctor",)), registration("alice", "Alice", ("doctor",))) == ()


@pytest.mark.parametrize(("name", "roles"), [("Alicia", ("doctor",)), ("Alice", ("customer",)), (None, ("doctor",))])
def test_another_registration_is_refused(name: str | None, roles: tuple[str, ...]) -> None:
    """An id that stands for somebody cannot become somebody else."""
    with pytest.raises(AlreadyExists):
        register(User("alice", "Alice", ("doctor",)), registration("alice", name, roles))


@given(st.lists(st.integers(1, 12), max_size=20), st.integers(1, 10))
def test_a_read_cursor_only_moves_forward(seqs: list[int], last_seq: int) -> None:
    """Whatever is claimed, the cursor is the highest accepted claim, and each event moves it."""
    read = 0
    for seq in seqs:
        command = AdvanceRead(C, "alice", seq, AT)
        if seq > last_seq:
            with pytest.raises(SeqOutOfRange):
                advance_read(Membership(last_seq, read), command)
            continue
        events = advance_read(Membership(last_seq, read), command)
        assert bool(events) is (seq > read)
        for event in events:
            assert isinstance(event, UserReadAdvanced)
            read = event.seq
    assert read == max((seq for seq in seqs if seq <= last_seq), default=0)


def test_strangers_read_nothing() -> None:
    """Without a membership there is nothing to have read."""
    with pytest.raises(NotFound):
        advance_read(None, AdvanceRead(C, "alice", 1, AT))


def test_memberships_are_noted_in_the_users_own_streams() -> None:
    """Everybody who comes or goes has a note of it, at the conversation's seq, in the order of the events."""
    events = [
        (1, ConversationCreated(conversation_id=C, owner_id="a", participant_ids=("a", "b"), created_at=AT)),
        (2, ConversationUpdated(conversation_id=C, updated_by="a", updated_at=AT)),
        (3, ParticipantJoined(conversation_id=C, user_id="c", added_by="a", joined_at=after(1))),
        (4, ParticipantLeft(conversation_id=C, user_id="b", removed_by="a", left_at=after(2))),
    ]
    assert memberships_noted(events) == (
        UserConversationJoined(user_id="a", conversation_id=C, at_seq=1, joined_at=AT),
        UserConversationJoined(user_id="b", conversation_id=C, at_seq=1, joined_at=AT),
        UserConversationJoined(user_id="c", conversation_id=C, at_seq=3, joined_at=after(1)),
        UserConversationLeft(user_id="b", conversation_id=C, at_seq=4, left_at=after(2)),
    )
