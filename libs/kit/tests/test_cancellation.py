"""A stray cancellation is told from one that is meant."""

from __future__ import annotations

import asyncio

from kit import cancellation


async def _wait_for(future: asyncio.Future[None], said: list[bool]) -> None:
    try:
        await future
    except asyncio.CancelledError:
        said.append(cancellation.is_meant())


async def test_a_cancelled_future_is_not_meant_for_the_task_that_waits() -> None:
    """What a driver does to its own future is no order to us."""
    said: list[bool] = []
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(_wait_for(future, said))
    await asyncio.sleep(0)
    future.cancel()
    await waiting
    assert said == [False]


async def test_a_cancelled_task_is() -> None:
    """Whoever stops a task is obeyed."""
    said: list[bool] = []
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(_wait_for(future, said))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert said == [True]


async def test_a_cancellation_that_a_library_would_lose_is_kept() -> None:
    """It comes in the turn in which the answer is there too: Python 3.11's `wait_for` returns the answer."""
    answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def ask() -> None:
        with cancellation.kept():
            await asyncio.wait_for(answer, 10)

    asking = asyncio.create_task(ask())
    await asyncio.sleep(0)
    answer.set_result(None)
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait({asking})
    assert asking.cancelled()
