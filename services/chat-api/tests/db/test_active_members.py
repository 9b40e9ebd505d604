"""Who takes part in a conversation now, against a real record: for how long it is believed, and of how many."""

from __future__ import annotations

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.commands import handlers
from chat_api.domain.commands import Actor, RemoveParticipant
from chat_api.fanout.members import MemberList
from chat_api.fanout.recipients import Members
from chat_api.store import active_members
from chat_api.store.active_members import BELIEVED_S, ActiveMembers
from chat_api.store.unit_of_work import PostgresUnitOfWork
from chat_api.testing import AT, create, register
from contracts.ids import new_id

MEMBERS_MAX = 3


class Book:
    """The members as they are believed, by a clock in the test's hands, and the record where they change."""

    def __init__(self, engine: AsyncEngine, uow: PostgresUnitOfWork) -> None:
        self.time = 100.0
        self.active = ActiveMembers(engine, MEMBERS_MAX, lambda: self.time)
        self._uow = uow

    async def conversation(self, *names: str) -> tuple[str, list[str]]:
        """A fresh conversation of fresh people; the first owns it."""
        people = [f"{name}-{new_id()[-12:]}" for name in names]
        for user_id in people:
            await handlers.register_user(
                register(user_id), self._uow, actor_id="host", password_hash=None, once=None, status=201
            )
        return await handlers.create_conversation(create(*people), self._uow, None, 201), people

    async def leaves(self, conversation_id: str, user_id: str) -> None:
        """The record says that the user has left."""
        await handlers.remove_participant(RemoveParticipant(conversation_id, Actor(user_id), user_id, AT), self._uow)


@pytest.fixture
def book(engine: AsyncEngine, uow: PostgresUnitOfWork) -> Book:
    """Nothing is known yet."""
    return Book(engine, uow)


async def test_what_was_read_is_believed_for_a_second(book: Book) -> None:
    """Whoever left is a member for that long, and then no more; asking meanwhile does not make it longer."""
    c, (anna, ben) = await book.conversation("anna", "ben")
    assert await book.active.of(c) == {anna, ben}
    await book.leaves(c, ben)
    book.time += BELIEVED_S / 2
    assert await book.active.of(c) == {anna, ben}
    book.time += BELIEVED_S / 2
    assert await book.active.of(c) == {anna}


async def test_too_many_are_none_and_nobody_is_somebody(book: Book) -> None:
    """A conversation above the limit has no list; one that does not exist has an empty one."""
    small, people = await book.conversation(*"abc")
    large, _ = await book.conversation(*"abcd")
    assert await book.active.of(small) == set(people)
    assert await book.active.of(large) is None
    assert await book.active.of(new_id()) == frozenset()


async def test_the_one_not_asked_for_longest_is_forgotten_first(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the second an old answer is one that was remembered, a new answer one that was forgotten."""
    monkeypatch.setattr(active_members, "REMEMBERED_MAX", 2)
    (one, (anna, ben)), (two, (carl, dora)) = await book.conversation(*"ab"), await book.conversation(*"cd")
    for conversation in (one, two, one, new_id()):
        await book.active.of(conversation)
    await book.leaves(one, ben)
    await book.leaves(two, dora)
    assert await book.active.of(one) == {anna, ben}
    assert await book.active.of(two) == {carl}


async def test_what_a_lane_knows_comes_before_what_was_read(book: Book) -> None:
    """Those who are over do not count, the limit holds for what lanes know too; without a lane the record is asked."""
    c, (anna, ben) = await book.conversation("anna", "ben")
    known: dict[str, Members] = {}
    members = MemberList(book.active, known.get, MEMBERS_MAX)
    assert set(await members.of(c) or ()) == {anna, ben}
    known[c] = Members({anna: (1, None), ben: (1, 4), "eve": (5, None)})
    assert set(await members.of(c) or ()) == {anna, "eve"}
    known[c] = Members(dict.fromkeys("abcd", (1, None)))
    assert await members.of(c) is None
