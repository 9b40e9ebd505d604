"""Real NATS and real Postgres for the tests that need them, started once per run; a fresh schema for every test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from contracts import streams
from kit.bus import ensure_stream
from notifier.database import open_engine
from notifier.dispatch import FRESH_S
from notifier.migrate import migrate
from notifier.settings import NotifierSettings
from notifier.stopping import Stop
from notifier.store import Store
from notifier.testing import RecordingProvider
from stack.options import StackOptions
from stack.stack import Stack

from .support import Bench, Record, Servers


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """NATS and Postgres, without any service."""
    runner = asyncio.Runner()
    loop = runner.get_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    stack = Stack(StackOptions(chat_api=False, edges=0, notifier=False, migrate=False))
    asyncio.run_coroutine_threadsafe(stack.start(), loop).result(120)
    try:
        yield Servers(stack, loop)
    finally:
        asyncio.run_coroutine_threadsafe(stack.stop(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        runner.close()


@pytest.fixture
async def observer(servers: Servers) -> AsyncIterator[Client]:
    """A NATS user who may do everything, on a stream that is empty."""
    client = await nats.connect(
        servers.stack.nats_url, user="observer", password=servers.stack.nats_password("observer")
    )
    js = client.jetstream()
    await ensure_stream(js, streams.OFFLINE_DELIVERY)
    await js.purge_stream(streams.OFFLINE_DELIVERY.name)
    yield client
    await client.close()


@pytest.fixture
async def settings(servers: Servers) -> NotifierSettings:
    """Settings on a freshly migrated, empty schema."""
    settings = servers.settings()
    engine = open_engine(settings)
    async with engine.begin() as connection:
        await connection.execute(text("DROP SCHEMA IF EXISTS notifier CASCADE"))
    await engine.dispose()
    await migrate(settings, Stop())
    return settings


@pytest.fixture
async def engine(settings: NotifierSettings) -> AsyncIterator[AsyncEngine]:
    """A pool on the test's schema."""
    engine = open_engine(settings)
    yield engine
    await engine.dispose()


@pytest.fixture
def store(engine: AsyncEngine) -> Store:
    """The store on the test's schema."""
    return Store(engine)


@pytest.fixture
async def record(servers: Servers) -> AsyncIterator[Record]:
    """What chat-api says, over real NATS."""
    client = await nats.connect(
        servers.stack.nats_url,
        user="chat-api",
        password=servers.stack.nats_password("chat-api"),
        inbox_prefix=b"_INBOX.chat-api",
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.1,
    )
    record = Record()
    await record.serve(client)
    yield record
    await client.close()


@pytest.fixture
async def benches(settings: NotifierSettings, record: Record) -> AsyncIterator[Callable[..., Bench]]:
    """Makes benches, each with a pool and a connection of its own like a process of its own; chat-api answers."""
    async with AsyncExitStack() as closing:

        def make(*providers: RecordingProvider, fresh_s: float = FRESH_S, **changes: Any) -> Bench:
            changed = settings.model_copy(update=changes)
            engine = open_engine(changed)
            closing.push_async_callback(engine.dispose)
            bench = Bench(changed, engine, *providers, fresh_s=fresh_s)
            closing.push_async_callback(bench.link.close)
            return bench

        yield make
