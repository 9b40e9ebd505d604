"""What chat-api answers the notifier over real NATS; what the answers are made of: test_push_facts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg
import nats
import pytest
from nats.aio.client import Client
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api import notifier_questions
from chat_api.commands import handlers
from chat_api.commands.devices import Devices
from chat_api.commands.ports import Recordable
from chat_api.notifier_questions import NotifierQuestions
from chat_api.presence.book import PresenceBook
from chat_api.store.database import create_engine
from chat_api.store.unit_of_work import PostgresUnitOfWork
from chat_api.testing import create, register, send
from contracts import subjects
from contracts.codec import decode, encode
from contracts.devices import DEVICES_PER_USER_MAX, DeviceDraft, DeviceType, Platform
from contracts.events import UserBlocked, UserNotified
from contracts.ids import new_id
from contracts.messages import SenderType
from contracts.notices import Notification
from contracts.preferences import MuteDraft, NotificationSettings
from contracts.presence import ConnectionInfo, EdgeLease, EdgePresence, presence_key
from contracts.pushfacts import (
    QUESTIONS_MAX,
    DeliveryFacts,
    FactsRefused,
    PushFacts,
    PushFactsCommand,
    PushQuestion,
    TokenGone,
    TokenGoneReply,
    UserFacts,
)
from contracts.stream_ids import UserStream
from contracts.times import now

ALICE, BOB, CAROL = "alice", "bob", "carol"


@dataclass
class Asking:
    """The notifier's side, and the people whom it asks about."""

    nats: Client
    uow: PostgresUnitOfWork
    db: asyncpg.Connection[Any]
    book: PresenceBook

    async def request(self, subject: str, body: bytes) -> bytes:
        """One question; the answer as it is."""
        return (await self.nats.request(subject, body, timeout=20)).data

    async def ask(self, *questions: PushQuestion, user_ids: tuple[str, ...] = ()) -> PushFacts:
        """Facts."""
        command = PushFactsCommand(questions=questions, user_ids=user_ids)
        return decode(PushFacts, await self.request(subjects.NOTIFIER_FACTS, encode(command)))

    async def one(self, question: PushQuestion) -> DeliveryFacts:
        """Of one delivery."""
        (found,) = (await self.ask(question)).deliveries
        return found

    async def user(self, user_id: str) -> UserFacts:
        """Of one user."""
        (found,) = (await self.ask(user_ids=(user_id,))).users
        return found

    async def say(self, c: str, user_id: str, **more: Any) -> PushQuestion:
        """A message, as a question about bob."""
        (result,) = await handlers.send_messages([send(c, user_id, now=now(), **more)], self.uow)
        assert isinstance(result, handlers.Sent), result
        event_id = await self.db.fetchval(
            "SELECT event_id FROM events WHERE type = 'message.created' AND data->>'id' = $1", result.message.id
        )
        return PushQuestion(
            user_id=BOB,
            event_id=str(event_id),
            conversation_id=c,
            message_id=result.message.id,
            seq=result.message.seq,
        )

    async def record(self, user_id: str, data: Any) -> str:
        """An event in a user's own stream; returns its id."""
        async with self.uow.begin([UserStream(user_id)]) as transaction:
            await transaction.append([Recordable(UserStream(user_id), data, {})], now())
        newest = "SELECT event_id FROM events WHERE stream = $1 ORDER BY seq DESC LIMIT 1"
        return str(await self.db.fetchval(newest, f"user:{user_id}"))

    async def received(self, stream: str, seq: int, user_id: str, device: DeviceType) -> None:
        """What the ledger writes when a device has something."""
        await self.db.execute(
            "INSERT INTO receipts VALUES ($1, $2, $3, $4, 'edge-1', $5, now())",
            stream,
            seq,
            user_id,
            new_id(),
            device.value,
        )


@pytest.fixture
async def asking(
    servers: Any,
    client: Client,
    engine: AsyncEngine,
    uow: PostgresUnitOfWork,
    db: asyncpg.Connection[Any],
    background: Any,
) -> AsyncIterator[Asking]:
    """Alice, bob and carol are registered, and chat-api answers."""
    for user_id in (ALICE, BOB, CAROL):
        await handlers.register_user(register(user_id), uow, actor_id="host", password_hash=None, once=None, status=201)
    book = PresenceBook()
    background(NotifierQuestions(client, engine, book).run())
    made = await nats.connect(
        servers.stack.nats_url,
        user="notifier",
        password=servers.stack.nats_password("notifier"),
        inbox_prefix=b"_INBOX.notifier",
    )
    here = Asking(made, uow, db, book)
    await until_answered(here)
    yield here
    await made.close()


async def until_answered(asking: Asking) -> None:
    """Wait until somebody listens."""
    async with asyncio.timeout(20):
        while True:
            try:
                await asking.ask()
            except nats.errors.NoRespondersError:
                await asyncio.sleep(0.01)
            else:
                return


async def conversation(asking: Asking, *others: str) -> str:
    """A fresh one of alice's."""
    return await handlers.create_conversation(create(ALICE, *others, title="Room"), asking.uow, None, 201)


async def test_nothing_speaks_against_a_fresh_message(asking: Asking) -> None:
    """Its recipient takes part, has not got it and not read it; and its text is as it was."""
    c = await conversation(asking, BOB, CAROL)
    question = await asking.say(c, ALICE)
    answer = await asking.ask(question)
    assert answer.deliveries == (
        DeliveryFacts(user_id=BOB, event_id=question.event_id, members=3, conversation_title="Room"),
    )
    assert answer.users == (UserFacts(user_id=BOB, badge=1),)
    assert abs(answer.at - now()) < timedelta(minutes=1)


async def test_what_is_said_to_one_user_alone(asking: Asking) -> None:
    """Outside of any conversation nothing can be left, read or muted; a receipt counts as everywhere."""
    said = Notification(
        id=new_id(),
        user_id=BOB,
        title="T",
        content="C",
        type="reminder",
        is_important=False,
        sender_type=SenderType.SYSTEM,
        created_at=now(),
    )
    question = PushQuestion(user_id=BOB, event_id=await asking.record(BOB, UserNotified(notification=said)))
    assert await asking.one(question) == DeliveryFacts(user_id=BOB, event_id=question.event_id)
    seq = await asking.db.fetchval("SELECT seq FROM streams WHERE stream = 'user:bob'")
    await asking.received("user:bob", seq, BOB, DeviceType.TABLET)
    assert (await asking.one(question)).delivered_to == (DeviceType.TABLET,)
    # About a conversation: it has no place in there that could be read, but the mute counts.
    c = await conversation(asking, BOB)
    await Devices(asking.uow).mute(BOB, c, MuteDraft(), now())
    inside = await asking.one(question.model_copy(update={"conversation_id": c}))
    assert (inside.muted, inside.read, inside.deleted, inside.member) == (True, False, False, True)


async def test_answers_are_in_the_order_of_the_questions(asking: Asking) -> None:
    """Forty of them, the same one twice among them, and each user once."""
    c = await conversation(asking, BOB, CAROL)
    asked = [await asking.say(c, ALICE) for _ in range(QUESTIONS_MAX // 2 - 1)]
    asked += [one.model_copy(update={"user_id": CAROL}) for one in asked] + asked[:2]
    answer = await asking.ask(*asked, user_ids=("nobody", CAROL))
    assert [(one.user_id, one.event_id) for one in answer.deliveries] == [(one.user_id, one.event_id) for one in asked]
    assert [one.user_id for one in answer.users] == [BOB, CAROL, "nobody"]
    assert answer.users[2] == UserFacts(user_id="nobody")


async def test_a_user_and_his_wishes(asking: Asking) -> None:
    """Blocked, settings, devices with their tokens."""
    devices, wishes = Devices(asking.uow), NotificationSettings(show_text=False, locale="zh-CN")
    assert await asking.user(BOB) == UserFacts(user_id=BOB)
    await devices.change_settings(BOB, wishes, now())
    made = await register_device(asking, BOB, token="secret-1", locale="de")
    found = await asking.user(BOB)
    assert found.settings == wishes
    assert [(one.id, one.token, one.locale, one.device_type) for one in found.devices] == [
        (made.id, "secret-1", "de", DeviceType.MOBILE)
    ]
    assert timedelta(0) <= made.registered_at - found.devices[0].registered_at < timedelta(milliseconds=1)
    await asking.record(BOB, UserBlocked(user_id=BOB, by="host", blocked_at=now()))
    assert (await asking.user(BOB)).blocked
    assert not (await asking.user(CAROL)).blocked


async def register_device(asking: Asking, user_id: str, **changes: Any) -> Any:
    """A phone."""
    fields = {"device_id": "phone-1", "platform": Platform.ANDROID, "token": "token"} | changes
    made, _ = await Devices(asking.uow).register(user_id, None, DeviceDraft(**fields), now())
    return made


async def test_a_token_that_is_gone(asking: Asking) -> None:
    """The device goes with it, unless its app has registered again since; a second word of it finds nothing."""
    made = await register_device(asking, BOB)

    async def gone(registered_at: Any) -> bool:
        told = TokenGone(device=made.id, registered_at=registered_at)
        return decode(TokenGoneReply, await asking.request(subjects.NOTIFIER_GONE, encode(told))).removed

    assert not await gone(made.registered_at - timedelta(milliseconds=1))
    assert (await asking.user(BOB)).devices
    assert await gone(made.registered_at)
    assert not (await asking.user(BOB)).devices
    assert not await gone(made.registered_at)


async def test_sockets_that_are_open_now(asking: Asking) -> None:
    """With what their apps say of who sits there; nothing while edges are not heard."""
    lease = EdgeLease(edge_id="edge-1", instance=new_id(), started_at=now(), renewed_at=now())
    sockets = [
        ConnectionInfo(connection_id=new_id(), device_type=DeviceType.DESKTOP, connected_at=now(), idle=idle)
        for idle in (True, False)
    ]
    presence = EdgePresence(edge_id="edge-1", instance=lease.instance, connections=tuple(sockets))
    asking.book.replace({presence_key(BOB, "edge-1"): (presence, 1)}, {"edge-1": (lease, 1)})
    found = (await asking.user(BOB)).connections
    assert sorted((one.device_type, one.idle) for one in found) == [("desktop", False), ("desktop", True)]
    assert (await asking.user(CAROL)).connections == ()
    asking.book.deaf()
    assert (await asking.user(BOB)).connections == ()


async def test_an_answer_fits_whatever_tokens_people_register(asking: Asking) -> None:
    """Users with absurd tokens lose their oldest devices; everybody else keeps all, and there is an answer."""
    await asking.db.execute(
        """
        INSERT INTO push_devices (id, user_id, app_id, device_id, platform, push_service, token, token_hash,
                                  device_type, sandbox, unregister_hash, registered_at, last_seen_at)
        SELECT gen_random_uuid(), 'hog-' || n, 'default', k::text, 'android', 'fcm', repeat('x', 4096),
               sha256((n || ':' || k)::bytea), 'mobile', false, '', now() + make_interval(secs => k), now()
        FROM generate_series(1, $1::int - 1) n, generate_series(1, $2::int) k
        """,
        QUESTIONS_MAX,
        DEVICES_PER_USER_MAX,
    )
    mine = await register_device(asking, BOB)
    answer = await asking.ask(user_ids=(BOB, *(f"hog-{n}" for n in range(1, QUESTIONS_MAX))))
    assert len(encode(answer)) <= asking.nats.max_payload
    assert [one.id for one in answer.users[0].devices] == [mine.id]
    newest = await asking.db.fetchval("SELECT id FROM push_devices WHERE user_id = 'hog-7' ORDER BY registered_at DESC")
    for hog in answer.users[1:]:
        assert 0 < len(hog.devices) < DEVICES_PER_USER_MAX
    assert str(newest) in {one.id for one in answer.users[7].devices}


async def test_nonsense_is_refused_and_the_next_question_answered(asking: Asking) -> None:
    """With a sentence that repeats nothing of it."""
    too_many = {"user_ids": ["bob"] * (QUESTIONS_MAX + 1)}
    bodies = [b"", b"{", b"\xff", b'{"user_ids": ["secret >"]}', str(too_many).replace("'", '"').encode()]
    for subject, body in [(subjects.NOTIFIER_FACTS, body) for body in bodies] + [(subjects.NOTIFIER_GONE, b"{}")]:
        refused = decode(FactsRefused, await asking.request(subject, body))
        assert "secret" not in refused.error
    assert (await asking.user(BOB)).user_id == BOB


async def test_too_many_questions_are_refused(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits is bounded; afterwards there are answers again."""
    monkeypatch.setattr(notifier_questions, "WAITING_MAX", 0)
    refused = decode(FactsRefused, await asking.request(subjects.NOTIFIER_FACTS, encode(PushFactsCommand())))
    assert "too many" in refused.error
    monkeypatch.undo()
    await asking.ask()


async def test_without_postgres_the_question_is_refused(servers: Any, client: Client, database: str) -> None:
    """The notifier hears so at once, instead of waiting for its time to run out."""
    settings = servers.settings(database, database_url="postgresql://natter@127.0.0.1:1/natter")
    away = create_engine(settings, "test")
    other = NotifierQuestions(client, away, PresenceBook())
    answer = await notifier_questions._answered(other._facts, encode(PushFactsCommand(user_ids=(BOB,))))
    assert answer == FactsRefused(error="the database cannot answer now")
    await away.dispose()
