"""The connection to a real nats-server that comes late, goes, comes back, and is too fast for us."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from functools import partial

import nats.errors
import nats.js.errors
import pytest
from nats.aio.msg import Msg
from pydantic import SecretStr

from contracts.streams import EVENTS
from kit import bus
from kit.settings import ServiceSettings
from stack.options import Backend, StackOptions
from stack.stack import Stack


async def until(condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    """Poll `condition` until it holds."""
    give_up = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up, f"did not happen within {timeout_s:g} s: {what}"
        await asyncio.sleep(0.02)


@pytest.fixture
async def stack() -> AsyncIterator[Stack]:
    """A nats-server and nothing else."""
    options = StackOptions(
        backend=Backend.EMBEDDED, postgres=False, chat_api=False, notifier=False, edges=0, migrate=False
    )
    async with Stack(options) as running:
        yield running


def settings_for(stack: Stack, user: str = "observer") -> ServiceSettings:
    """Settings of a service that connects to `stack`."""
    return ServiceSettings(nats_url=stack.nats_url, nats_user=user, nats_password=SecretStr(stack.nats_password(user)))


@pytest.mark.parametrize(
    "said",
    [
        nats.errors.ConnectionClosedError(),
        nats.errors.NoRespondersError(),
        nats.js.errors.NoStreamResponseError(),
        nats.js.errors.ServiceUnavailableError(),
        TimeoutError(),
        ConnectionRefusedError(),
    ],
)
def test_all_that_says_that_nats_is_away(said: Exception) -> None:
    """The connection, JetStream, a wait that was too long, the network: one thing to catch, and no mistake of ours."""
    assert isinstance(said, bus.AWAY)
    assert not isinstance(ValueError(), bus.AWAY)


async def test_server_that_comes_late_and_comes_back(stack: Stack) -> None:
    """`connect` waits for its server; a restart is survived with its subscriptions, and reported."""
    await stack.part("nats").kill()
    heard: list[str] = []

    async def interrupted(reason: str) -> None:
        heard.append(reason)

    async def disconnected(reason: str) -> None:
        heard.append(reason)

    connecting = asyncio.create_task(
        bus.connect(settings_for(stack), service="test", on_interrupted=interrupted, on_disconnected=disconnected)
    )
    await asyncio.sleep(0)
    assert not connecting.done()
    await stack.part("nats").start()
    client = await asyncio.wait_for(connecting, 20)
    try:
        assert heard == []
        got: list[bytes] = []

        async def take(message: Msg) -> None:
            got.append(message.data)

        await client.subscribe("somewhere", cb=take)
        await stack.part("nats").kill()
        await until(lambda: heard == ["disconnected"], "the loss is reported")
        await client.publish("somewhere", b"while it was away")
        await stack.part("nats").start()
        await until(lambda: heard == ["disconnected", "reconnected"], "the doubt is reported")
        await client.publish("somewhere", b"afterwards")
        await until(lambda: b"afterwards" in got, "the subscription lives on")
        assert got[0] == b"while it was away"
    finally:
        await bus.close(client)
    assert client.is_closed
    assert heard == ["disconnected", "reconnected"]


async def test_connecting_can_be_given_up(stack: Stack) -> None:
    """Whoever stops the service while it waits for NATS does not wait with it."""
    await stack.part("nats").kill()
    connecting = asyncio.create_task(bus.connect(settings_for(stack), service="test"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(connecting, 0.3)
    assert connecting.cancelled()


async def test_slow_consumer_is_reported(stack: Stack) -> None:
    """A subscription that overflows has lost messages: the service is told to doubt."""
    heard: list[str] = []

    async def interrupted(reason: str) -> None:
        heard.append(reason)

    client = await bus.connect(settings_for(stack), service="test", on_interrupted=interrupted)
    try:
        release = asyncio.Event()

        async def hesitate(_message: Msg) -> None:
            await release.wait()

        await client.subscribe("flood", cb=hesitate, pending_msgs_limit=5)
        for _ in range(20):
            await client.publish("flood", b"x")
        await until(lambda: "slow_consumer" in heard, "the overflow is reported")
        release.set()
    finally:
        await bus.close(client)


async def test_streams_are_made_and_brought_up_to_date(stack: Stack) -> None:
    """Several processes may make a stream at once, and a changed limit is applied."""
    client = await bus.connect(settings_for(stack, "chat-api"), service="test")
    try:
        js = client.jetstream()
        await asyncio.gather(*(bus.ensure_stream(js, EVENTS) for _ in range(5)))
        import dataclasses

        await bus.ensure_stream(js, dataclasses.replace(EVENTS, max_bytes=123_456_789))
        config = (await js.stream_info(EVENTS.name)).config
        assert config.max_bytes == 123_456_789
        assert config.subjects == list(EVENTS.subjects)
        assert config.duplicate_window == EVENTS.duplicate_window_s
    finally:
        await bus.close(client)


async def test_close_never_hangs(stack: Stack) -> None:
    """A service that stops while NATS is away stops all the same; closing twice, or nothing, is harmless."""
    client = await bus.connect(settings_for(stack), service="test")
    await stack.part("nats").kill()
    started = time.monotonic()
    await bus.close(client, timeout_s=2)
    await bus.close(client)
    await bus.close(None)
    assert time.monotonic() - started < 5


async def test_half_open_connection_is_abandoned_without_waiting() -> None:
    """TCP takes nothing more while bytes wait for it: closing would wait for ever, abandoning does not."""
    taken: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(writer)
        writer.write(b'INFO {"server_id":"x","version":"2.10.0","max_payload":1048576}\r\n')
        while b"PING" not in await reader.readline():
            pass
        writer.write(b"PONG\r\n")
        # From here on nothing is read.
        writer.transport.pause_reading()  # type: ignore[attr-defined]

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1024)
    try:
        port = server.sockets[0].getsockname()[1]
        client = await bus.connect(ServiceSettings(nats_url=f"nats://127.0.0.1:{port}"), service="test")
        tcp = client._transport._io_writer.transport  # type: ignore[union-attr]
        while not tcp.get_write_buffer_size():
            await client.publish("somewhere", b"x" * 100_000)
            await asyncio.sleep(0)
        async with asyncio.timeout(20):
            await bus.abandon(client, timeout_s=100)
        assert client.is_closed
        assert tcp.is_closing()
    finally:
        for writer in taken:
            writer.transport.abort()
        server.close()


async def test_abandoned_connection_does_not_come_back(stack: Stack) -> None:
    """Also when it was just reconnecting: no callback, no second connection."""
    heard: list[str] = []

    async def said(reason: str) -> None:
        heard.append(reason)

    client = await bus.connect(settings_for(stack), service="test", on_interrupted=said, on_disconnected=said)
    await stack.part("nats").kill()
    await until(lambda: heard == ["disconnected"], "the loss is reported")
    await bus.abandon(client)
    reconnecting = client._reconnection_task
    assert reconnecting is not None
    assert reconnecting.done()
    assert client.is_closed
    await stack.part("nats").start()
    assert heard == ["disconnected"]


def _cancel(task: asyncio.Task[Msg], _answered: asyncio.Future[Msg]) -> None:
    task.cancel()


async def test_a_request_keeps_a_cancellation_that_comes_with_its_answer(stack: Stack) -> None:
    """Whoever asks JetStream something and is stopped at that moment does stop."""
    client = await bus.connect(settings_for(stack), service="test")
    try:

        async def answer(message: Msg) -> None:
            await message.respond(b"")

        await client.subscribe("somewhere", cb=answer)
        for _ in range(50):
            asking = asyncio.create_task(client.request("somewhere", timeout=10))
            while not client._resp_map:  # noqa: ASYNC110 - looked at in every turn, there is no event for it
                await asyncio.sleep(0)
            (answered,) = client._resp_map.values()
            answered.add_done_callback(partial(_cancel, asking))
            await asyncio.wait({asking})
            assert asking.cancelled()
    finally:
        await bus.close(client)


async def test_a_publish_that_waits_for_room_can_be_cancelled(stack: Stack) -> None:
    """The server takes nothing: whoever publishes waits, and ends when he is told to."""
    client = await bus.connect(settings_for(stack), service="test")
    await stack.part("nats").suspend()
    published = 0

    async def publish() -> None:
        nonlocal published
        while True:
            await client.publish("somewhere", bytes(512 * 1024))
            published += 1

    async def full() -> None:
        known = -1
        while known != published:
            known = published
            await asyncio.sleep(0.2)

    publishing = asyncio.create_task(publish())
    try:
        await full()
        publishing.cancel()
        await asyncio.wait({publishing}, timeout=5)
        assert publishing.cancelled()
    finally:
        publishing.cancel()
        await stack.part("nats").resume()
        await bus.close(client)
