"""An edge is told to stop under load: every device has its moment, and whoever moves to another edge misses nothing."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from stack import StackOptions

from .clients.api import Api
from .clients.history import events_after
from .clients.socket import Device
from .conftest import QUICK, OpenWorld
from .eventually import eventually
from .world import World

PEOPLE, DEVICES = 20, 3
DRAIN = {"NATTER_DRAIN_WINDOW_S": "3", "NATTER_CLOSE_TIMEOUT_S": "3"}


async def test_a_draining_edge_gives_each_device_its_moment_and_loses_nothing(open_world: OpenWorld) -> None:
    """`reconnect` within the window, 1012, exit 0; 60 devices move while messages go on, and each ends with all.

    One more device takes frames but answers nothing: it cannot keep the edge, and while the edge waits for it, new
    sockets are refused with a 503 that says when to try again.
    """
    async with open_world(StackOptions(env={"*": QUICK, "edge-1": DRAIN}, stop_grace_s=30)) as world:
        anna, mute = await world.people("anna", "mute")
        people = [await world.person("guest") for _ in range(PEOPLE)]
        conversation = await anna.open_conversation(mute.user_id, *(one.user_id for one in people))
        stop, said = asyncio.Event(), asyncio.Event()
        sent: list[str] = []
        ready: list[str] = []
        all_here = asyncio.Event()

        async def stay(who: Api) -> tuple[Device, set[int], int]:
            """A device's life: on the first edge until it is closed, then on the second, until it has everything."""
            async with world.device(who, edge=1) as here:
                ready.append(who.user_id)
                if len(ready) == PEOPLE * DEVICES:
                    all_here.set()
                await eventually(lambda: here.close_code is not None, timeout_s=60)
            async with world.device(who, edge=2) as there:
                missing = await events_after(who, conversation, _complete_until(here, conversation))
                have = {event["seq"] for event in missing} | _seqs(here, conversation)
                await said.wait()
                whole = set(range(1, await _last_seq(anna, conversation) + 1))
                # A frame for everybody's being let in may be older than the socket: history had it.
                await eventually(lambda: have | _seqs(there, conversation) >= whole)
                return here, have | _seqs(there, conversation), len(whole)

        async def talk() -> None:
            while not stop.is_set():
                sent.append(f"message {len(sent)}")
                await anna.send(conversation, sent[-1])
                await asyncio.sleep(0.02)

        edge = world.stack.part("edge-1")
        async with world.mute_device(mute, edge=1), asyncio.TaskGroup() as tasks:
            stays = [tasks.create_task(stay(who)) for who in people for _ in range(DEVICES)]
            async with asyncio.timeout(60):
                await all_here.wait()
            talking = tasks.create_task(talk())
            await eventually(lambda: len(sent) > 20)
            draining = tasks.create_task(edge.terminate())
            await eventually(partial(_refuses, world, mute))
            await draining
            assert edge.exit_code == 0
            stop.set()
            await talking
            # The last one is in the record now: what is whole for one device is whole for all.
            said.set()
        for one in stays:
            here, have, count = one.result()
            told = here.actions("reconnect")
            assert len(told) == 1
            assert 0 <= told[0]["data"]["after_ms"] <= 3000
            assert here.close_code == 1012
            assert have == set(range(1, count + 1))
            assert len(here.contents(conversation)) == len(set(here.contents(conversation)))


async def _refuses(world: World, who: Api) -> bool:
    part = world.stack.part("edge-1")
    health = await world.http.get(f"http://{part.host}:{part.port}/healthz/ready")
    assert "draining" in health.json().get("missing", {})
    headers = {"Authorization": f"Bearer {who.token}"}
    with pytest.raises(InvalidStatus) as refused:
        async with connect(world.stack.edge_urls[0], additional_headers=headers, proxy=None):
            pass
    assert refused.value.response.status_code == 503
    assert int(refused.value.response.headers["Retry-After"]) > 0
    return True


def _seqs(device: Device, conversation: str) -> set[int]:
    stream = f"conversation:{conversation}"
    return {frame["seq"] for frame in device.frames if frame.get("stream") == stream}


def _complete_until(device: Device, conversation: str) -> int:
    """The highest seq up to which this device has everything, counted from its first frame; 0 if it has none."""
    seqs = _seqs(device, conversation)
    if 1 not in seqs:
        return 0
    seq = 1
    while seq + 1 in seqs:
        seq += 1
    return seq


async def _last_seq(who: Api, conversation: str) -> int:
    return int((await who.ok("GET", f"/v1/conversations/{conversation}"))["last_seq"])
