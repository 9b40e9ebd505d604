"""Real Postgres and real NATS for the tests of this folder: started once, a fresh database for every test."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import asyncpg
import nats
import nats.js.errors
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_api import migrate
from chat_api.fanout import lane
from chat_api.settings import ChatApiSettings
from chat_api.store.database import create_engine
from chat_api.store.unit_of_work import PostgresUnitOfWork
from chat_api.testing_world import World, empty_stream
from contracts.streams import ALL_STREAMS
from kit import bus
from stack.options import Backend, StackOptions
from stack.stack import Stack

R = TypeVar("R")

_names = itertools.count(1)


@dataclass
class Servers:
    """A stack that lives in a thread of its own, because each test has an event loop of its own."""

    stack: Stack
    loop: asyncio.AbstractEventLoop

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Do something with the stack, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(120)

    async def do(self, work: Coroutine[Any, Any, R]) -> R:
        """The same, from a test."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))

    def settings(self, database: str = "natter", **changes: Any) -> ChatApiSettings:
        """Settings of a chat-api that uses these servers; quick enough for tests."""
        fields: dict[str, Any] = {
            "jwt_secret": SecretStr(self.stack.jwt_secret),
            "nats_url": self.stack.nats_url,
            "nats_user": "chat-api",
            "nats_password": SecretStr(self.stack.nats_password("chat-api")),
            "database_url": self.stack.database_url.rpartition("/")[0] + "/" + database,
            "database_password": SecretStr(self.stack.database_password),
            "database_pool_size": 20,
            "delivery_ack_timeout_s": 1.0,
            "important_mobile_wait_s": 0.4,
            "fanout_ack_wait_s": 20.0,
            "fanout_lease_s": 2.0,
            "fanout_settle_s": 0.3,
            "rate_limits": False,
            "relay_poll_s": 0.1,
            "relay_publish_timeout_s": 1.0,
        }
        return ChatApiSettings.model_validate(fields | changes)

    async def connect(self, database: str = "natter") -> asyncpg.Connection[Any]:
        """A bare connection to a database."""
        settings = self.settings(database)
        return await asyncpg.connect(
            settings.database_url, password=settings.database_password.get_secret_value(), timeout=10
        )


@contextlib.contextmanager
def _running(options: StackOptions) -> Iterator[Servers]:
    runner = asyncio.Runner()
    loop = runner.get_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    servers = Servers(Stack(options), loop)
    try:
        servers.run(servers.stack.start())
        yield servers
    finally:
        servers.run(servers.stack.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        runner.close()


async def _spare_the_disk(servers: Servers) -> None:
    """A database per test is some hundred files, and waiting for the disk was most of a test's time.

    What a killed server has written stays all the same: only the machine itself must not fall down.
    """
    connection = await servers.connect("postgres")
    try:
        await connection.execute("ALTER SYSTEM SET fsync = off")
        await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """NATS and Postgres without services; the database `natter` is migrated and stays empty, as a template."""
    options = StackOptions(backend=Backend.EMBEDDED, chat_api=False, edges=0, notifier=False, migrate=False)
    with _running(options) as running:
        running.run(migrate.upgrade(running.settings()))
        running.run(_spare_the_disk(running))
        yield running


@pytest.fixture(scope="session")
def api() -> Iterator[Servers]:
    """A whole chat-api in a process of its own, with servers of its own that a test may stop."""
    options = StackOptions(
        backend=Backend.EMBEDDED,
        edges=0,
        notifier=False,
        ready_timeout_s=20,
        env={"chat-api": {"NATTER_BODY_BYTES_MAX": "20000", "NATTER_DATABASE_TIMEOUT_S": "3"}},
    )
    with _running(options) as running:
        yield running


@pytest.fixture
async def database(servers: Servers) -> AsyncIterator[str]:
    """The name of a fresh, migrated database."""
    name = f"test_{next(_names)}"
    connection = await servers.connect("postgres")
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE natter STRATEGY FILE_COPY")
        yield name
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()


@pytest.fixture
def settings(servers: Servers, database: str) -> ChatApiSettings:
    """Settings on the fresh database."""
    return servers.settings(database)


@pytest.fixture
async def engine(settings: ChatApiSettings) -> AsyncIterator[AsyncEngine]:
    """A pool on the fresh database."""
    made = create_engine(settings, "test")
    yield made
    await made.dispose()


@pytest.fixture
async def db(servers: Servers, database: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """One bare connection to look at the tables with."""
    connection = await servers.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
def uow(engine: AsyncEngine) -> PostgresUnitOfWork:
    """Transactions on the fresh database, which wake nobody."""
    return PostgresUnitOfWork(engine, lambda: None, 3600)


@pytest.fixture
async def client(settings: ChatApiSettings, observer: Client) -> AsyncIterator[Client]:
    """chat-api's own connection to NATS, with empty streams."""
    del observer  # it has emptied them
    made = await bus.connect(settings, service="chat-api")
    yield made
    await bus.close(made)


@pytest.fixture
def js(client: Client) -> JetStreamContext:
    """JetStream as chat-api sees it."""
    return client.jetstream(timeout=5)


@pytest.fixture
async def observer(servers: Servers) -> AsyncIterator[Client]:
    """A NATS user who may do everything; both streams are new."""
    stack = servers.stack

    async def ignore(_error: Exception) -> None:
        return None

    made = await nats.connect(
        stack.nats_url,
        user="observer",
        password=stack.nats_password("observer"),
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.1,
        error_cb=ignore,
    )
    js = made.jetstream()
    for definition in ALL_STREAMS:
        await empty_stream(js, definition)
    yield made
    await bus.close(made)


@pytest.fixture
async def background() -> AsyncIterator[Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]]]:
    """Starts tasks that are cancelled and awaited at the end of the test."""
    tasks: list[asyncio.Task[Any]] = []

    def start(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        tasks.append(asyncio.create_task(work))
        return tasks[-1]

    yield start
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result


@pytest.fixture
async def world(
    settings: ChatApiSettings,
    engine: AsyncEngine,
    observer: Client,
    servers: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[World]:
    """An empty world with a relay; fan-outs are started by the test."""
    # What is waited for is what lanes have written down.
    monkeypatch.setattr(lane, "RENEW_EVERY_S", 0.1)
    edges = await bus.connect(
        settings.model_copy(
            update={
                "nats_user": "ws-edge",
                "nats_password": type(settings.nats_password)(servers.stack.nats_password("ws-edge")),
            }
        ),
        service="ws-edge",
    )

    async def disconnected(reason: str) -> None:
        # As bootstrap does.
        for fanout in made.fanouts:
            fanout.interrupted(reason)

    client = await bus.connect(settings, service="chat-api", on_disconnected=disconnected)
    made = World(settings, engine, client, edges)
    await made.open(observer)
    yield made
    await made.close()
    await bus.close(client)
    await bus.close(edges)
