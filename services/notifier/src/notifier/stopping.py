"""One word to all tasks of the process: finish what is in hand and return."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Stopped(Exception):
    """The process is told to stop; what was being waited for has been cancelled."""


class Stop:
    """Set once, by a signal; every wait of the service is a wait on this too."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def __bool__(self) -> bool:
        return self._event.is_set()

    def set(self) -> None:
        """Tell everybody."""
        self._event.set()

    async def wait(self) -> None:
        """Until told."""
        await self._event.wait()

    async def pause(self, seconds: float) -> None:
        """Wait `seconds`, or until told."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            pass

    async def unless_stopped(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`; raises `Stopped`, after cancelling it, when told to stop first."""
        task = asyncio.create_task(work)
        told = asyncio.create_task(self._event.wait())
        try:
            await asyncio.wait({task, told}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise Stopped
        finally:
            for each in (task, told):
                each.cancel()
            await asyncio.gather(task, told, return_exceptions=True)
