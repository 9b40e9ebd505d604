"""Interest follows the registry, on a broker that the test slows down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from ws_edge.bus import Disconnected, Interest, OnMessage
from ws_edge.registry import Registry
from ws_edge.subscriptions import Subscriptions
from ws_edge.testing.messages import FakeMessage
from ws_edge.testing.servers import until


@dataclass
class SlowBroker:
    """Remembers what stands; `flush` returns when the test lets it."""

    standing: list[str] = field(default_factory=list)
    handlers: dict[str, OnMessage] = field(default_factory=dict)
    flushes: int = 0
    faults: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    connected: bool = True

    async def subscribe(self, subject: str, queue: str, on_message: OnMessage) -> Interest:
        await asyncio.sleep(0)
        assert queue == "edge-1"
        self.standing.append(subject)
        self.handlers[subject] = on_message
        return subject

    async def unsubscribe(self, interest: Interest) -> None:
        await asyncio.sleep(0)
        self.standing.remove(str(interest))

    async def flush(self) -> None:
        self.flushes += 1
        await self.gate.wait()
        if self.faults:
            self.faults -= 1
            raise Disconnected


class Online(Registry):
    """A registry of names alone."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def online(self, user_id: str) -> bool:
        return user_id in self.names


@dataclass
class Bench:
    broker: SlowBroker
    registry: Online
    subscriptions: Subscriptions
    got: list[tuple[str, bytes]]
    confirmed: list[str] = field(default_factory=list)

    def join(self, user_id: str) -> None:
        self.registry.names.add(user_id)
        self.subscriptions.joined(user_id, lambda: self.confirmed.append(user_id))

    def leave(self, user_id: str) -> None:
        self.registry.names.discard(user_id)
        self.subscriptions.left(user_id)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    broker, registry, got = SlowBroker(), Online(), list[tuple[str, bytes]]()
    subscriptions = Subscriptions(
        broker, registry, lambda user_id, message: got.append((user_id, message.data)), edge_id="edge-1"
    )
    task = asyncio.create_task(subscriptions.run())
    yield Bench(broker, registry, subscriptions, got)
    task.cancel()


async def test_all_who_come_in_one_moment_share_one_round_trip(bench: Bench) -> None:
    """A thousand reconnecting sockets are one flush, and nobody is confirmed before it."""
    for number in range(1000):
        bench.join(f"u{number}")
    await until(lambda: bench.broker.flushes == 1, "flush")
    assert bench.confirmed == []
    bench.broker.gate.set()
    await until(lambda: len(bench.confirmed) == 1000, "confirmations")
    assert bench.broker.flushes == 1
    bench.broker.handlers["natter.user.u7"](FakeMessage("natter.user.u7", b"x"))
    assert bench.got == [("u7", b"x")]


async def test_second_socket_needs_no_round_trip(bench: Bench) -> None:
    """One subscription per user, however many sockets."""
    bench.broker.gate.set()
    bench.join("ann")
    await until(lambda: bench.confirmed == ["ann"], "first")
    bench.join("ann")
    assert bench.confirmed == ["ann", "ann"]
    assert bench.broker.standing == ["natter.user.ann"]


async def test_last_out_and_first_in_at_once_keep_the_subscription(bench: Bench) -> None:
    """Whatever the registry says when the task looks is right."""
    bench.broker.gate.set()
    bench.join("ann")
    await until(lambda: bench.confirmed == ["ann"], "first")
    bench.leave("ann")
    bench.join("ann")
    await until(lambda: len(bench.confirmed) == 2, "second")
    assert bench.broker.standing == ["natter.user.ann"]
    bench.leave("ann")
    await until(lambda: not bench.broker.standing, "unsubscribed")
    assert len(bench.subscriptions) == 0


async def test_leaving_and_coming_back_during_the_round_trip_confirms_once_it_stands(bench: Bench) -> None:
    """A socket that left is forgotten; the one that came is confirmed behind its own subscription."""
    bench.join("ann")
    await until(lambda: bench.broker.flushes == 1, "flush")
    bench.leave("ann")
    bench.join("ann")
    bench.broker.gate.set()
    await until(lambda: len(bench.confirmed) == 2, "both")
    assert bench.broker.standing == ["natter.user.ann"]


async def test_broken_connection_is_waited_out(bench: Bench) -> None:
    """A flush that fails is repeated; nobody is confirmed meanwhile."""
    bench.broker.faults = 2
    bench.broker.gate.set()
    bench.join("ann")
    await until(lambda: bench.confirmed == ["ann"], "confirmation")
    assert bench.broker.flushes == 3
