"""examples/host_app runs beside a real Natter, and its users notice nothing but that it works."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import httpx
import pytest_asyncio

from stack.ports import free_port

from .eventually import eventually
from .world import World

EXAMPLE = Path(__file__).parents[2] / "examples" / "host_app"


@pytest_asyncio.fixture(loop_scope="session")
async def host(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """The example as a process of its own, told by the environment where Natter is."""
    port = free_port()
    environment = {
        **os.environ,
        "NATTER_API_URL": world.stack.api_url,
        "NATTER_SERVICE_TOKEN": world.stack.token("host-application", roles=("service",)),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLE), "main:app", "--port", str(port), env=environment
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            await eventually(partial(answers, client))
            yield client
    finally:
        process.terminate()
        await process.wait()


async def answers(client: httpx.AsyncClient) -> bool:
    """Whether the application is up."""
    try:
        return (await client.get("/openapi.json")).status_code == 200
    except httpx.TransportError:
        return False


async def test_the_example_saves_broadcasts_and_answers(world: World, host: httpx.AsyncClient) -> None:
    """Seed row S11: `POST /chat/{id}/send` answers `sent` with the application's own id, and the device gets it."""
    anna, ben = await world.people("anna", "ben")
    conversation = await anna.open_conversation(ben.user_id)
    async with world.device(ben) as device:
        sent = await host.post(
            f"/chat/{conversation}/send", json={"content": "from the host"}, headers={"X-User": anna.user_id}
        )
        assert (sent.status_code, sent.json()["status"]) == (200, "sent")
        await eventually(lambda: device.contents(conversation) == ["from the host"])
        (frame,) = device.actions("new_message")
        assert frame["data"]["client_msg_id"] == sent.json()["message_id"]
        assert frame["data"]["sender_id"] == anna.user_id

        online = await eventually(partial(is_online, host, ben.user_id))
        assert [one["device_type"] for one in online["devices"]] == ["desktop"]


async def test_a_failed_broadcast_does_not_fail_the_example(host: httpx.AsyncClient) -> None:
    """Seed row S10: the conversation does not exist, and still the application's own work is done."""
    path = "/chat/01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e/send"
    sent = await host.post(path, json={"content": "into the void"}, headers={"X-User": "nobody"})
    assert (sent.status_code, sent.json()["status"]) == (200, "sent")


async def is_online(host: httpx.AsyncClient, user_id: str) -> dict[str, list[dict[str, str]]] | None:
    """The example's answer, once it says that the user is there."""
    found = (await host.get(f"/users/{user_id}/online")).json()
    return found if found["online"] else None
