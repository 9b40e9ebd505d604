"""Typing over NATS, against a real record: who is told, how often, and when nobody."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import asyncpg
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api import signals as signals_module
from chat_api.commands import handlers
from chat_api.domain.commands import Actor, AddParticipants, RemoveParticipant
from chat_api.domain.errors import NotFound
from chat_api.settings import ChatApiSettings
from chat_api.signals import Signals
from chat_api.store.active_members import BELIEVED_S
from chat_api.store.unit_of_work import PostgresUnitOfWork
from chat_api.testing import AT, create, register
from chat_api.testing_world import until
from contracts import subjects
from contracts.delivery import DELIVERY_HEADER, Live, parse_delivery_header
from contracts.frames import TYPING_EXPIRES_MS, live_key
from contracts.ids import new_id

PEOPLE_MAX = 3


class Room:
    """Signals with a clock in the test's hands, people, and what each of them was told."""

    def __init__(self, settings: ChatApiSettings, engine: AsyncEngine, uow: PostgresUnitOfWork) -> None:
        self.time = 100.0
        self.signals = Signals(
            settings.model_copy(update={"typing_participants_max": PEOPLE_MAX}), engine, lambda: self.time
        )
        self.uow = uow
        self.told: list[tuple[str, dict[str, Any], str, str]] = []

    async def people(self, *names: str) -> list[str]:
        """Fresh registered users."""
        made = [f"{name}-{new_id()[-12:]}" for name in names]
        for user_id in made:
            await handlers.register_user(
                register(user_id), self.uow, actor_id="host", password_hash=None, once=None, status=201
            )
        return made

    async def conversation(self, owner: str, *others: str) -> str:
        """A fresh conversation."""
        return await handlers.create_conversation(create(owner, *others), self.uow, None, 201)

    def heard(self) -> list[tuple[str, bool]]:
        """Who was told, and what."""
        return [(user_id, frame["data"]["is_typing"]) for user_id, frame, _, _ in self.told]


@pytest.fixture
async def room(
    settings: ChatApiSettings, engine: AsyncEngine, uow: PostgresUnitOfWork, client: Client, observer: Client
) -> Room:
    """Everything that is published to users is heard."""
    made = Room(settings, engine, uow)
    made.signals.client = client

    async def hear(message: Msg) -> None:
        assert message.headers is not None
        header = message.headers[DELIVERY_HEADER]
        made.told.append((subjects.parse_user(message.subject), json.loads(message.data), header, message.reply))

    await observer.subscribe("natter.user.*", cb=hear)
    await observer.flush()
    return made


async def test_the_others_are_told_and_nothing_is_stored(room: Room, db: asyncpg.Connection[Any]) -> None:
    """A live frame without a reply that ends by itself; its end is one that stays. The record is as it was."""
    anna, ben, carl = await room.people("anna", "ben", "carl")
    c = await room.conversation(anna, ben, carl)
    before = await db.fetchval("SELECT count(*) FROM events")
    await room.signals.typing(c, anna, True)
    await room.signals.typing(c, anna, False)
    await until(lambda: len(room.told) == 4, "two others hear two signals")
    assert sorted(room.heard()) == sorted([(ben, True), (carl, True), (ben, False), (carl, False)])
    key = live_key("typing", c, anna)
    for _, frame, header, reply in room.told:
        data = frame["data"]
        assert frame == {"action": "typing", "data": data}
        assert data == {"conversation_id": c, "user_id": anna, "is_typing": data["is_typing"]}
        assert parse_delivery_header(header) == Live(key, TYPING_EXPIRES_MS if data["is_typing"] else None)
        assert reply == ""
    assert await db.fetchval("SELECT count(*) FROM events") == before


async def test_a_renewal_within_a_second_is_not_told_again(room: Room) -> None:
    """But its end is told at once, a start after an end too, and a renewal later."""
    anna, ben = await room.people("anna", "ben")
    c = await room.conversation(anna, ben)
    for seconds, is_typing in ((0, True), (0.5, True), (0.1, False), (0.1, True), (0.9, True), (0.2, True)):
        room.time += seconds
        await room.signals.typing(c, anna, is_typing)
    await room.signals.typing(c, ben, False)
    await until(lambda: (anna, False) in room.heard(), "the last signal is heard")
    assert room.heard() == [(ben, True), (ben, False), (ben, True), (ben, True), (anna, False)]


async def test_only_who_takes_part_may_tell_and_is_told(room: Room) -> None:
    """Strangers and unknown conversations: not found. Who left is told nothing a second later, who came is."""
    anna, ben, eve = await room.people("anna", "ben", "eve")
    c = await room.conversation(anna, ben)
    for conversation, user in ((c, eve), (new_id(), anna)):
        with pytest.raises(NotFound):
            await room.signals.typing(conversation, user, True)
    await handlers.remove_participant(RemoveParticipant(c, Actor(ben), ben, AT), room.uow)
    await handlers.add_participants(AddParticipants(c, Actor(anna), (eve,), AT), room.uow, None, 200)
    room.time += BELIEVED_S + 0.1
    with pytest.raises(NotFound):
        await room.signals.typing(c, ben, True)
    await room.signals.typing(c, anna, True)
    await until(lambda: bool(room.told), "somebody is told")
    assert room.heard() == [(eve, True)]


async def test_in_a_large_conversation_nobody_is_told(room: Room) -> None:
    """Above the limit a signal is accepted from members, refused from strangers, and goes nowhere."""
    people = await room.people(*(f"p{number}" for number in range(PEOPLE_MAX + 1)))
    (eve,) = await room.people("eve")
    large = await room.conversation(*people)
    small = await room.conversation(*people[:PEOPLE_MAX])
    await room.signals.typing(large, people[0], True)
    with pytest.raises(NotFound):
        await room.signals.typing(large, eve, True)
    await room.signals.typing(small, people[0], True)
    await until(lambda: len(room.told) >= PEOPLE_MAX - 1, "the small one is told")
    assert {frame["data"]["conversation_id"] for _, frame, _, _ in room.told} == {small}


async def test_while_nats_is_away_a_signal_is_dropped(room: Room, servers: Any, client: Client) -> None:
    """No error, and nothing old is told when it is back; without any connection neither."""
    anna, ben = await room.people("anna", "ben")
    c = await room.conversation(anna, ben)
    server = servers.stack.part("nats")
    await servers.do(server.kill())
    try:
        await until(lambda: not client.is_connected, "the loss is known")
        await room.signals.typing(c, anna, True)
    finally:
        await servers.do(server.start())
    await until(lambda: bool(client.is_connected), "it is back")

    async def told() -> None:
        while not room.told:
            await room.signals.typing(c, anna, False)
            await asyncio.sleep(0.05)

    async with asyncio.timeout(20):
        await told()
    assert (ben, True) not in room.heard()
    room.signals.client = None
    await room.signals.typing(c, anna, True)


async def test_what_is_remembered_is_bounded(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Typists beyond the limit push out the oldest."""
    monkeypatch.setattr(signals_module, "TOLD_MAX", 2)
    anna, ben = await room.people("anna", "ben")
    for _ in range(4):
        await room.signals.typing(await room.conversation(anna, ben), anna, True)
    assert len(room.signals._told) == 2
