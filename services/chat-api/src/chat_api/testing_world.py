"""A small world for tests of the way out: people, scripted edges on real NATS, and what the notifier was handed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api.commands import handlers
from chat_api.commands.ports import Recordable
from chat_api.fanout.fanout import Fanout
from chat_api.relay.relay import Relay
from chat_api.settings import ChatApiSettings
from chat_api.store.database import create_engine
from chat_api.store.unit_of_work import PostgresUnitOfWork
from chat_api.testing import create, register, send
from contracts import subjects
from contracts.codec import decode, encode
from contracts.delivery import (
    DELIVERY_HEADER,
    DEVICES_HEADER,
    Durable,
    Live,
    OfflineDelivery,
    OfflineReason,
    Receipt,
    parse_delivery_header,
)
from contracts.devices import DeviceType
from contracts.events import EventData
from contracts.ids import new_id
from contracts.stream_ids import StreamId
from contracts.streams import StreamDefinition
from contracts.times import now
from kit import bus


async def until(condition: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
    """Poll `condition` until it holds."""
    give_up = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up, f"did not happen within {timeout_s:g} s: {what}"
        await asyncio.sleep(0.01)


async def eventually(look: Callable[[], Awaitable[object]], what: str, timeout_s: float = 20.0) -> None:
    """Poll until `look` finds something true."""
    give_up = time.monotonic() + timeout_s
    while not await look():
        assert time.monotonic() < give_up, f"did not happen within {timeout_s:g} s: {what}"
        await asyncio.sleep(0.02)


async def empty_stream(js: JetStreamContext, definition: StreamDefinition) -> None:
    """Put a new, empty stream in the place of what is there.

    On a busy machine a stream that follows a deleted one of its name begins with what that one held: its data was not
    gone yet (nats-server 2.15). Then it is done again.
    """
    for _ in range(20):
        with contextlib.suppress(NotFoundError):
            await js.delete_stream(definition.name)
        await bus.ensure_stream(js, definition)
        if not (await js.stream_info(definition.name)).state.last_seq:
            return
    raise AssertionError(f"{definition.name} does not become empty")


@dataclass
class Edge:
    """A scripted edge: takes one user's frames, and says that these devices have them."""

    devices: tuple[DeviceType, ...] = ()
    idle: bool = False
    """Nobody sits before any of them."""
    frames: list[dict[str, Any]] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    live: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Live frames with their keys."""
    connections: dict[DeviceType, str] = field(default_factory=dict)
    subscription: Subscription | None = None

    def texts(self) -> list[str]:
        """The contents of the new messages, each as often as it came."""
        return [frame["data"]["content"] for frame in self.frames if frame["action"] == "new_message"]

    def live_data(self, action: str) -> list[dict[str, Any]]:
        """The data of the live frames of one action."""
        return [frame["data"] for _, frame in self.live if frame["action"] == action]

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
        self.relay = Relay(settings, client, js)
        self.relaying: asyncio.Task[None] | None = None
        self.uow = PostgresUnitOfWork(engine, self.relay.wake, 60)
        self._closing = contextlib.AsyncExitStack()

    async def open(self, observer: Client) -> None:
        """Listen to what is handed over, and relay."""

        async def take(message: Msg) -> None:
            self.offline.append(decode(OfflineDelivery, message.data))

        await observer.subscribe(subjects.OFFLINE_ALL, cb=take)
        await observer.flush()
        self.relaying = self.start(self.relay.run())

    def start(self, work: Any) -> asyncio.Task[None]:
        """A task that ends with the world."""
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.append(task)
        return task

    def fanout(self, **changes: Any) -> asyncio.Task[None]:
        """A fan-out over the test's own connection."""
        settings = self.settings.model_copy(update=changes)
        self.fanouts.append(Fanout(settings, self._engine, self._client, self.js))
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
            delivery = parse_delivery_header(message.headers[DELIVERY_HEADER])
            if isinstance(delivery, Live):
                assert not message.reply, "nobody confirms a live frame"
                made.live.append((delivery.key, frame))
                return
            assert delivery == Durable(frame["stream"], frame["seq"])
            meant = message.headers.get(DEVICES_HEADER, "")
            devices = [device for device in made.devices if not meant or device in meant.split(",")]
            if meant and not devices:
                return
            made.frames.append(frame)
            made.replies.append(message.reply)
            made.headers.append(dict(message.headers))
            for device in devices:
                if message.reply:
                    connection_id = made.connections.setdefault(device, new_id())
                    receipt = Receipt(edge_id="edge-1", connection_id=connection_id, device_type=device, idle=made.idle)
                    await message.respond(encode(receipt))

        made.subscription = await self._edges.subscribe(subjects.user(user_id), queue="edge-1", cb=take)
        await self._edges.flush()
        return made

    async def leave(self, edge: Edge) -> None:
        """The edge holds no socket of its user any more."""
        assert edge.subscription is not None
        await edge.subscription.unsubscribe()
        await self._edges.flush()

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

    async def record(self, stream: StreamId, data: EventData, **metadata: str) -> None:
        """An event as it is, whatever command would make it."""
        async with self.uow.begin([stream]) as transaction:
            await transaction.append([Recordable(stream, data, metadata)], now())

    def handed(self, user_id: str) -> list[tuple[str, OfflineReason]]:
        """What the notifier got for a user: text and reason."""
        return [
            (one.event.data.get("notification", one.event.data)["content"], one.reason)
            for one in self.offline
            if one.user_id == user_id
        ]

    async def ended(self, task: asyncio.Task[None]) -> None:
        """Stop a part, and wait until it has."""
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def unsettled(self) -> str:
        """What is recorded and, as far as the lanes have written down, not settled; empty if nothing is."""
        # One statement, one snapshot: lanes that are made between two would look settled.
        async with self._engine.connect() as connection:
            rows = await connection.execute(
                text("""
                    SELECT lane, floor_position, open FROM (SELECT true) always LEFT JOIN fanout_lanes ON true
                    WHERE lane IS NULL OR (floor_txid, floor_position)
                        < (SELECT txid, position FROM events ORDER BY txid DESC, position DESC LIMIT 1)
                """)
            )
            return "; ".join(str(row) for row in rows)

    async def until_settled(self, timeout_s: float = 20.0) -> None:
        """Wait until everything recorded is settled, and written down as such."""
        give_up = time.monotonic() + timeout_s
        while unsettled := await self.unsettled():
            assert time.monotonic() < give_up, f"not settled: {unsettled}"
            await asyncio.sleep(0.02)
