"""The waker gives hints: whatever happens to its connection, it goes on, and the process with it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, cast

import asyncpg
import pytest

from chat_api.relay.waker import CHANNEL, Waker
from chat_api.store.database import is_away
from kit.settings import DatabaseSettings


class Connection:
    """Fails at its first notification, in the way it is told to."""

    def __init__(self, failure: Exception | None) -> None:
        self.failure = failure
        self.notified = asyncio.Event()
        self.terminated = False

    async def execute(self, statement: str) -> None:
        """Fail, or note it."""
        if statement == f"NOTIFY {CHANNEL}":
            if self.failure is not None:
                raise self.failure
            self.notified.set()

    def terminate(self) -> None:
        """Note it."""
        self.terminated = True


@pytest.mark.parametrize(
    "failure",
    [asyncpg.InternalClientError("another operation is in progress"), ConnectionResetError(), KeyError("bug")],
)
async def test_a_broken_connection_is_replaced_and_the_hint_given_again(failure: Exception) -> None:
    """The driver's own confusion included: it once ended the whole process."""
    first, second = Connection(failure), Connection(None)
    waiting = [first, second]

    async def connect(_settings: DatabaseSettings, _name: str) -> asyncpg.Connection[Any]:
        return cast("asyncpg.Connection[Any]", waiting.pop(0))

    waker = Waker(DatabaseSettings.model_construct(), connect)
    waker.wake()
    running = asyncio.create_task(waker.run())
    try:
        async with asyncio.timeout(5):
            await second.notified.wait()
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    assert first.terminated
    assert second.terminated


def test_a_driver_that_lost_track_of_its_connection_is_away() -> None:
    """The same request may succeed with another connection."""
    assert is_away(asyncpg.InternalClientError("another operation is in progress"))
