"""How the inbox tells the dispatch of the same process that there is something to do; only ever a hint."""

from __future__ import annotations

import asyncio

from notifier.stopping import Stop


class Wake:
    """A bell: rung any number of times, heard once."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """Ring."""
        self._event.set()

    async def wait(self, timeout_s: float, stop: Stop) -> None:
        """Until rung, told to stop, or `timeout_s` seconds have passed."""
        told = asyncio.create_task(stop.wait())
        rung = asyncio.create_task(self._event.wait())
        try:
            await asyncio.wait({told, rung}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (told, rung):
                each.cancel()
            await asyncio.gather(told, rung, return_exceptions=True)
            self._event.clear()
