"""One stack for all tests that break nothing, and one of its own for each test that does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from stack import Stack, StackOptions

from .world import World

HERE = Path(__file__).parent

QUICK = {
    # A push for a device that does not answer comes after 2 s here; 10 s in production.
    "DELIVERY_ACK_TIMEOUT": "2",
    "NATTER_IMPORTANT_MOBILE_WAIT_S": "0.5",
    # No grace: who is away gets the push at once, and tests need not wait for it.
    "NATTER_PUSH_GRACE_OFFLINE_S": "0",
    "NATTER_ALLOWED_ORIGINS": "https://app.example",
}

OpenWorld = Callable[[StackOptions], AbstractAsyncContextManager[World]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder share one event loop, because they share one stack."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@asynccontextmanager
async def _open_world(options: StackOptions) -> AsyncIterator[World]:
    async with Stack(options) as stack, httpx.AsyncClient(timeout=30) as http:
        yield World(stack, http)


@pytest.fixture(scope="session")
def open_world() -> OpenWorld:
    """Starts a stack of one's own, for tests that kill parts of it."""
    return _open_world


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world() -> AsyncIterator[World]:
    """The shared stack: two edges, everything real."""
    async with _open_world(StackOptions(env={"*": QUICK})) as one:
        yield one
