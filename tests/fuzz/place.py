"""A stack to attack: limits of speed out of the way, people in it, and a device that must not notice anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from contracts.ids import new_id
from stack import Stack, StackOptions
from tests.integration.clients.socket import Device, device
from tests.integration.eventually import eventually
from tests.integration.world import World

from .frames import Edge, Hostile

ATTACKERS = 8

UNHURRIED = {
    # Limits of speed have tests of their own; here they would answer in the place of what is to be tried.
    "NATTER_FRAMES_PER_SECOND": "100000",
    "NATTER_FRAMES_BURST": "100000",
    "NATTER_RATE_LIMITS": "false",
    "DELIVERY_ACK_TIMEOUT": "2",
}


def hurried(per_s: float) -> dict[str, str]:
    """Limits that are met after a few requests, and passed `per_s` times a second from then on."""
    kinds = ("SEND", "WRITE", "READ", "UPLOAD")
    return {
        **UNHURRIED,
        "NATTER_RATE_LIMITS": "true",
        **{f"NATTER_RATE_{kind}_PER_S": str(per_s) for kind in kinds},
        # As many as it takes to make the place.
        **{f"NATTER_RATE_{kind}_BURST": "6" for kind in kinds},
    }


@dataclass(frozen=True, slots=True)
class Place:
    """A running stack with one edge."""

    world: World
    attackers: list[Hostile]
    edge: Edge
    bystander: Device
    """A well-behaved device on the same edge."""
    conversation_id: str
    """The bystander's."""

    async def still_well(self) -> None:
        """The edge is the same process and ready, and the bystander gets what is sent to it."""
        assert self.edge.process.is_running(), "the edge has died"
        health = await self.world.http.get(
            self.world.stack.edge_urls[0].replace("ws://", "http://").replace("/v1/ws", "/healthz/ready")
        )
        assert health.status_code == 200, health.text
        text = f"still there? {new_id()}"
        await self.world.service.send(self.conversation_id, text, sender_id="peer-of-the-bystander")
        await eventually(lambda: text in self.bystander.contents(self.conversation_id))


@asynccontextmanager
async def open_place(limits: Mapping[str, str] = UNHURRIED) -> AsyncIterator[Place]:
    """Starts everything; stops it at the end. `limits` is what the services are told in their environment."""
    options = StackOptions(edges=1, env={"*": limits})
    async with Stack(options) as stack, httpx.AsyncClient(timeout=30) as http:
        world = World(stack, http)
        url = stack.edge_urls[0]
        people = await world.people(*(f"attacker{number}" for number in range(ATTACKERS)))
        attackers = [Hostile(url, one.user_id, one.token, await one.open_conversation()) for one in people]
        bystander = await world.person("bystander")
        await world.service.ok("POST", "/v1/users", json={"user_id": "peer-of-the-bystander"})
        conversation_id = await bystander.open_conversation("peer-of-the-bystander")
        pid = stack.part("edge-1").pid
        assert pid is not None
        async with device(url, bystander.token, bystander.user_id) as listening:
            yield Place(world, attackers, Edge(pid), listening, conversation_id)


async def calm(edge: Edge, sockets: int, files: int) -> bool:
    """Whether the edge holds no more than before, within a moment."""
    for _ in range(100):
        if edge.sockets() <= sockets and edge.open_files() <= files:
            return True
        await asyncio.sleep(0.1)
    return False
