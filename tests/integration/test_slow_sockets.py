"""Clients that do not read, and clients that are frozen: bounded, found, and complete when they come back."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any

import psutil
from nats.aio.client import Client

from contracts import subjects
from contracts.delivery import DELIVERY_HEADER, Delivery, Durable, Live, delivery_header
from contracts.ids import new_id
from stack import StackOptions

from .clients.api import Api
from .clients.history import contents_after
from .clients.slow import NO_CLOSE_FRAME, slow_client
from .conftest import QUICK, OpenWorld
from .eventually import eventually
from .world import World

CAP_BYTES = 16 * 1024 * 1024
WIDE = {"NATTER_SEND_BUFFER_BYTES_MAX": str(CAP_BYTES), "NATTER_SEND_BUFFER_FRAMES_MAX": "100000"}
FILLER_BYTES = 60_000


async def test_a_client_that_stops_reading_costs_a_bounded_buffer_and_loses_nothing(open_world: OpenWorld) -> None:
    """It is closed with 4408, memory grew by less than twice the cap, neighbours had everything; history has the rest.

    The cap is 16 MB, so that memory can be told from noise; what fills it is published as fan-out would.
    """
    async with open_world(StackOptions(env={"*": QUICK, "edge-1": WIDE})) as world, world.observer() as observer:
        anna, ben, carl = await world.people("anna", "ben", "carl")
        conversation = await anna.open_conversation(ben.user_id, carl.user_id)
        edge = psutil.Process(world.stack.part("edge-1").pid)
        async with (
            slow_client(world.stack.edge_urls[0], ben.token) as slow,
            world.device(carl, edge=1) as neighbour,
        ):
            # First through a socket that reads: whatever the edge needs for so much traffic, it has then.
            for _ in range(10):
                neighbour.frames.clear()
                await _fill(observer, carl, 50)
                await eventually(lambda: len(neighbour.actions("filler")) == 50)
            before = edge.memory_info().rss
            highest = before
            sent = [f"message {number}" for number in range(40)]
            for number, text in enumerate(sent):
                await anna.send(conversation, text)
                await _fill(observer, ben, 15, number * 15)
                highest = max(highest, edge.memory_info().rss)
            await eventually(lambda: len(neighbour.contents(conversation)) == len(sent))
            await eventually(partial(_metric_is, world, 'natter_edge_closes_total{code="4408"}', 1))
            highest = max(highest, edge.memory_info().rss)
            await slow.read_to_the_end()
            assert slow.close_code in (4408, NO_CLOSE_FRAME)
            assert len(slow.frames) < 40 * 16, "it had to miss something, or this test shows nothing"
            assert neighbour.contents(conversation) == sent
            assert highest - before < 2 * CAP_BYTES
        async with world.device(ben, edge=1) as again:
            await anna.send(conversation, "welcome back")
            await eventually(lambda: again.contents(conversation) == ["welcome back"])
            assert await contents_after(ben, conversation) == [*sent, "welcome back"]


async def test_live_signals_coalesce_to_the_latest_for_a_client_that_does_not_read(open_world: OpenWorld) -> None:
    """Typing changes a thousand times while nothing is read: afterwards each signal comes once, as it is now."""
    async with open_world(StackOptions(env={"*": QUICK, "edge-1": WIDE})) as world, world.observer() as observer:
        ben = await world.person("ben")
        keys = ("typing.anna", "typing.carl")
        async with slow_client(world.stack.edge_urls[0], ben.token) as slow:
            filler = 12 * 1024 * 1024 // FILLER_BYTES  # more than the kernel takes for a socket, less than the cap
            await _fill(observer, ben, filler)
            for number in range(1000):
                for key in keys:
                    await _publish(observer, ben, {"action": "typing", "data": {"n": number}, "id": key}, Live(key))
            end = f"user:{ben.user_id}"
            await _publish(observer, ben, {"action": "end", "data": {}}, Durable(end, 1))
            await eventually(
                partial(_metric_is, world, "natter_edge_deliveries_total", filler + 1000 * len(keys) + 1), timeout_s=30
            )
            async with asyncio.timeout(30):
                while (frame := await slow.read()) is not None and frame["action"] != "end":
                    pass
            assert frame is not None, f"closed with {slow.close_code}"
            for key in keys:
                shown = [frame["data"]["n"] for frame in slow.frames if frame.get("id") == key]
                assert shown[-1] == 999
                assert len(shown) < 100
            assert [frame["data"]["n"] for frame in slow.frames if frame["action"] == "filler"] == list(range(filler))


FROZEN = {
    # Ratios as in production, where a receipt is awaited for 10 s, a pong for 20 s, and silence for 45 s.
    "DELIVERY_ACK_TIMEOUT": "1",
    "WS_CONNECTION_TIMEOUT": "4000",
    "WS_HEARTBEAT_INTERVAL": "3000",
}
FOUND_WITHIN_S = 7.0


async def test_a_frozen_client_is_found_and_its_messages_are_pushes_before_that(open_world: OpenWorld) -> None:
    """SIGSTOP: the kernel goes on taking bytes for it. Without a pong its messages are pushes, then its socket goes.

    One frozen client is sent messages, the other one nothing: only the heartbeat finds that. The times are the edge's
    own, from its log; the bound has as much again for a busy machine.
    """
    options = StackOptions(env={"*": {**QUICK, **FROZEN}}, log_format="json", edges=1)
    async with open_world(options) as world:
        anna, ben, idle = await world.people("anna", "ben", "idle")
        conversation = await anna.open_conversation(ben.user_id)
        async with _client_process(world, ben) as talked_to, _client_process(world, idle) as silent:
            talked_to.send_signal(signal.SIGSTOP)
            silent.send_signal(signal.SIGSTOP)
            sent = [await anna.send(conversation, f"message {number}") for number in range(5)]
            lefts: dict[str, dict[str, Any]] = await eventually(
                partial(_who_left, world, {ben.user_id, idle.user_id}), timeout_s=40, every_s=0.1
            )
            assert {left["code"] for left in lefts.values()} == {1001}
            for left in lefts.values():
                assert left["seconds"] < 2 * FOUND_WITHIN_S
            pushes = await world.pushes.of(ben.user_id)
            assert len({push["event_id"] for push in pushes}) == len(pushes) == len(sent)
            gone_at = datetime.fromisoformat(lefts[ben.user_id]["timestamp"])
            for push in pushes:
                assert push["reason"] == "unacknowledged"
                assert datetime.fromisoformat(push["received_at"]) < gone_at
        assert await contents_after(ben, conversation) == [message["content"] for message in sent]


CLIENT = """
import asyncio, sys
from websockets.asyncio.client import connect

async def main():
    headers = {"Authorization": "Bearer " + sys.argv[2]}
    async with connect(sys.argv[1], additional_headers=headers, ping_interval=None, proxy=None) as socket:
        async for _ in socket:
            print("frame", flush=True)

asyncio.run(main())
"""


@asynccontextmanager
async def _client_process(world: World, who: Api) -> AsyncIterator[asyncio.subprocess.Process]:
    """A client in a process of its own, connected; killed at the end, frozen or not."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CLIENT, world.stack.edge_urls[0], who.token, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            assert await process.stdout.readline() == b"frame\n"
        yield process
    finally:
        process.kill()
        await process.wait()


def _who_left(world: World, users: set[str]) -> dict[str, dict[str, Any]] | None:
    """The edge's log lines of these users' leaving, once there is one for each."""
    found = {}
    for line in (world.stack.data_dir / "logs" / "edge-1.log").read_text().splitlines():
        if '"socket left"' in line:
            said = json.loads(line[line.index("{") :])
            if said["user_id"] in users:
                found[said["user_id"]] = said
    return found if set(found) == users else None


async def _publish(observer: Client, to: Api, frame: dict[str, Any], delivery: Delivery) -> None:
    headers = {DELIVERY_HEADER: delivery_header(delivery)}
    await observer.publish(subjects.user(to.user_id), json.dumps(frame).encode(), headers=headers)


async def _fill(observer: Client, to: Api, count: int, first: int = 0) -> None:
    """Send `count` large durable frames, numbered from `first`, and wait until NATS has them."""
    stream = f"user:{to.user_id}-{new_id()}"
    for number in range(first, first + count):
        frame = {"action": "filler", "data": {"n": number, "body": "x" * FILLER_BYTES}}
        await _publish(observer, to, frame, Durable(stream, number + 1))
    await observer.flush()


async def _metric_is(world: World, name: str, value: float) -> bool:
    part = world.stack.part("edge-1")
    text = (await world.http.get(f"http://{part.host}:{part.port}/metrics")).text
    found = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[0] != "#"}
    assert found.get(name) == value, found.get(name)
    return True
