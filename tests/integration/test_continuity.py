"""An edge that is cut off from NATS, and a fan-out whose consumer is gone: noticed, healed, and nothing is missing."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from typing import Any

import pytest

from stack import StackOptions

from .clients.api import Api
from .clients.history import contents_after
from .clients.socket import Device
from .conftest import QUICK, OpenWorld
from .eventually import eventually
from .world import World

OUTAGE_S = float(os.environ.get("EDGE_OUTAGE_S", "6"))
"""How long the edge is cut off. Nothing depends on the length; `EDGE_OUTAGE_S=600` plays the whole outage."""

SCALED = {
    # A tenth of what production has: heard every 2 s, deaf after 6 s, not alive after 60 s, reconnects within 10 s.
    "NATTER_CANARY_INTERVAL_S": "0.2",
    "NATTER_CANARY_DEAF_AFTER_S": "0.6",
    "NATTER_LIVENESS_PATIENCE_S": "6",
    "NATTER_DRAIN_WINDOW_S": "1",
}


@pytest.mark.parametrize("fault", ["half-open", "reset"])
async def test_an_edge_cut_off_from_nats_for_ten_minutes(open_world: OpenWorld, fault: str) -> None:
    """Who is on that edge alone gets pushes, who is elsewhere too gets frames; healed, history completes everybody.

    Scaled, because nothing depends on the length: ten minutes become six seconds, the edge's and the receipts' times a
    tenth to a fifth of production's (`SCALED`, `QUICK`). Not scaled: nats-py's pings and the server's.
    """
    options = StackOptions(links=(("edge-1", "nats"),), env={"*": QUICK, "edge-1": SCALED})
    async with open_world(options) as world:
        anna, ben, carl = await world.people("anna", "ben", "carl")
        conversation = await anna.open_conversation(ben.user_id, carl.user_id)
        async with (
            world.device(ben, edge=1) as cut,
            world.device(carl, edge=1) as near,
            world.device(carl, edge=2) as far,
        ):
            first = await anna.send(conversation, "before")
            await eventually(lambda: all(d.contents(conversation) == ["before"] for d in (cut, near, far)))
            # A receipt that is still on its way would be cut off, too, and what it confirms would become a push.
            await eventually(partial(_confirmed, anna, conversation, ben, first["seq"]))
            seen = max(frame["seq"] for frame in cut.actions("new_message"))
            link = world.stack.link("edge-1", "nats")
            if fault == "half-open":
                link.stall()
            else:
                link.cut()
            await eventually(partial(_edge_is, world, 503))
            await eventually(lambda: cut.actions("reconnect") and near.actions("reconnect"))
            assert all(0 <= frame["data"]["after_ms"] <= 1000 for frame in cut.actions("reconnect"))

            meanwhile = await _talk_for(OUTAGE_S, anna, conversation)
            await eventually(lambda: far.contents(conversation) == ["before", *meanwhile])
            await eventually(partial(world.pushed, ben, len(meanwhile)), timeout_s=30)
            live = await world.http.get(_edge(world) + "/healthz/live")
            assert live.status_code == 200, "a restart would not bring NATS back"
            assert await _sent_over(cut, conversation) == "unavailable"

            link.heal()
            await eventually(partial(_edge_is, world, 200), timeout_s=30)
            await eventually(lambda: cut.actions("resync") and near.actions("resync"))
            assert await contents_after(ben, conversation, seen) == meanwhile
            await anna.send(conversation, "after")
            for device in (cut, near, far):
                await eventually(lambda device=device: device.contents(conversation)[-1:] == ["after"])  # type: ignore[misc]
            assert far.contents(conversation) == ["before", *meanwhile, "after"]
            assert cut.contents(conversation).count("after") == 1
        assert await contents_after(ben, conversation) == ["before", *meanwhile, "after"]
        assert len(await world.pushes.of(ben.user_id)) == len(meanwhile), "one for each, none for what a device has"
        assert await world.pushes.of(carl.user_id) == []


async def test_a_consumer_that_falls_silent_is_replaced(open_world: OpenWorld) -> None:
    """Fan-out's consumers vanish from JetStream while every connection stands: messages arrive, once, in order.

    Nothing reconnects, so only the missing heartbeats of the consumer can betray it.
    """
    async with open_world(StackOptions(env={"*": QUICK})) as world:
        anna, ben = await world.people("anna", "ben")
        conversation = await anna.open_conversation(ben.user_id)
        async with world.device(ben, edge=1) as near, world.device(ben, edge=2) as far:
            await anna.send(conversation, "before")
            await eventually(lambda: near.contents(conversation) == far.contents(conversation) == ["before"])
            async with world.observer() as observer:
                js = observer.jetstream()
                consumers = [one.name for one in await js.consumers_info("EVENTS") if one.name.startswith("fanout-")]
                assert consumers, "fan-out's consumers have the names that this test looks for"
                for name in consumers:
                    assert await js.delete_consumer("EVENTS", name)
            sent = [f"message {number}" for number in range(30)]
            for text in sent:
                await anna.send(conversation, text)
            for device in (near, far):
                await eventually(
                    lambda device=device: len(device.contents(conversation)) > len(sent),  # type: ignore[misc]
                    timeout_s=40,
                )
                assert device.contents(conversation) == ["before", *sent]
        assert await world.pushes.of(ben.user_id) == []


def _edge(world: World) -> str:
    part = world.stack.part("edge-1")
    return f"http://{part.host}:{part.port}"


async def _edge_is(world: World, status: int) -> bool:
    return (await world.http.get(_edge(world) + "/healthz/ready")).status_code == status


async def _confirmed(sender: Api, conversation: str, recipient: Api, seq: int) -> bool:
    """Whether the server knows that the recipient has the message."""
    cursors = (await sender.ok("GET", f"/v1/conversations/{conversation}/cursors"))["cursors"]
    return any(one["user_id"] == recipient.user_id and (one["delivered_seq"] or 0) >= seq for one in cursors)


async def _talk_for(seconds: float, who: Api, conversation: str) -> list[str]:
    """Send now and then until the time is over; returns the texts."""
    sent: list[str] = []
    clock = asyncio.get_running_loop().time
    until = clock() + seconds
    while clock() < until:
        sent.append(f"meanwhile {len(sent)}")
        await who.send(conversation, sent[-1])
        await asyncio.sleep(seconds / 20)
    return sent


async def _sent_over(device: Device, conversation: str) -> str:
    """Send over the socket; the error's code, or the answer's action."""
    data: dict[str, Any] = {"conversation_id": conversation, "client_msg_id": "once", "content": "over the socket"}
    await device.send({"action": "send_message", "ref": "s", "data": data})
    answer: dict[str, Any] = await eventually(lambda: device.answer("s"))
    return str(answer["data"].get("code", answer["action"]))
