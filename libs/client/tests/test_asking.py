"""A request that is cancelled leaves nothing open, whenever that happens."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator

import httpx
import pytest

from natter_client.asking import ask

IDLE = 5
AGED_S = 0.01


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say ok to whatever is asked until nobody asks any more."""
    try:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """A server that keeps its connections."""
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


def pool() -> httpx.AsyncClient:
    """Whose idle connections are too old for the next request."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=IDLE, keepalive_expiry=AGED_S)
    return httpx.AsyncClient(limits=limits, trust_env=False)


@pytest.mark.parametrize("turns", range(12))
async def test_a_cancelled_request_leaves_no_connection_behind(url: str, turns: int) -> None:
    """Cancelled after so many turns of the loop, also while old connections are being closed."""
    gc.collect()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        async with pool() as http:
            await asyncio.gather(*(ask(http, "GET", url) for _ in range(IDLE)))
            await asyncio.sleep(2 * AGED_S)
            asking = asyncio.create_task(ask(http, "GET", url))
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.wait({asking})
        del asking
        gc.collect()
    assert [str(one.message) for one in warned] == []


async def test_the_cancellation_goes_on(url: str) -> None:
    """Whoever cancels a request, or limits it, hears of it."""
    async with pool() as http:
        asking = asyncio.create_task(ask(http, "GET", url))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await ask(http, "GET", url)


async def test_an_answer_and_an_error_are_the_caller_s(url: str) -> None:
    """As if httpx had been asked."""
    async with pool() as http:
        assert (await ask(http, "GET", url, headers={"A": "b"})).text == "ok"
        with pytest.raises(httpx.UnsupportedProtocol):
            await ask(http, "GET", "no-url")
