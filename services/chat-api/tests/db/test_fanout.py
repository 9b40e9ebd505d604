"""From the record to the edges and to the notifier: scripted edges on real NATS, a real relay and real fan-outs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.commands import handlers
from chat_api.domain.commands import Actor, AddParticipants
from chat_api.fanout import lane
from chat_api.fanout.fanout import Fanout
from chat_api.relay.relay import Relay
from chat_api.settings import ChatApiSettings
from chat_api.store.database import create_engine
from chat_api.store.unit_of_work import PostgresUnitOfWork
from chat_api.testing import AT, create, register, send
from contracts import subjects
from contracts.codec import decode, encode
from contracts.delivery import (
    DELIVERY_HEADER,
    DeviceType,
    Durable,
    OfflineDelivery,
    OfflineReason,
    Receipt,
    parse_delivery_header,
)
from contracts.ids import new_id
from contracts.streams import EVENTS, OFFLINE_DELIVERY
from kit import bus

MOBILE, DESKTOP = DeviceType.MOBILE, DeviceType.DESKTOP


async def until(condition: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
    """Poll `condition` until it holds."""
    give_up = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up, f"did not happen within {timeout_s:g} s: {what}"
        await asyncio.sleep(0.01)


@dataclass
class Edge:
    """A scripted edge: takes one user's frames, and says that these devices have them."""

    devices: tuple[DeviceType, ...] = ()
    frames: list[dict[str, Any]] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)

    def texts(self) -> list[str]:
        """The contents of the new messages, each as often as it came."""
        return [frame["data"]["content"] for frame in self.frames if frame["action"] == "new_message"]

    def distinct(self) -> list[tuple[str, int]]:
        """(stream, seq) as a socket would get them: what was written once is not written again."""
        return list(dict.fromkeys((frame["stream"], frame["seq"]) for frame in self.frames))


class World:
    """People, edges, and what was handed to the notifier."""

    def __init__(self, settings: ChatApiSettings, engine: AsyncEngine, client: Client, edges: Client) -> None:
        self.settings = settings
        self.js = js = client.jetstream(timeout=5)
        self.fanouts: list[Fanout] = []
        self.offline: list[OfflineDelivery] = []
        self._engine = engine
        self._client = client
        self._edges = edges
        self._tasks: list[asyncio.Task[None]] = []
        self._relay = Relay(settings, client, js)
        self.uow = PostgresUnitOfWork(engine, self._relay.wake, 60)
        self._closing = contextlib.AsyncExitStack()

    async def open(self, observer: Client) -> None:
        """Listen to what is handed over, and relay."""

        async def take(message: Msg) -> None:
            self.offline.append(decode(OfflineDelivery, message.data))

        await observer.subscribe(subjects.OFFLINE_ALL, cb=take)
        await observer.flush()
        self.start(self._relay.run())

    def start(self, work: Any) -> asyncio.Task[None]:
        """A task that ends with the world."""
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.append(task)
        return task

    def fanout(self) -> asyncio.Task[None]:
        """A fan-out over the test's own connection."""
        self.fanouts.append(Fanout(self.settings, self._engine, self._client, self.js))
        return self.start(self.fanouts[-1].run())

    async def other_process(self, **changes: Any) -> tuple[asyncio.Task[None], Client]:
        """A fan-out with its own pool and connection, as in another process."""
        settings = self.settings.model_copy(update=changes)
        engine = create_engine(settings, "test")
        self._closing.push_async_callback(engine.dispose)
        client = await bus.connect(settings, service="chat-api")
        self._closing.push_async_callback(bus.close, client)
        return self.start(Fanout(settings, engine, client, client.jetstream(timeout=5)).run()), client

    async def close(self) -> None:
        """End everything."""
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
        await self._closing.aclose()

    async def edge(self, user_id: str, *devices: DeviceType) -> Edge:
        """An edge that holds sockets of `user_id`; without devices it says nothing."""
        made = Edge(devices)

        async def take(message: Msg) -> None:
            frame = json.loads(message.data)
            assert message.headers is not None
            assert parse_delivery_header(message.headers[DELIVERY_HEADER]) == Durable(frame["stream"], frame["seq"])
            made.frames.append(frame)
            made.replies.append(message.reply)
            for device in made.devices:
                if message.reply:
                    receipt = Receipt(edge_id="edge-1", connection_id=new_id(), device_type=device)
                    await message.respond(encode(receipt))

        await self._edges.subscribe(subjects.user(user_id), queue="edge-1", cb=take)
        await self._edges.flush()
        return made

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

    async def say(self, c: str, user_id: str, *texts: str, **more: Any) -> None:
        """Messages, each in a transaction of its own."""
        for content in texts:
            (result,) = await handlers.send_messages([send(c, user_id, content, **more)], self.uow)
            assert isinstance(result, handlers.Sent), result

    def handed(self, user_id: str) -> list[tuple[str, OfflineReason]]:
        """What the notifier got for a user: text and reason."""
        return [(one.event.data["content"], one.reason) for one in self.offline if one.user_id == user_id]

    async def unsettled(self) -> str:
        """What is recorded and, as far as the lanes have written down, not settled; empty if nothing is."""
        async with self._engine.connect() as connection:
            rows = await connection.execute(
                text("""
                    SELECT lane, floor_position, open FROM fanout_lanes
                    WHERE (floor_txid, floor_position)
                        < (SELECT txid, position FROM events ORDER BY txid DESC, position DESC LIMIT 1)
                """)
            )
            lanes = await connection.scalar(text("SELECT count(*) FROM fanout_lanes"))
            return "; ".join(str(row) for row in rows) if lanes else "no lane was ever taken"

    async def until_settled(self, timeout_s: float = 20.0) -> None:
        """Wait until everything recorded is settled, and written down as such."""
        give_up = time.monotonic() + timeout_s
        while unsettled := await self.unsettled():
            assert time.monotonic() < give_up, f"not settled: {unsettled}"
            await asyncio.sleep(0.02)


@pytest.fixture
async def world(
    settings: ChatApiSettings,
    engine: AsyncEngine,
    observer: Client,
    servers: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[World]:
    """An empty world with a relay; fan-outs are started by the test."""
    # What is waited for is what lanes have written down.
    monkeypatch.setattr(lane, "RENEW_EVERY_S", 0.1)
    edges = await bus.connect(
        settings.model_copy(
            update={
                "nats_user": "ws-edge",
                "nats_password": type(settings.nats_password)(servers.stack.nats_password("ws-edge")),
            }
        ),
        service="ws-edge",
    )

    async def disconnected(reason: str) -> None:
        # As bootstrap does.
        for fanout in made.fanouts:
            fanout.interrupted(reason)

    client = await bus.connect(settings, service="chat-api", on_disconnected=disconnected)
    made = World(settings, engine, client, edges)
    await made.open(observer)
    yield made
    await made.close()
    await bus.close(client)
    await bus.close(edges)


async def test_an_online_user_gets_the_frame_and_the_receipt_settles_it(world: World) -> None:
    """The frame arrives with everything to merge by, the receipt acknowledges the event, and nobody is pushed."""
    world.fanout()
    alice, bob = await world.people("alice", "bob")
    edge = await world.edge(bob, MOBILE)
    c = await world.conversation(alice, bob)
    await world.edge(alice, DESKTOP)
    await world.say(c, alice, "hello")
    await until(lambda: edge.texts() == ["hello"], "bob gets the message")
    await world.until_settled()
    assert [frame["action"] for frame in edge.frames] == ["conversation_updated", "new_message"]
    assert [frame["seq"] for frame in edge.frames] == [1, 2]
    assert {frame["stream"] for frame in edge.frames} == {f"conversation:{c}"}
    assert world.offline == []


async def test_the_owner_is_a_recipient(world: World) -> None:
    """The owner was once forgotten: online he gets the frame, offline the push."""
    world.fanout()
    alice, bob, carol = await world.people("alice", "bob", "carol")
    edge = await world.edge(alice, DESKTOP)
    online, offline = await world.conversation(alice, bob), await world.conversation(carol, bob)
    await world.say(online, bob, "to the owner")
    await world.say(offline, bob, "to the owner who is away")
    await until(lambda: edge.texts() == ["to the owner"], "the owner gets the message")
    await until(lambda: len(world.offline) == 1, "the other owner is handed over")
    assert world.handed(carol) == [("to the owner who is away", OfflineReason.NO_CONNECTION)]


async def test_nobody_subscribed_is_handed_over_at_once(world: World, js: JetStreamContext) -> None:
    """NATS itself says that no edge holds a socket: no timeout is waited for, and JetStream keeps the delivery."""
    world.fanout()
    alice, bob = await world.people("alice", "bob")
    c = await world.conversation(alice, bob)
    await world.until_settled()
    started = time.monotonic()
    await world.say(c, alice, "hello")
    await until(lambda: world.handed(bob) == [("hello", OfflineReason.NO_CONNECTION)], "bob is handed over")
    assert time.monotonic() - started < world.settings.delivery_ack_timeout_s
    await world.until_settled()
    assert (await js.stream_info(OFFLINE_DELIVERY.name)).state.messages == 1
    assert world.handed(alice) == [], "the sender is no reason for a push"


async def test_a_silent_edge_becomes_a_push(world: World) -> None:
    """A socket that never answers is not delivery: after the timeout the notifier has it."""
    world.fanout()
    alice, bob = await world.people("alice", "bob")
    edge = await world.edge(bob)
    c = await world.conversation(alice, bob)
    started = time.monotonic()
    await world.say(c, alice, "hello")
    await until(lambda: len(world.offline) == 1, "bob is handed over")
    assert time.monotonic() - started >= world.settings.delivery_ack_timeout_s
    assert world.handed(bob) == [("hello", OfflineReason.UNACKNOWLEDGED)]
    assert edge.texts() == ["hello"]
    await world.until_settled()


async def test_an_important_message_wants_a_mobile(world: World) -> None:
    """On a desktop alone it is pushed to the mobile; with a mobile it is not; an ordinary one never is."""
    world.fanout()
    alice, desk, both = await world.people("alice", "desk", "both")
    await world.edge(desk, DESKTOP)
    await world.edge(both, DESKTOP, MOBILE)
    c = await world.conversation(alice, desk, both)
    await world.say(c, alice, "ordinary")
    await world.say(c, alice, "important", is_important=True)
    await until(lambda: len(world.offline) == 1, "the mobile is pushed")
    await world.until_settled()
    assert world.handed(desk) == [("important", OfflineReason.IMPORTANT_MOBILE)]
    assert world.handed(both) == []


async def test_the_sender_s_devices_get_the_echo_and_never_a_push(world: World) -> None:
    """The sender's other devices follow, without a receipt being asked for."""
    world.fanout()
    alice, bob = await world.people("alice", "bob")
    silent = await world.edge(alice)
    await world.edge(bob, MOBILE)
    c = await world.conversation(alice, bob)
    await world.say(c, alice, "hello", is_important=True)
    await until(lambda: silent.texts() == ["hello"], "alice gets her echo")
    await world.until_settled()
    assert silent.replies[-1] == ""
    assert silent.frames[-1]["data"]["client_msg_id"]
    assert world.offline == []


async def test_excluded_users_get_nothing(world: World) -> None:
    """Neither frame nor push, and nobody learns who was left out."""
    world.fanout()
    alice, bob, carol = await world.people("alice", "bob", "carol")
    edges = [await world.edge(bob, MOBILE), await world.edge(carol, MOBILE)]
    c = await world.conversation(alice, bob, carol)
    await world.say(c, alice, "not for bob", exclude_user_ids=(bob,))
    await world.say(c, alice, "for both")
    await until(lambda: all("for both" in edge.texts() for edge in edges), "both get the second")
    assert edges[0].texts() == ["for both"]
    assert edges[1].texts() == ["not for bob", "for both"]
    assert "exclude_user_ids" not in edges[1].frames[1]["data"]
    await world.until_settled()
    assert world.offline == []


async def test_who_joins_and_leaves(world: World) -> None:
    """From the joining on everything, up to the leaving, and nothing after it."""
    world.fanout()
    alice, bob = await world.people("alice", "bob")
    edge = await world.edge(bob, MOBILE)
    c = await world.conversation(alice)
    await world.say(c, alice, "before")
    await handlers.add_participants(AddParticipants(c, Actor(alice), (bob,), AT), world.uow, None, 200)
    await world.say(c, alice, "during")
    from chat_api.domain.commands import RemoveParticipant

    await handlers.remove_participant(RemoveParticipant(c, Actor(bob), bob, AT), world.uow)
    await world.say(c, alice, "after")
    await world.until_settled()
    assert [frame["action"] for frame in edge.frames] == ["participant_joined", "new_message", "participant_left"]
    assert world.handed(bob) == []


async def test_what_was_recorded_while_no_fanout_ran_is_delivered(world: World) -> None:
    """A fan-out that comes late begins where nobody was; the receipts of others do not matter to it."""
    alice, bob = await world.people("alice", "bob")
    edge = await world.edge(bob, MOBILE)
    c = await world.conversation(alice, bob)
    await world.say(c, alice, *map(str, range(20)))
    world.fanout()
    await until(lambda: edge.texts() == [str(n) for n in range(20)], "bob gets everything")
    await world.until_settled()


async def test_a_killed_fanout_is_followed_from_its_floor(world: World) -> None:
    """What the dead one had not settled comes again from the next one, nothing is missing, order holds."""
    alice, bob = await world.people("alice", "bob")
    edge = await world.edge(bob, MOBILE)
    first, client = await world.other_process()
    c = await world.conversation(alice, bob)
    await world.say(c, alice, *map(str, range(10)))
    await until(lambda: len(edge.texts()) == 10, "the first ten arrive")
    edge.devices = ()
    await world.say(c, alice, *map(str, range(10, 20)))
    await until(lambda: len(edge.texts()) == 20, "ten more arrive, unconfirmed")
    # As a kill -9 leaves it: the connection is cut before anything can be given back.
    await client.close()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    edge.devices = (MOBILE,)
    await world.say(c, alice, *map(str, range(20, 30)))
    world.fanout()
    await until(lambda: "29" in edge.texts(), "the next one goes on")
    await world.until_settled()
    assert edge.distinct() == [(f"conversation:{c}", seq) for seq in range(1, 32)]
    assert world.handed(bob) == []


async def test_two_fanouts_share_the_lanes_and_one_takes_over(world: World) -> None:
    """Both work; after one's death the other delivers everything, each conversation in its order."""
    world.settings = world.settings.model_copy(update={"fanout_partitions": 4})
    (alice,) = await world.people("alice")
    bobs = await world.people(*(f"bob{n}" for n in range(8)))
    edges = [await world.edge(bob, MOBILE) for bob in bobs]
    conversations = [await world.conversation(alice, bob) for bob in bobs]
    first, client = await world.other_process()
    await world.other_process()

    async def owners() -> dict[str, int]:
        async with world._engine.connect() as connection:
            rows = await connection.execute(
                text("SELECT owner, count(*) AS held FROM fanout_lanes WHERE lease_until > now() GROUP BY owner")
            )
            return {row.owner: row.held for row in rows}

    give_up = time.monotonic() + 20
    while sorted((await owners()).values()) != [2, 2]:
        assert time.monotonic() < give_up, f"the lanes are not shared: {await owners()}"
        await asyncio.sleep(0.05)

    async def talk(start: int) -> None:
        for n in range(start, start + 5):
            for c in conversations:
                await world.say(c, alice, str(n))

    await talk(0)
    await client.close()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await talk(5)
    await until(lambda: all("9" in edge.texts() for edge in edges), "everybody gets the last message")
    await world.until_settled()
    for edge, c in zip(edges, conversations, strict=True):
        assert edge.distinct() == [(f"conversation:{c}", seq) for seq in range(1, 12)]


async def test_a_lane_that_comes_back_knows_who_joined_meanwhile(world: World) -> None:
    """While another process had the lane somebody joined: the one that had it before does not forget him."""
    alice, bob = await world.people("alice", "bob")
    edge = await world.edge(bob, MOBILE)
    own = Fanout(world.settings, world._engine, world._client, world.js)
    world.start(own.run())
    c = await world.conversation(alice)
    await world.say(c, alice, "the first one knows the members now")
    await world.until_settled()
    # Another process takes the lane, works on it, and goes.
    (number,) = own._held
    await own._let_go(number)
    other, _ = await world.other_process()
    await until(lambda: not other.done(), "it runs")
    await handlers.add_participants(AddParticipants(c, Actor(alice), (bob,), AT), world.uow, None, 200)
    await world.say(c, alice, "while the other one worked")
    await until(lambda: len(edge.texts()) == 1, "bob is found by whoever works")
    await world.until_settled()
    other.cancel()
    await asyncio.gather(other, return_exceptions=True)
    await until(lambda: bool(own._held), "the lane comes back")
    await world.say(c, alice, "when it was back")
    await until(lambda: edge.texts()[-1] == "when it was back", "bob is not forgotten")


async def test_consumers_do_not_pile_up(world: World, js: JetStreamContext) -> None:
    """However often a lane begins anew, one consumer is left."""
    own = Fanout(world.settings, world._engine, world._client, world.js)
    world.start(own.run())
    (alice,) = await world.people("alice")
    for _ in range(5):
        await until(lambda: bool(own._held), "the lane is held")
        before = {info.name for info in await js.consumers_info(EVENTS.name)}
        own.interrupted("test")
        give_up = time.monotonic() + 10
        while not (now := {info.name for info in await js.consumers_info(EVENTS.name)}) or now == before:
            assert time.monotonic() < give_up
            await asyncio.sleep(0.02)
    await world.conversation(alice)
    await world.until_settled()
    assert len(await js.consumers_info(EVENTS.name)) == 1


async def test_nats_restarting_loses_nothing(world: World, servers: Any) -> None:
    """Messages said before, during and after a restart of NATS all arrive, in order."""
    world.fanout()
    alice, bob = await world.people("alice", "bob")
    edge = await world.edge(bob, MOBILE)
    c = await world.conversation(alice, bob)
    await world.say(c, alice, *map(str, range(10)))
    await until(lambda: len(edge.texts()) == 10, "the first ten arrive")
    await servers.do(servers.stack.part("nats").kill())
    await world.say(c, alice, *map(str, range(10, 20)))
    await servers.do(servers.stack.part("nats").start())
    await world.say(c, alice, *map(str, range(20, 30)))
    await until(lambda: "29" in edge.texts(), "the last one arrives", 40)
    await world.until_settled(40)
    assert edge.distinct() == [(f"conversation:{c}", seq) for seq in range(1, 32)]
