"""JetStream's data is gone: who is online gets every message once and in order, who is away one push for each."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import asyncpg

from stack import StackOptions
from stack.nats import NatsServer

from .clients.api import Api
from .clients.socket import Device
from .conftest import QUICK, OpenWorld
from .eventually import eventually
from .world import World

SETTINGS = {**QUICK, "NATTER_FANOUT_LEASE_S": "5"}
PACE_S = 0.02


class Scene:
    """Anna talks. Ben is online on two edges, Carl is away, Dora was online and left, Emil's phone never answers."""

    def __init__(self, world: World, people: Sequence[Api], conversation: str, devices: Sequence[Device]) -> None:
        self.world = world
        self.anna, self.ben, self.carl, self.dora, self.emil = people
        self.conversation = conversation
        self.sent: list[str] = []
        self._devices = devices
        self._talking: asyncio.Task[None] | None = None

    async def say(self, count: int) -> None:
        """So many messages."""
        for _ in range(count):
            text = f"message {len(self.sent)}"
            await self.anna.send(self.conversation, text)
            self.sent.append(text)
            await asyncio.sleep(PACE_S)

    async def shown(self, count: int) -> None:
        """Wait until Ben has so many messages on his first device."""
        await eventually(lambda: len(self._devices[0].contents(self.conversation)) >= count, timeout_s=40)

    async def everybody_has_everything(self) -> None:
        """Each message once, in order, on each of Ben's devices; one push for each to Carl and Emil; none to others."""
        for device in self._devices:
            await eventually(partial(self._complete, device), timeout_s=40)
        for device in self._devices:
            assert device.contents(self.conversation) == self.sent
        for away in (self.carl, self.emil):
            await eventually(partial(self._pushed, away), timeout_s=40, every_s=0.2)
        # Whatever is still under way would come within the receipt timeout: a second push, or one too many.
        await self.anna.send(self.conversation, "the last one")
        self.sent.append("the last one")
        for away in (self.carl, self.emil):
            await eventually(partial(self._pushed, away), timeout_s=40, every_s=0.2)
        assert await self._pushes(self.ben) == []
        assert await self._pushes(self.dora) == [], "she had confirmed everything before she left"

    def _complete(self, device: Device) -> bool:
        return set(device.contents(self.conversation)) >= set(self.sent)

    async def _pushed(self, who: Api) -> bool:
        found = await self._pushes(who)
        events = Counter(push["event_id"] for push in found)
        assert set(events.values()) <= {1}, "pushed twice"
        return len([push for push in found if push["state"] == "sent"]) == len(self.sent)

    async def _pushes(self, who: Api) -> list[dict[str, Any]]:
        world = self.world
        response = await world.http.get(
            world.stack.notifier_url + "/v1/pushes",
            params={"user_id": who.user_id, "limit": 1000},
            headers={"Authorization": f"Bearer {world.stack.token('tests', roles=['service'])}"},
        )
        assert response.status_code == 200, response.text
        found = response.json()["pushes"]
        assert isinstance(found, list)
        return found


@asynccontextmanager
async def _scene(open_world: OpenWorld, **options: Any) -> AsyncIterator[Scene]:
    async with open_world(StackOptions(env={"*": SETTINGS}, **options)) as world:
        people = await world.people("anna", "ben", "carl", "dora", "emil")
        anna, ben, carl, dora, emil = people
        conversation = await anna.open_conversation(ben.user_id, carl.user_id, emil.user_id)
        early = await anna.open_conversation(dora.user_id)
        async with world.device(dora) as doras:
            for text in ("one", "two", "three"):
                await anna.send(early, text)
            await eventually(lambda: doras.contents(early) == ["one", "two", "three"])
            await eventually(partial(_settled, world))
        async with (
            world.device(ben, edge=1) as near,
            world.device(ben, edge=2) as far,
            world.mute_device(emil, edge=1),
        ):
            yield Scene(world, people, conversation, (near, far))


async def _settled(world: World) -> bool:
    """Every lane has written down that everything recorded is settled: a crash forgets what was not."""
    database = await asyncpg.connect(world.stack.database_url, password=world.stack.database_password, timeout=10)
    try:
        unsettled = await database.fetchval("""
            SELECT count(*) FROM fanout_lanes WHERE (floor_txid, floor_position)
                < (SELECT txid, position FROM events ORDER BY txid DESC, position DESC LIMIT 1)
        """)
    finally:
        await database.close()
    return bool(unsettled == 0)


async def _wipe(world: World) -> None:
    """What a lost disk leaves: NATS killed, its directory gone, NATS started."""
    server = world.stack.part("nats")
    assert isinstance(server, NatsServer)
    await server.kill()
    await server.wipe()
    await server.start()


async def test_wiped_under_load(open_world: OpenWorld) -> None:
    """Twice while messages flow, and nothing has to be done by hand."""
    async with _scene(open_world) as scene:
        talking = asyncio.create_task(scene.say(120))
        for shown in (10, 60):
            await scene.shown(shown)
            await _wipe(scene.world)
        await talking
        await scene.everybody_has_everything()


async def test_wiped_while_idle(open_world: OpenWorld) -> None:
    """Emil's receipts are still awaited, nothing new is written: what was under way ends well."""
    async with _scene(open_world) as scene:
        await scene.say(10)
        await scene.shown(10)
        await _wipe(scene.world)
        await scene.everybody_has_everything()


async def test_wiped_while_chat_api_is_down(open_world: OpenWorld) -> None:
    """The process that knew what is open is dead, and so is the stream: Postgres remembers."""
    async with _scene(open_world) as scene:
        await scene.say(10)
        await scene.shown(10)
        chat_api = scene.world.stack.part("chat-api")
        await chat_api.kill()
        await _wipe(scene.world)
        await chat_api.start()
        await scene.everybody_has_everything()


async def test_wiped_while_the_notifier_is_down(open_world: OpenWorld) -> None:
    """What was handed over and not yet taken is handed over again."""
    async with _scene(open_world) as scene:
        notifier = scene.world.stack.part("notifier")
        await notifier.terminate()
        await scene.say(10)
        await scene.shown(10)
        await eventually(partial(_handed_over, scene.world, 20), timeout_s=20)
        await _wipe(scene.world)
        await notifier.start()
        await scene.everybody_has_everything()


async def _handed_over(world: World, count: int) -> bool:
    part = world.stack.part("chat-api")
    text = (await world.http.get(f"http://{part.host}:{part.port}/metrics")).text
    return f"natter_fanout_handovers_waiting {count}.0" in text


async def test_the_directory_is_removed_under_a_running_server(open_world: OpenWorld) -> None:
    """JetStream goes on for a while on files that have no name any more, until somebody restarts it."""
    async with _scene(open_world) as scene:
        talking = asyncio.create_task(scene.say(100))
        await scene.shown(10)
        server = scene.world.stack.part("nats")
        await asyncio.to_thread(_remove, scene.world)
        await scene.say(5)
        await server.kill()
        await server.start()
        await talking
        await scene.everybody_has_everything()


def _remove(world: World) -> None:
    shutil.rmtree(world.stack.data_dir / "nats", ignore_errors=True)


async def test_fanout_is_killed_with_it(open_world: OpenWorld) -> None:
    """Relay, road and fan-out at the same time; the next fan-out waits for the edges, which come back like itself."""
    async with _scene(open_world, split_chat_api=True) as scene:
        talking = asyncio.create_task(scene.say(100))
        await scene.shown(10)
        fanout = scene.world.stack.part("chat-api-fanout")
        await fanout.kill()
        await _wipe(scene.world)
        await fanout.start()
        await talking
        await scene.everybody_has_everything()
