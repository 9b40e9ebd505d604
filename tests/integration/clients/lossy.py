"""A road between client and edge that loses single frames, while everything else about the socket stays in order.

TCP cannot do this, and that is the point: the edge gets its pong, so for the server the frame has arrived. It is what a
bug in a client, a suspended tab or a middlebox makes of a frame; only the sequence can betray it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

Frame = dict[str, Any]


class LossyRoad:
    """`loses(frame)` is asked for each server frame; what it says yes to never reaches the client."""

    def __init__(self, edge_url: str) -> None:
        self.url = ""
        self.loses: Callable[[Frame], bool] = lambda _frame: False
        self.lost: list[Frame] = []
        """What was swallowed, in order."""
        self.passed: list[Frame] = []
        """What went through, in order."""
        self._edge = edge_url.partition("/v1/ws")[0]

    async def carry(self, client: ServerConnection) -> None:
        """Carry one client's frames to the edge and back until either side ends."""
        assert client.request is not None
        headers = {"Authorization": client.request.headers["Authorization"]}
        async with connect(
            self._edge + client.request.path,
            additional_headers=headers,
            compression=None,
            proxy=None,
            ping_interval=None,
        ) as edge:
            upwards = asyncio.create_task(self._up(client, edge))
            try:
                with contextlib.suppress(ConnectionClosed):
                    async for text in edge:
                        await self._down(client, text)
                with contextlib.suppress(ConnectionClosed):
                    await client.close(edge.close_code or 1011, edge.close_reason or "")
            finally:
                upwards.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await upwards

    async def _down(self, client: ServerConnection, text: str | bytes) -> None:
        frame = json.loads(text)
        if self.loses(frame):
            self.lost.append(frame)
            return
        self.passed.append(frame)
        await client.send(text)

    async def _up(self, client: ServerConnection, edge: Any) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for text in client:
                await edge.send(text)
            await edge.close()


@asynccontextmanager
async def lossy_road(edge_url: str) -> AsyncIterator[LossyRoad]:
    """A road to one edge; connect to its `url`."""
    road = LossyRoad(edge_url)
    async with serve(road.carry, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        road.url = f"ws://127.0.0.1:{port}/v1/ws"
        yield road
