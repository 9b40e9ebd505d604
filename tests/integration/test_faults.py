"""Something is killed, or away: what was accepted arrives all the same, once."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import httpx

from contracts.ids import new_id
from stack import StackOptions

from .clients.api import Api
from .conftest import QUICK, OpenWorld
from .eventually import eventually
from .world import World

NATS_OUTAGE_S = float(os.environ.get("NATS_OUTAGE_S", "8"))
"""How long NATS is away under load. Nothing here depends on the length; `NATS_OUTAGE_S=300` plays the whole outage."""


PACE_S = 0.02
"""Pause between two messages of the load, so that a long outage is not also a test of how much can pile up."""


async def _not_ready(world: World, url: str, missing: str) -> bool:
    answer = await world.http.get(f"{url}/healthz/ready")
    assert answer.status_code == 503, answer.text
    return missing in answer.json()["missing"]


async def test_services_wait_for_postgres_and_nats_and_say_so(open_world: OpenWorld) -> None:
    """Neither is there at start: the services live, name what they wait for, and become ready when it comes."""
    async with open_world(StackOptions(edges=1, env={"*": QUICK})) as world:
        services = [world.stack.part(name) for name in ("chat-api", "edge-1", "notifier")]
        servers = [world.stack.part(name) for name in ("postgres", "nats")]
        for part in (*services, *servers):
            await part.terminate()
        starts = [asyncio.create_task(part.start()) for part in services]
        urls = {part.name: f"http://{part.host}:{part.port}" for part in services}

        async def listening(url: str) -> bool:
            try:
                return (await world.http.get(f"{url}/healthz/live")).status_code == 200
            except httpx.TransportError:
                return False

        for url in urls.values():
            await eventually(partial(listening, url))
        await eventually(partial(_not_ready, world, urls["chat-api"], "postgres"))
        await eventually(partial(_not_ready, world, urls["notifier"], "postgres"))
        await eventually(partial(_not_ready, world, urls["edge-1"], "nats"))
        refused = await world.http.get(
            urls["chat-api"] + "/v1/users/me", headers={"Authorization": f"Bearer {world.stack.token('anna')}"}
        )
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert "retry-after" in refused.headers

        await servers[0].start()
        await eventually(partial(_not_ready, world, urls["chat-api"], "nats"))
        await servers[1].start()
        await asyncio.gather(*starts)
        anna, ben = await world.people("anna", "ben")
        conversation = await anna.open_conversation(ben.user_id)
        async with world.device(ben) as device:
            await anna.send(conversation, "at last")
            await eventually(lambda: device.contents(conversation) == ["at last"])


async def test_nats_away_under_load_loses_nothing(open_world: OpenWorld) -> None:
    """HTTP goes on accepting while NATS is away; when it is back everything arrives, once, in order, and no push."""
    async with open_world(StackOptions(env={"*": QUICK})) as world:
        anna, ben, carl = await world.people("anna", "ben", "carl")
        conversation = await anna.open_conversation(ben.user_id, carl.user_id)
        async with world.device(ben, edge=1) as near, world.device(ben, edge=2) as far:
            sent: list[str] = []
            stop = asyncio.Event()

            async def talk() -> None:
                while not stop.is_set():
                    await anna.send(conversation, f"message {len(sent)}")
                    sent.append(f"message {len(sent)}")
                    await asyncio.sleep(PACE_S)

            talking = asyncio.create_task(talk())
            await eventually(lambda: len(near.contents(conversation)) >= 5)
            await world.stack.part("nats").kill()
            before = len(sent)
            away = asyncio.get_running_loop().time() + NATS_OUTAGE_S
            await eventually(lambda: asyncio.get_running_loop().time() >= away, timeout_s=NATS_OUTAGE_S + 5)
            assert len(sent) > before, "messages are accepted without NATS"
            await world.stack.part("nats").start()
            await eventually(lambda: len(near.contents(conversation)) > before, timeout_s=30)
            stop.set()
            await talking
            await eventually(lambda: set(near.contents(conversation)) >= set(sent), timeout_s=60)
            await eventually(lambda: set(far.contents(conversation)) >= set(sent), timeout_s=60)

            assert near.contents(conversation) == far.contents(conversation) == sent
            assert near.actions("resync"), "an edge that may have missed something says so"
        # Carl was away all the time: one push for each message, however often it was handed over.
        await eventually(partial(_pushed, world, carl, len(sent)), timeout_s=60 + NATS_OUTAGE_S, every_s=0.5)
        assert len(await _all_pushes(world, carl)) == len(sent)
        assert await world.pushes.of(ben.user_id) == [], "who was connected is not pushed"


async def test_chat_api_killed_between_commit_and_publish(open_world: OpenWorld) -> None:
    """NATS is frozen, a message is accepted, chat-api dies by SIGKILL: after the restart it arrives, once."""
    async with open_world(StackOptions(env={"*": QUICK})) as world:
        anna, ben, carl = await world.people("anna", "ben", "carl")
        conversation = await anna.open_conversation(ben.user_id, carl.user_id)
        async with world.device(ben, edge=1) as near, world.device(ben, edge=2) as far:
            await anna.send(conversation, "before")
            await eventually(lambda: near.contents(conversation) == far.contents(conversation) == ["before"])
            await world.stack.part("nats").suspend()
            await anna.send(conversation, "committed, not published")
            await world.stack.part("chat-api").kill()
            await world.stack.part("nats").resume()
            await world.stack.part("chat-api").start()
            await anna.send(conversation, "after")
            expected = ["before", "committed, not published", "after"]
            await eventually(lambda: "after" in near.contents(conversation) and "after" in far.contents(conversation))

            assert near.contents(conversation) == far.contents(conversation) == expected
        await eventually(partial(_pushed, world, carl, 3))
        assert len(await world.pushes.of(carl.user_id)) == 3


async def test_chat_api_killed_again_and_again_under_load(open_world: OpenWorld) -> None:
    """Sends are repeated with their client_msg_id until accepted; every one is on every device once and in order."""
    async with open_world(StackOptions(env={"*": QUICK})) as world:
        anna, ben = await world.people("anna", "ben")
        conversation = await anna.open_conversation(ben.user_id)
        async with AsyncExitStack() as devices:
            opened = [await devices.enter_async_context(world.device(ben, edge=edge)) for edge in (1, 2)]
            stop = asyncio.Event()
            accepted: list[str] = []
            talking = asyncio.create_task(_talk(anna, conversation, accepted, stop))
            for _ in range(3):
                count = len(accepted)
                await eventually(lambda count=count: len(accepted) > count + 20)  # type: ignore[misc]
                await world.stack.part("chat-api").kill()
                await world.stack.part("chat-api").start()
            stop.set()
            await talking
            last = len(accepted)
            await eventually(lambda: all(len(device.contents(conversation)) >= last for device in opened), timeout_s=40)

            for device in opened:
                assert device.contents(conversation) == accepted
        assert await world.pushes.of(ben.user_id) == []


async def test_postgres_killed_under_load(open_world: OpenWorld) -> None:
    """While the record is away sends are refused with 503; what was accepted arrives, once and in order."""
    async with open_world(StackOptions(env={"*": QUICK})) as world:
        anna, ben = await world.people("anna", "ben")
        conversation = await anna.open_conversation(ben.user_id)
        async with AsyncExitStack() as devices:
            opened = [await devices.enter_async_context(world.device(ben, edge=edge)) for edge in (1, 2)]
            stop = asyncio.Event()
            accepted: list[str] = []
            talking = asyncio.create_task(_talk(anna, conversation, accepted, stop))
            for _ in range(2):
                count = len(accepted)
                await eventually(lambda count=count: len(accepted) > count + 20)  # type: ignore[misc]
                await world.stack.part("postgres").kill()
                await eventually(partial(_not_ready, world, world.stack.api_url, "postgres"))
                await world.stack.part("postgres").start()
            count = len(accepted)
            await eventually(lambda: len(accepted) > count + 20, timeout_s=60)
            stop.set()
            await talking
            last = len(accepted)
            await eventually(lambda: all(len(device.contents(conversation)) >= last for device in opened), timeout_s=40)

            for device in opened:
                assert device.contents(conversation) == accepted
        assert await world.pushes.of(ben.user_id) == []


async def test_an_edge_killed_under_its_users_turns_messages_into_pushes(open_world: OpenWorld) -> None:
    """A device whose edge died is away: its user gets a push, the devices on the other edge their frames."""
    async with open_world(StackOptions(env={"*": QUICK})) as world:
        anna, ben, carl = await world.people("anna", "ben", "carl")
        conversation = await anna.open_conversation(ben.user_id, carl.user_id)
        async with world.device(ben, edge=1) as lost, world.device(carl, edge=2) as kept:
            await world.stack.part("edge-1").kill()
            await eventually(lambda: lost.close_code is not None)
            await anna.send(conversation, "who is there?")
            await eventually(lambda: kept.contents(conversation) == ["who is there?"])
            await eventually(partial(_pushed, world, ben, 1))
        assert await world.pushes.of(carl.user_id) == []


async def _talk(who: Api, conversation: str, accepted: list[str], stop: asyncio.Event) -> None:
    """Send one message after the other until told to stop, each as often as it takes; notes what was accepted."""
    while not stop.is_set():
        text, key = f"message {len(accepted)}", new_id()
        await eventually(partial(_accepted, who, conversation, text, key), timeout_s=60)
        accepted.append(text)


async def _accepted(who: Api, conversation: str, text: str, key: str) -> bool:
    body = {"client_msg_id": key, "content": text}
    try:
        answer = await who.call("POST", f"/v1/conversations/{conversation}/messages", json=body)
    except httpx.TransportError:
        return False
    assert answer.status_code in (200, 201, 503), answer.text
    return answer.is_success


async def _all_pushes(world: World, who: Api) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    headers = {"Authorization": f"Bearer {world.stack.token('tests', roles=['service'])}"}
    after = 0
    while True:
        params: dict[str, str | int] = {"user_id": who.user_id, "after_id": after, "limit": 1000}
        page = (await world.http.get(world.stack.notifier_url + "/v1/pushes", params=params, headers=headers)).json()
        if not page["pushes"]:
            return found
        found += page["pushes"]
        after = page["next_after_id"]


async def _pushed(world: World, who: Api, count: int) -> bool:
    return len([push for push in await _all_pushes(world, who) if push["state"] == "sent"]) == count
