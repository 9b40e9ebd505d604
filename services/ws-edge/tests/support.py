"""Clients of an edge, and a chat-api that answers as a test says."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from contracts import subjects
from contracts.codec import Contract, encode
from contracts.commands import CommandReply
from contracts.frames import FrameError
from ws_edge.app import Edge
from ws_edge.testing.servers import token


@contextlib.asynccontextmanager
async def joined(
    edge: Edge, user_id: str, query: str = "", *, roles: Sequence[str] = (), given: str | None = None, **options: Any
) -> AsyncIterator[ClientConnection]:
    """A client that has got its `connected` frame; `given` is its token, if it is not just any."""
    headers = {"Authorization": f"Bearer {token(edge, user_id, *roles) if given is None else given}"}
    url = f"ws://127.0.0.1:{edge.port}/v1/ws{query}"
    async with connect(url, additional_headers=headers, **{"compression": None, **options}) as client:
        assert (await frame(client))["action"] == "connected"
        yield client


async def frame(client: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(10):
        return dict(json.loads(await client.recv()))


async def close_code(client: ClientConnection) -> int:
    """The code the server closes with; frames before it are skipped."""
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await client.recv()
    assert client.close_code is not None
    return client.close_code


async def flushed(client: Client) -> None:
    """The server has everything: nats-py's PING may overtake what was written just before, a second one cannot."""
    await client.flush()
    await client.flush()


async def said(client: ClientConnection, action: str, data: dict[str, Any], *, ref: int = 1) -> dict[str, Any]:
    """The answer to a frame; what comes before it is skipped."""
    await client.send(json.dumps({"action": action, "ref": ref, "data": data}))
    while (answer := await frame(client)).get("ref") != ref:
        pass
    return answer


async def silence(client: ClientConnection, *, except_for: str = "") -> None:
    """Nothing has come for this client: a pong overtakes nothing."""
    await client.send('{"action": "ping", "ref": 999999}')
    while (got := await frame(client)).get("ref") != 999999:
        assert got["action"] == except_for, got


class Answers:
    """Takes one kind of command, as chat-api does; keeps what was asked."""

    def __init__(self, answer: Callable[[dict[str, Any]], dict[str, Any] | FrameError | None]) -> None:
        self.asked: list[dict[str, Any]] = []
        self._answer = answer

    async def start(self, client: Client, name: str) -> None:
        async def on_command(message: Msg) -> None:
            asked = json.loads(message.data)
            self.asked.append(asked)
            told = self._answer(asked)
            if not message.reply or told is None:
                return
            reply: Contract = CommandReply(error=told) if isinstance(told, FrameError) else CommandReply(ack=told)
            await message.respond(encode(reply))

        await client.subscribe(subjects.command(name), queue=subjects.COMMAND_QUEUE, cb=on_command)
        await flushed(client)
