"""What the fault proxy does to connections, shown with a real server behind it."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from stack import FaultProxy
from stack.ports import HOST, free_port

from .conftest import until

_PATIENCE_S = 20.0


class Echo:
    """A server that sends back what it gets, and says when a connection has ended and how."""

    def __init__(self) -> None:
        self.port = 0
        self.received = bytearray()
        self.ended: list[str] = []
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self.port = self.port or free_port()
        self._server = await asyncio.start_server(self._serve, HOST, self.port)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def reset_all(self) -> None:
        """End every connection with a reset."""
        for writer in self._writers:
            writer.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            while data := await reader.read(65_536):
                self.received += data
                writer.write(data)
                await writer.drain()
            self.ended.append("closed")
        except ConnectionError:
            self.ended.append("reset")
        except asyncio.CancelledError:
            pass  # the stream's own callback would complain about a cancelled task
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    server = Echo()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(HOST, echo.port) as one:
        yield one


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def connected(proxy: FaultProxy) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection(HOST, proxy.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def said_back(streams: Streams, what: bytes) -> bytes:
    reader, writer = streams
    writer.write(what)
    return await asyncio.wait_for(reader.readexactly(len(what)), _PATIENCE_S)


async def test_passes_everything_both_ways(proxy: FaultProxy, echo: Echo) -> None:
    """More than any buffer holds goes through unchanged, and is counted."""
    data = bytes(range(256)) * 16_384
    async with connected(proxy) as (reader, writer):
        writer.write(data)
        assert await asyncio.wait_for(reader.readexactly(len(data)), _PATIENCE_S) == data
    await until(lambda: proxy.open_connections == 0, "the connection is forgotten")
    assert echo.ended == ["closed"]
    assert proxy.stats.bytes_up == proxy.stats.bytes_down == len(data)
    assert (proxy.stats.connections, proxy.stats.resets) == (1, 0)


async def test_half_close_is_passed_on(proxy: FaultProxy, echo: Echo) -> None:
    """Who has nothing more to say still hears the rest of the answer."""
    async with connected(proxy) as (reader, writer):
        writer.write(b"last words")
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), _PATIENCE_S) == b"last words"


async def test_cut_resets_existing_and_new_connections(proxy: FaultProxy, echo: Echo) -> None:
    """After cut() both sides of a connection see a reset, and so does who connects; heal() lets new ones through."""
    async with connected(proxy) as old:
        assert await said_back(old, b"before") == b"before"
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(old[0].read(), _PATIENCE_S)
        await until(lambda: echo.ended == ["reset"], "the server sees the reset, too")
        with pytest.raises(ConnectionResetError):
            async with connected(proxy) as new:
                await said_back(new, b"during")
        proxy.heal()
        async with connected(proxy) as new:
            assert await said_back(new, b"after") == b"after"
    assert echo.received == b"beforeafter"


@pytest.mark.parametrize("direction", ["both", "up", "down"])
async def test_stall_holds_bytes_and_closes_nothing(proxy: FaultProxy, echo: Echo, direction: str) -> None:
    """A silent direction holds what is sent, the other one flows; after heal() everything arrives, in order."""
    async with connected(proxy) as (reader, writer):
        assert await said_back((reader, writer), b"1") == b"1"
        assert direction in ("both", "up", "down")
        proxy.stall(direction)  # type: ignore[arg-type]
        writer.write(b"2")
        answer = asyncio.create_task(reader.readexactly(1))
        if direction == "down":
            await until(lambda: echo.received == b"12", "the server hears what the client does not hear answered")
        # A second connection that went through would have shown that time has passed for the first one, too.
        async with FaultProxy(HOST, echo.port) as other, connected(other) as beside:
            for _ in range(50):
                await said_back(beside, b"x")
        assert not answer.done()
        if direction != "down":
            assert b"2" not in echo.received
        assert not echo.ended or echo.ended == ["closed"]  # that is the one beside
        proxy.heal()
        assert await asyncio.wait_for(answer, _PATIENCE_S) == b"2"


async def test_stalled_from_the_start(proxy: FaultProxy, echo: Echo) -> None:
    """A connection made during a stall is accepted and silent; it works once that is over."""
    proxy.stall()
    async with connected(proxy) as (reader, writer):
        writer.write(b"hello")
        await until(lambda: proxy.open_connections == 1, "the connection is accepted")
        assert echo.received == b""
        proxy.heal()
        assert await asyncio.wait_for(reader.readexactly(5), _PATIENCE_S) == b"hello"


async def test_stall_hides_the_death_of_the_server(proxy: FaultProxy, echo: Echo) -> None:
    """Half-open: the server is gone and the client is not told, until the heal."""
    async with connected(proxy) as streams:
        assert await said_back(streams, b"before") == b"before"
        proxy.stall()
        await echo.stop()
        end = asyncio.create_task(streams[0].read())
        await until(lambda: proxy.open_connections == 1, "the connection is still there")
        for _ in range(100):
            await asyncio.sleep(0)
        assert not end.done()
        proxy.heal()
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(end, _PATIENCE_S) == b""
    await echo.start()


async def test_stall_stops_reading(proxy: FaultProxy, echo: Echo) -> None:
    """What a stall holds is bounded: the sender feels the backpressure; after the heal all of it arrives."""
    size = 64 * 1024 * 1024  # more than the kernel buffers on the way
    async with connected(proxy) as (reader, writer):
        proxy.stall("up")
        writer.write(bytes(size))
        draining = asyncio.create_task(writer.drain())
        for _ in range(100):
            await asyncio.sleep(0.001)
        assert not draining.done()
        assert proxy.stats.bytes_up == 0
        proxy.heal()

        async def read_all() -> int:
            read = 0
            while read < size:
                read += len(await reader.read(1_000_000))
            return read

        assert await asyncio.wait_for(read_all(), 60) == size


async def test_delay_keeps_the_order(proxy: FaultProxy, echo: Echo) -> None:
    """Late bytes arrive in order, not before their time; after heal() nothing is late any more."""
    loop = asyncio.get_running_loop()
    async with connected(proxy) as (reader, writer):
        proxy.delay(0.1, jitter_s=0.05)
        began = loop.time()
        for number in range(20):
            writer.write(b"%02d" % number)
            await writer.drain()
            await asyncio.sleep(0.001)
        answer = await asyncio.wait_for(reader.readexactly(40), _PATIENCE_S)
        assert answer == b"".join(b"%02d" % number for number in range(20))
        assert loop.time() - began >= 0.2  # there and back
        proxy.delay(3600)
        writer.write(b"stuck")
        waiting = asyncio.create_task(reader.readexactly(5))
        await until(lambda: proxy.stats.bytes_up == 40, "the first words were counted")
        proxy.heal()
        assert await asyncio.wait_for(waiting, _PATIENCE_S) == b"stuck"


async def test_the_server_may_come_and_go(proxy: FaultProxy, echo: Echo) -> None:
    """While nobody listens behind it the proxy resets who connects; its port stays when the server is back."""
    port = proxy.port
    await echo.stop()
    with pytest.raises(ConnectionResetError):
        async with connected(proxy) as streams:
            await said_back(streams, b"nobody")
    await echo.start()
    async with connected(proxy) as streams:
        assert await said_back(streams, b"back") == b"back"
    assert proxy.port == port


async def test_close_leaves_nothing(echo: Echo) -> None:
    """Closing ends every connection, whatever the fault of the moment, and gives the port back."""
    proxy = FaultProxy(HOST, echo.port)
    await proxy.start()
    async with contextlib.AsyncExitStack() as opened:
        streams = [await opened.enter_async_context(connected(proxy)) for _ in range(20)]
        await asyncio.gather(*(said_back(one, b"hello") for one in streams))
        proxy.stall()
        streams += [await opened.enter_async_context(connected(proxy)) for _ in range(5)]
        await until(lambda: proxy.open_connections == 25, "all are accepted")
        tasks = len(asyncio.all_tasks())
        await proxy.close()
        assert proxy.open_connections == 0
        assert len(asyncio.all_tasks()) <= tasks
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, proxy.port)
        await proxy.close()


async def test_an_end_that_comes_after_a_reset_hurts_nobody(proxy: FaultProxy, echo: Echo) -> None:
    """During a stall one side ends and the other one is reset; the heal passes on what is left, and nothing breaks."""
    for _ in range(20):
        async with connected(proxy) as streams:
            assert await said_back(streams, b"before") == b"before"
            proxy.stall()
            streams[1].write_eof()
            await echo.reset_all()
            proxy.heal()
            with contextlib.suppress(ConnectionResetError):
                await asyncio.wait_for(streams[0].read(), _PATIENCE_S)
        await until(lambda: proxy.open_connections == 0, "the connection is forgotten")
