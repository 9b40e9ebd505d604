"""Who must get an event: the members at that very seq, whatever the record knows by now."""

from __future__ import annotations

from typing import Any

from chat_api.fanout.recipients import Bounds, Members, Recipients
from contracts.envelope import Envelope
from contracts.ids import new_id
from contracts.times import now

C = new_id()


def event(seq: int, event_type: str = "message.created", conversation_id: str = C, **data: Any) -> Envelope:
    """An event of a conversation."""
    subject = f"conversation:{conversation_id}"
    return Envelope(
        id=new_id(),
        type=event_type,
        subject=subject,
        time=now(),
        seq=seq,
        position=seq,
        partitionkey=subject,
        data=data,
    )


def alone(*user_ids: str) -> Bounds:
    """Members from the beginning."""
    return dict.fromkeys(user_ids, (1, None))


class Record:
    """What the database would say, and how often it was asked."""

    def __init__(self, **conversations: Bounds) -> None:
        self.conversations = conversations
        self.asked: list[str] = []
        self.ended: list[tuple[str, int, int]] = []

    async def load(self, conversation_id: str) -> Members:
        """The bounds of one conversation."""
        self.asked.append(conversation_id)
        return Members(dict(self.conversations.get(conversation_id, {})), list(self.ended))


def recipients(bounds: Bounds, cache_max: int = 10) -> Recipients:
    """Recipients of the conversation C alone."""
    return Recipients(Record(**{C: bounds}).load, cache_max)


async def test_users_own_events_are_for_the_user() -> None:
    """A user's stream concerns nobody else, and needs no look at the record."""
    record = Record()
    own = Envelope(
        id=new_id(),
        type="user.read_advanced",
        subject="user:alice",
        time=now(),
        seq=1,
        position=1,
        partitionkey="user:alice",
        data={},
    )
    assert await Recipients(record.load, 10).of(own) == ["alice"]
    assert record.asked == []


async def test_everybody_including_owner_and_sender() -> None:
    """The owner was once forgotten; the sender's other devices want the message, too."""
    found = recipients({"owner": (1, None), "bob": (1, None)})
    assert sorted(await found.of(event(2, sender_id="bob"))) == ["bob", "owner"]


async def test_who_joined_later_gets_nothing_earlier() -> None:
    """A fan-out behind the record does not send old messages to new members."""
    found = recipients({"alice": (1, None), "bob": (5, None)})
    assert await found.of(event(4)) == ["alice"]
    assert sorted(await found.of(event(5, "participant.joined", user_id="bob"))) == ["alice", "bob"]


async def test_who_left_later_still_gets_it() -> None:
    """The last thing that a member sees is his own leaving."""
    found = recipients({"alice": (1, None), "bob": (1, 5)})
    assert sorted(await found.of(event(4))) == ["alice", "bob"]
    assert sorted(await found.of(event(5, "participant.left", user_id="bob"))) == ["alice", "bob"]
    assert await found.of(event(6)) == ["alice"]


async def test_the_events_keep_the_cache_right() -> None:
    """Once loaded, comings and goings are learned from the stream, without asking again."""
    record = Record(**{C: alone("alice")})
    found = Recipients(record.load, 10)
    assert await found.of(event(2)) == ["alice"]
    assert sorted(await found.of(event(3, "participant.joined", user_id="bob"))) == ["alice", "bob"]
    assert sorted(await found.of(event(4))) == ["alice", "bob"]
    assert sorted(await found.of(event(5, "participant.left", user_id="bob"))) == ["alice", "bob"]
    assert await found.of(event(6)) == ["alice"]
    assert sorted(await found.of(event(7, "participant.joined", user_id="bob"))) == ["alice", "bob"]
    assert record.asked == [C]


async def test_a_repeat_from_the_floor_is_understood() -> None:
    """Events that come a second time find the members of their own moment."""
    found = recipients({"alice": (1, None)})
    for _ in range(2):
        assert sorted(await found.of(event(3, "participant.joined", user_id="bob"))) == ["alice", "bob"]
        assert sorted(await found.of(event(4))) == ["alice", "bob"]
        assert sorted(await found.of(event(5, "participant.left", user_id="bob"))) == ["alice", "bob"]
        assert await found.of(event(6)) == ["alice"]


async def test_who_came_back_still_gets_what_was_said_before_he_left() -> None:
    """Fan-out is behind the record, which knows by now that bob left at 5 and came back at 9."""
    latest: Bounds = {"alice": (1, None), "bob": (9, None)}
    record = Record(**{C: latest})
    record.ended = [("bob", 1, 5)]
    found = Recipients(record.load, 10)
    assert sorted(await found.of(event(4))) == ["alice", "bob"]
    assert sorted(await found.of(event(5, "participant.left", user_id="bob"))) == ["alice", "bob"]
    assert await found.of(event(6)) == ["alice"]
    assert sorted(await found.of(event(9, "participant.joined", user_id="bob"))) == ["alice", "bob"]
    assert sorted(await found.of(event(10))) == ["alice", "bob"]


async def test_a_repeat_after_a_return_is_understood() -> None:
    """The same, learned from the events and then repeated from the floor."""
    found = recipients({"alice": (1, None), "bob": (1, None)})
    for _ in range(2):
        assert sorted(await found.of(event(4))) == ["alice", "bob"]
        assert sorted(await found.of(event(5, "participant.left", user_id="bob"))) == ["alice", "bob"]
        assert await found.of(event(6)) == ["alice"]
        assert sorted(await found.of(event(9, "participant.joined", user_id="bob"))) == ["alice", "bob"]
        assert sorted(await found.of(event(10))) == ["alice", "bob"]


async def test_the_cache_is_bounded_and_drops_what_was_not_used() -> None:
    """The conversation used longest ago is read again, the others are not."""
    ids = [new_id() for _ in range(3)]
    record = Record(**{one: alone("alice") for one in ids})
    found = Recipients(record.load, 2)
    for one in (ids[0], ids[1], ids[0], ids[2]):
        await found.of(event(1, conversation_id=one))
    assert record.asked == ids
    await found.of(event(2, conversation_id=ids[0]))
    assert record.asked == ids
    await found.of(event(2, conversation_id=ids[1]))
    assert record.asked == [*ids, ids[1]]


async def test_what_was_forgotten_is_read_again() -> None:
    """After another process had the lane, the cache knows too little."""
    record = Record(**{C: alone("alice")})
    found = Recipients(record.load, 10)
    await found.of(event(1))
    record.conversations[C] = {"alice": (1, None), "bob": (2, None)}
    found.forget()
    assert sorted(await found.of(event(3))) == ["alice", "bob"]
