"""Every test of the edge runs on uvloop, as the edge does in production."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import nats
import pytest
import uvloop
from nats.aio.client import Client

from stack.ports import free_port
from ws_edge.app import Edge
from ws_edge.testing.servers import NatsServer, running_edge


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def nats_server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    server = NatsServer(tmp_path, free_port())
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def edge(nats_server: NatsServer) -> AsyncIterator[Edge]:
    async with running_edge(nats_server.url, edge_id="edge-1") as edge:
        yield edge


@pytest.fixture
async def sender(nats_server: NatsServer) -> AsyncIterator[Client]:
    """A NATS client that plays fan-out and chat-api."""
    client = await nats.connect(nats_server.url, max_reconnect_attempts=-1, reconnect_time_wait=0.05, error_cb=_quiet)
    yield client
    await client.close()


async def _quiet(_error: Exception) -> None:
    return None
