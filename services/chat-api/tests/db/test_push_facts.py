"""What chat-api answers the notifier, on real Postgres. What goes over NATS: test_notifier_questions."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.commands.ports import Recordable
from chat_api.settings import ChatApiSettings
from chat_api.store import pushfacts
from chat_api.store.unit_of_work import PostgresUnitOfWork
from chat_api.sync_notes import SyncNotes
from chat_api.testing_http import Served, served
from chat_api.testing_world import eventually
from contracts.devices import DeviceType
from contracts.events import ConversationCreated
from contracts.ids import new_id
from contracts.pushfacts import (
    DeliveryFacts,
    PushQuestion,
    UserFacts,
)
from contracts.stream_ids import ConversationStream
from contracts.times import now, rfc3339


@pytest.fixture
async def notes(engine: AsyncEngine) -> SyncNotes:
    """What is noted of syncs; written when a test says so."""
    return SyncNotes(engine)


@pytest.fixture
async def natter(
    settings: ChatApiSettings, engine: AsyncEngine, uow: PostgresUnitOfWork, notes: SyncNotes
) -> AsyncIterator[Served]:
    """The application at work."""
    async with served(settings, engine, uow, sync_notes=notes) as made:
        yield made


class Talk:
    """Alice and bob in a conversation."""

    def __init__(self, natter: Served, engine: AsyncEngine, db: asyncpg.Connection[Any]) -> None:
        self.natter = natter
        self.engine = engine
        self.db = db
        self.alice = self.bob = self.c = ""

    async def begin(self, **body: Any) -> Talk:
        """They are registered, and alice opens it."""
        self.alice, self.bob = [await self.natter.account(name) for name in ("alice", "bob")]
        answer = await self.call(
            "POST", "/v1/conversations", self.alice, json={"participant_ids": [self.bob]} | body, status=201
        )
        self.c = answer["id"]
        return self

    async def call(self, method: str, path: str, who: str, **options: Any) -> Any:
        """A request of one of them."""
        answer = await self.natter.call(method, path, self.natter.token(who), **options)
        return answer.json() if answer.content else None

    async def say(self, content: str = "hello", **more: Any) -> PushQuestion:
        """Alice says something; the question that the notifier asks about it for bob."""
        body = {"client_msg_id": new_id(), "content": content} | more
        path = f"/v1/conversations/{self.c}/messages"
        told = await self.call("POST", path, self.alice, json=body, status=201)
        event = await self.db.fetchval(
            "SELECT event_id FROM events WHERE stream = $1 AND seq = $2", f"conversation:{self.c}", told["seq"]
        )
        return PushQuestion(
            user_id=self.bob, event_id=str(event), conversation_id=self.c, message_id=told["id"], seq=told["seq"]
        )

    async def told(self, notes: SyncNotes, cursor: str) -> None:
        """Bob's device syncs from there to the end of the record."""
        newest: int = await self.db.fetchval("SELECT max(txid::text::bigint) FROM events")

        async def settled() -> bool:
            fence: int = await self.db.fetchval("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
            return fence > newest

        await eventually(settled, "no transaction of somebody else holds the fence back")
        page = await self.call("GET", "/v1/sync", self.bob, params={"cursor": cursor})
        await notes.flush()
        known = await self.db.fetch("SELECT * FROM synced WHERE user_id = $1", self.bob)
        # He has had the page, and says so by its cursor.
        await self.call("GET", "/v1/sync", self.bob, params={"cursor": page["next_cursor"]})
        await notes.flush()
        assert known != await self.db.fetch("SELECT * FROM synced WHERE user_id = $1", self.bob)

    async def facts(self, *questions: PushQuestion) -> list[DeliveryFacts]:
        """What is answered."""
        async with self.engine.connect() as connection:
            return list(await pushfacts.deliveries(connection, questions))

    async def about(self, *user_ids: str) -> list[UserFacts]:
        """How users stand."""
        async with self.engine.connect() as connection:
            return list(await pushfacts.users(connection, user_ids, {}))


@pytest.fixture
async def talk(natter: Served, engine: AsyncEngine, db: asyncpg.Connection[Any]) -> Talk:
    """Alice and bob."""
    return await Talk(natter, engine, db).begin()


async def test_a_fresh_message_has_nothing_against_it(talk: Talk) -> None:
    """Bob takes part, has not read it, and nobody has confirmed it."""
    asked = await talk.say()
    [facts] = await talk.facts(asked)
    assert facts == DeliveryFacts(user_id=talk.bob, event_id=asked.event_id, members=2)


async def test_answers_are_in_the_order_of_the_questions(talk: Talk) -> None:
    """Also of an event that nobody knows, and of what belongs to no conversation."""
    first, second = await talk.say(), await talk.say()
    unknown = PushQuestion(user_id="nobody", event_id=new_id(), conversation_id=new_id(), message_id=new_id(), seq=3)
    lone = PushQuestion(user_id=talk.bob, event_id=new_id())
    answers = await talk.facts(second, unknown, lone, first)
    assert [one.event_id for one in answers] == [one.event_id for one in (second, unknown, lone, first)]
    assert (answers[1].member, answers[1].deleted) == (False, True)
    assert (answers[2].member, answers[2].deleted, answers[2].members) == (True, False, 0)
    assert await talk.facts() == []


async def test_what_was_read_deleted_edited_left_or_muted_is_told(talk: Talk) -> None:
    """Each by itself: of two messages only the one that it happened to."""
    read, other = await talk.say(), await talk.say()
    await talk.call("PUT", f"/v1/conversations/{talk.c}/read", talk.bob, json={"seq": read.seq})
    assert [one.read for one in await talk.facts(read, other)] == [True, False]
    await talk.call("PATCH", f"/v1/messages/{other.message_id}", talk.alice, json={"content": "x" * 5_000})
    [edited] = await talk.facts(other)
    assert edited.content == "x" * 1_024
    assert [one.content for one in await talk.facts(read)] == [None]
    await talk.call("DELETE", f"/v1/messages/{read.message_id}", talk.alice)
    assert [one.deleted for one in await talk.facts(read, other)] == [True, False]
    await talk.call("PUT", f"/v1/conversations/{talk.c}/mute", talk.bob, json={})
    assert [one.muted for one in await talk.facts(other)] == [True]
    until = rfc3339(now() + timedelta(milliseconds=300))
    await talk.call("PUT", f"/v1/conversations/{talk.c}/mute", talk.bob, json={"until": until})
    assert [one.muted for one in await talk.facts(other)] == [True]

    async def ended() -> bool:
        return not (await talk.facts(other))[0].muted

    await eventually(ended, "the mute has run out")
    await talk.call("DELETE", f"/v1/conversations/{talk.c}/participants/{talk.bob}", talk.bob, status=204)
    [left] = await talk.facts(other)
    assert (left.member, left.members) == (False, 1)


async def test_the_title_is_told(natter: Served, engine: AsyncEngine, db: asyncpg.Connection[Any]) -> None:
    """For the push's headline."""
    talk = await Talk(natter, engine, db).begin(title="Knee surgery")
    assert [one.conversation_title for one in await talk.facts(await talk.say())] == ["Knee surgery"]


async def test_receipts_say_what_kind_of_device_has_it(talk: Talk) -> None:
    """Each kind once."""
    asked = await talk.say()
    for device in ("desktop", "mobile", "desktop"):
        await talk.db.execute(
            "INSERT INTO receipts VALUES ($1, $2, $3, $4, 'edge-1', $5, now())",
            f"conversation:{talk.c}", asked.seq, talk.bob, new_id(), device,
        )  # fmt: skip
    [facts] = await talk.facts(asked)
    assert set(facts.delivered_to) == {DeviceType.DESKTOP, DeviceType.MOBILE}


async def test_what_was_in_a_sync_counts_as_delivered(talk: Talk, notes: SyncNotes) -> None:
    """Up to there, and for whoever asked; a snapshot alone tells nobody of a message."""
    cursor = (await talk.call("GET", "/v1/sync", talk.bob))["next_cursor"]
    first = await talk.say()
    await talk.told(notes, cursor)
    second = await talk.say()
    assert [one.synced for one in await talk.facts(first, second)] == [True, False]
    hers = first.model_copy(update={"user_id": talk.alice})
    assert [one.synced for one in await talk.facts(hers)] == [False]


async def test_an_older_sync_never_takes_a_place_back(talk: Talk, notes: SyncNotes, engine: AsyncEngine) -> None:
    """Two devices sync; the one that is behind changes nothing."""
    cursor = (await talk.call("GET", "/v1/sync", talk.bob))["next_cursor"]
    asked = [await talk.say() for _ in range(3)]
    await talk.told(notes, cursor)
    page = await talk.call("GET", "/v1/sync", talk.bob, params={"cursor": cursor, "limit": 1})
    await talk.call("GET", "/v1/sync", talk.bob, params={"cursor": page["next_cursor"]})
    await notes.flush()
    assert [one.synced for one in await talk.facts(*asked)] == [True, True, True]


async def test_a_new_device_is_told_of_what_comes_after_its_snapshot(talk: Talk, notes: SyncNotes) -> None:
    """What was there before stands in a conversation that the snapshot names, and nobody has shown it."""
    before = await talk.say()
    cursor = (await talk.call("GET", "/v1/sync", talk.bob))["next_cursor"]
    after = await talk.say()
    await talk.told(notes, cursor)
    assert [one.synced for one in await talk.facts(before, after)] == [False, True]


async def test_a_page_that_was_sent_is_no_proof(talk: Talk, notes: SyncNotes) -> None:
    """The network broke under the answer: nobody came with its cursor."""
    cursor = (await talk.call("GET", "/v1/sync", talk.bob))["next_cursor"]
    lost = await talk.say()
    for _ in range(3):
        await talk.call("GET", "/v1/sync", talk.bob, params={"cursor": cursor})
        await notes.flush()
    assert [one.synced for one in await talk.facts(lost)] == [False]
    await talk.told(notes, cursor)
    assert [one.synced for one in await talk.facts(lost)] == [True]


async def test_who_left_and_came_back_is_no_member_for_what_was_before(talk: Talk) -> None:
    """Nobody is pushed what his new membership does not show; what comes later he is told of as everybody."""
    missed = await talk.say()
    path = f"/v1/conversations/{talk.c}/participants"
    await talk.call("DELETE", f"{path}/{talk.bob}", talk.alice, status=204)
    between = await talk.say()
    await talk.call("POST", path, talk.alice, json={"user_ids": [talk.bob]})
    later = await talk.say()
    assert [one.member for one in await talk.facts(missed, between, later)] == [False, False, True]


async def test_how_a_user_stands(talk: Talk) -> None:
    """Blocked, wishes and devices with their tokens; of who is unknown nothing is known."""
    await talk.call("PUT", "/v1/notification-settings", talk.bob, json={"pushes": False})
    body = {"device_id": "p", "platform": "ios", "token": "secret"}
    await talk.call("POST", "/v1/devices", talk.bob, json=body, status=201)
    bob, nobody = await talk.about(talk.bob, "nobody")
    assert (bob.settings.pushes, [one.token for one in bob.devices], bob.blocked) == (False, ["secret"], False)
    assert nobody == UserFacts(user_id="nobody")
    await talk.natter.call("POST", f"/v1/admin/users/{talk.bob}/block", status=204)
    [bob] = await talk.about(talk.bob)
    assert (bob.blocked, bob.devices) == (True, ())


@pytest.mark.parametrize("seed", range(4))
async def test_the_badge_is_what_the_list_says(talk: Talk, natter: Served, uow: PostgresUnitOfWork, seed: int) -> None:
    """After any sequence of messages, reads, deletions, edits, comings and goings."""
    chance = random.Random(seed)
    carol = await natter.account("carol")
    people = [talk.alice, talk.bob, carol]
    rooms = []
    body: dict[str, Any]
    for _ in range(4):
        body = {"participant_ids": people}
        rooms.append((await talk.call("POST", "/v1/conversations", talk.alice, json=body, status=201))["id"])
    # The list of conversations does not show notes of the staff, and so no badge counts them.
    notes = ConversationStream(new_id())
    opened = ConversationCreated(
        conversation_id=notes.conversation_id,
        owner_id=talk.alice,
        participant_ids=(talk.alice, carol),
        notes_of=new_id(),
        created_at=now(),
    )
    async with uow.begin({notes}) as transaction:
        await transaction.append([Recordable(notes, opened, {})], now())
    rooms.append(notes.conversation_id)
    messages: list[tuple[str, str, int]] = []
    for _ in range(60):
        who, room = chance.choice(people), chance.choice(rooms)
        token = natter.token(who)
        kind = chance.randrange(7)
        if kind <= 1 or not messages:
            body = {"client_msg_id": new_id(), "content": "x"}
            path = f"/v1/conversations/{room}/messages"
            answer = await natter.http.post(path, json=body, headers={"authorization": f"Bearer {token}"})
            if answer.status_code == 201:
                messages.append((answer.json()["id"], who, answer.json()["seq"]))
        elif kind == 2:
            body = {"seq": chance.choice(messages)[2]}
            path = f"/v1/conversations/{room}/read"
            await natter.http.put(path, json=body, headers={"authorization": f"Bearer {token}"})
        elif kind == 3:
            message_id, sender, _ = chance.choice(messages)
            await natter.http.delete(
                f"/v1/messages/{message_id}", headers={"authorization": f"Bearer {natter.token(sender)}"}
            )
        elif kind == 6:
            message_id, sender, _ = chance.choice(messages)
            headers = {"authorization": f"Bearer {natter.token(sender)}"}
            await natter.http.patch(f"/v1/messages/{message_id}", json={"content": "y"}, headers=headers)
        elif kind == 4:
            path = f"/v1/conversations/{room}/participants/{carol}"
            await natter.http.delete(path, headers={"authorization": f"Bearer {natter.token(talk.alice)}"})
        else:
            path = f"/v1/conversations/{room}/participants"
            body = {"user_ids": [carol]}
            await natter.http.post(path, json=body, headers={"authorization": f"Bearer {natter.token(talk.alice)}"})
        listed = await talk.call("GET", "/v1/conversations", carol)
        unread = sum(one["unread_count"] > 0 for one in listed["conversations"])
        assert [one.badge for one in await talk.about(carol)] == [unread]
